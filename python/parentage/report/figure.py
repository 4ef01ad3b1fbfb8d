"""A picture: its words, its numbers and how it is drawn; and what all charts have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from parentage.report.series import OUTSIDE, Series
from parentage.support import printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.report.document import Document
    from parentage.report.parts import ReportParts

MOST_NARROW = 24
"""Columns of a picture up to which it takes half of a wide page."""

MOST_SVG = 2500
"""Marks up to which a chart is drawn as SVG; of more, as an image."""

POINTER = "pointer"
"""What a layer is called that is there for the pointer alone."""

DIGITS = 9
"""Digits of numbers that are drawn: the last ones of a sum hang on who adds it up."""

HEIGHT = 230
"""Height of a chart of points or lines, in pixels."""


@dataclass(frozen=True)
class Figure:
    """A picture: its words, its numbers, and how it is drawn."""

    name: str
    """What its file is called: letters, numbers and hyphens."""
    title: str
    caption: str
    """How to read it."""
    alt: str
    """What it shows, in numbers, for those who do not see it."""
    frame: pl.DataFrame
    """What is drawn."""
    subject: str
    """What its numbers are, in two words or three."""
    spec: dict[str, Any]
    """The chart of Vega-Lite, without data; colours by what they stand for."""
    columns: tuple[tuple[str, str], ...]
    """Columns of its table for readers, each with its title."""

    @property
    def is_wide(self) -> bool:
        """Whether it takes the width of the page: it has many columns."""
        across = "expert" if "expert" in self.frame.columns else "at"
        return across in self.frame.columns and self.frame[across].n_unique() > MOST_NARROW

    @property
    def is_large(self) -> bool:
        """Whether it is drawn as an image."""
        return self.frame.height > MOST_SVG

    def rows(self) -> dict[str, list[Any]]:
        """Return what is drawn, by column, to :data:`DIGITS`; what is not finite is null."""
        out = {}
        for column in self.frame.get_columns():
            values = column.to_list()
            if column.dtype.is_float():
                values = [_rounded(x) for x in values]
            out[column.name] = values
        return out


def _rounded(value: float | None) -> float | None:
    if value is None or not abs(value) < float("inf"):
        return None
    return float(f"{value:.{DIGITS}g}")


class Drawing:
    """Evidence with Altair at hand: axes, colours and marks that charts have in common.

    Names of checkpoints, tensors and components are data of a chart, never part of an expression,
    an address or markup in it.
    """

    def __init__(self, parts: ReportParts) -> None:
        """Import Altair, which is heavy and of no use before somebody wants a report."""
        import altair

        self.alt: Any = altair
        self.parts, self.series = parts, Series(parts)

    @property
    def document(self) -> Document:
        """The document of the evidence."""
        return self.parts.read

    def chart(self) -> Any:
        """Return a chart of the rows that a figure has."""
        return self.alt.Chart(self.alt.NamedData(name="rows"))

    def rule(self, **at: float) -> Any:
        """Return a dashed line at a place, as ``rule(y=1.0)``."""
        ((axis, value),) = at.items()
        data = self.alt.InlineData(values=[{"place": value}])
        chart = self.alt.Chart(data).mark_rule(strokeDash=[5, 4], color="@ink")
        return chart.encode(**{axis: "place:Q"})

    def made(self, *layers: Any, height: int = HEIGHT) -> dict[str, Any]:
        """Return the specification of layers that are as wide as their place."""
        chart = self.alt.layer(*layers).properties(width="container", height=height)
        found: dict[str, Any] = chart.to_dict(validate=False)
        # Whoever draws it knows what it is; versions of this address come and go.
        for key in ("config", "$schema"):
            found.pop(key, None)
        return found

    def hover(self) -> Any:
        """Return the layer that the pointer is at."""
        return self.alt.selection_point(
            name="hover", on="pointerover", clear="pointerout", fields=["at"], empty=False
        )

    def tips(self, *told: tuple[str, str, str | None]) -> list[Any]:
        """Return what is told of a mark: field with its type, title, and format of numbers."""
        alt = self.alt
        return [
            alt.Tooltip(field, title=title)
            if shape is None
            else alt.Tooltip(field, title=title, format=shape)
            for field, title, shape in told
        ]

    def band(self, channel: Any, field: str, sort: list[str], title: str | None) -> Any:
        """Return an axis of columns or rows with names."""
        axis = self.alt.Axis(
            labelAngle=0, labelOverlap=True, labelPadding=5, ticks=False, domain=False, grid=False
        )
        return channel(field, sort=sort, title=title, axis=axis)

    @property
    def layers_across(self) -> Any:
        """The axis of layers."""
        return self.band(self.alt.X, "at:O", self.series.layers, "layer")

    @property
    def outside_told(self) -> str:
        """What the first column of layers may be, in a sentence; nothing where it is none."""
        if OUTSIDE not in self.series.layers:
            return ""
        return f"“{OUTSIDE}” are tensors outside of layers. "

    @property
    def parts_down(self) -> Any:
        """The axis of parts of the model."""
        return self.band(self.alt.Y, "component:N", self.part_names, None)

    @cached_property
    def part_names(self) -> list[str]:
        """Parts of the model, as they are shown."""
        return [printable(each) for each in self.series.components]

    @cached_property
    def parents(self) -> list[str]:
        """Parents that have pictures of their own: those with most weight, as they were given."""
        weights = self.document.model.weights

        def size(name: str) -> float:
            known = weights[name].cells if weights[name].cells is not None else weights[name].ols
            return abs(known or 0.0)

        given = [each.name for each in self.document.inputs.parents if each.name in weights]
        largest = sorted(given, key=size, reverse=True)[:MOST_PARENTS]
        return [name for name in given if name in largest]


MOST_PARENTS = 3
"""Parents that have pictures of their own."""


def shown_names(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return a table whose names in some columns can be shown."""
    return frame.with_columns(
        pl.col(columns).map_elements(printable, return_dtype=pl.String, skip_nulls=True)
    )


def shortened(name: str, most: int = 40) -> str:
    """Return a name of not more than ``most`` characters.

    >>> shortened("abcdef", 4)
    'abc…'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def least_of(values: pl.Series, default: float = 0.0) -> float:
    """Return the least of numbers; ``default`` without any."""
    found = values.min()
    return float(found) if isinstance(found, float | int) else default


def most_of(values: pl.Series, default: float = 0.0) -> float:
    """Return the largest of numbers; ``default`` without any."""
    found = values.max()
    return float(found) if isinstance(found, float | int) else default
