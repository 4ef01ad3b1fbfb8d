"""Heat maps: weights by layer and part, by layer and expert, and where bits are not the child's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from parentage.report.figure import (
    Figure,
    least_of,
    most_of,
    shown_names,
)
from parentage.report.series import NOT_KNOWN, OUTSIDE
from parentage.report.shares import share_of
from parentage.support import printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.report.figure import Drawing

ROW = 24
"""Height of a row of a heat map, in pixels."""

LEAST_HEIGHT, MOST_HEIGHT = 60, 720
"""Least and greatest height of a heat map, in pixels."""

DENSE = 60
"""Columns from which on lines between fields are thin."""

MOST_LABELLED = 14
"""Columns of a heat map up to which numbers are written into it."""

DARK = 0.55
"""Share of a scale from which on numbers are written in the colour for dark cells."""

SAME = 5e-4
"""Most that weights differ by which are told as one."""

NOT_TOLD = f"Grey: rounding alone may have moved it by more than {NOT_KNOWN:g}; it tells nothing."


def weights_figure(drawing: Drawing, parent: str, name: str) -> Figure | None:
    """Return a parent's weight by layer and part of the model."""
    rows = shown_names(drawing.series.weights(parent), "component")
    if rows.is_empty():
        return None
    return _weight_map(
        drawing,
        parent,
        rows,
        name,
        across=drawing.layers_across,
        down=drawing.parts_down,
        keys=(("component", "part"), ("at", "layer")),
        title=f"Weight of {printable(parent)} by layer and part of the model",
        caption="How much of the parent's change from the base is in each part of the child: 0 is "
        f"none of it, 1 all. {NOT_TOLD} {drawing.outside_told}Where numbers are from least "
        "squares, their differences are no evidence of different recipes: rounding moves them.",
    )


def experts_figure(drawing: Drawing, parent: str, name: str) -> Figure | None:
    """Return a parent's weight by layer and expert."""
    rows = drawing.series.experts(parent)
    if rows.is_empty():
        return None
    first = pl.col("expert").str.extract(r"^(\d+)").cast(pl.Int64)
    experts = list(dict.fromkeys(rows.sort(first)["expert"].to_list()))
    layers = [each for each in drawing.series.layers if each != OUTSIDE]
    return _weight_map(
        drawing,
        parent,
        rows,
        name,
        across=drawing.band(drawing.alt.X, "expert:O", experts, "expert"),
        down=drawing.band(drawing.alt.Y, "at:O", layers, "layer"),
        keys=(("at", "layer"), ("expert", "expert")),
        title=f"Weight of {printable(parent)} by layer and expert",
        caption="The experts of each layer, each by itself: one that was taken from elsewhere, or "
        f"trained, stands out. {NOT_TOLD}",
    )


def _weight_map(
    drawing: Drawing,
    parent: str,
    rows: pl.DataFrame,
    name: str,
    *,
    across: Any,
    down: Any,
    keys: tuple[tuple[str, str], tuple[str, str]],
    title: str,
    caption: str,
) -> Figure:
    """Return a heat map of weights; ``keys`` are its rows and columns, with titles."""
    alt = drawing.alt
    known = rows.filter(pl.col("weight").is_not_null())["weight"]
    least, most = min(0.0, least_of(known)), max(1.0, most_of(known, 1.0))
    tooltip = drawing.tips(
        *((f"{field}:N", called, None) for field, called in reversed(keys)),
        ("guess:Q", "weight", ".4f"),
        ("doubt:Q", "give or take", ".2g"),
        ("source:N", "from", None),
        ("slices:Q", "slices", ","),
        ("elements:Q", "elements", ","),
    )
    hover = drawing.hover()
    (of_rows, _), (of_columns, _) = keys
    columns, height = rows[of_columns].n_unique(), _height(rows[of_rows].n_unique())
    line = 1.5 if columns <= DENSE else 0.5
    stroke = alt.condition(hover, alt.value("@halo"), alt.value("@ground"))
    base = drawing.chart().encode(x=across, y=down, tooltip=tooltip)
    cells = (
        base.transform_filter("isValid(datum.weight)")
        .mark_rect(strokeWidth=line)
        .encode(
            color=alt.Color(
                "weight:Q", title="weight",
                scale=alt.Scale(domain=[least, most], range=["@low", "@high"]),
                legend=alt.Legend(orient="right", gradientLength=min(90, height - 10), tickCount=5),
            ),
            stroke=stroke,
        )
        .properties(name="fields")
        .add_params(hover)
    )  # fmt: skip
    unknown = (
        base.transform_filter("!isValid(datum.weight)")
        .mark_rect(strokeWidth=line, fill="@unknown")
        .encode(stroke=stroke)
    )
    layers = [cells, unknown]
    if columns <= MOST_LABELLED:
        dark = f"isValid(datum.weight) && datum.weight > {least + DARK * (most - least)!r}"
        number = alt.Text("weight:Q", format=".2f")
        layers.append(
            base.mark_text(fontSize=11, invalid="show").encode(
                text=alt.condition("isValid(datum.weight)", number, alt.value("?")),
                color=alt.condition(dark, alt.value("@on-high"), alt.value("@on-low")),
            )
        )
    return Figure(
        name=name,
        title=title,
        caption=caption,
        alt=_spread(known, rows.height - len(known), printable(parent)),
        frame=rows,
        subject=f"weight of {printable(parent)}",
        spec=drawing.made(*layers, height=height),
        columns=(
            *keys, ("guess", "weight"), ("doubt", "give or take"), ("source", "from"),
            ("elements", "elements"),
        ),
    )  # fmt: skip


def mismatches_figure(drawing: Drawing) -> Figure | None:
    """Return the share of elements that a recipe does not give, by layer and part.

    Without a recipe, of those that differ from the checkpoint with most of the child's bits.
    ``None`` where no element is.
    """
    alt = drawing.alt
    rows = shown_names(drawing.series.mismatches, "component")
    total, off = int(rows["elements"].sum()), int(rows["off"].sum())
    if off == 0:
        return None
    nearest = printable(drawing.series.nearest or "")
    is_of_recipe = drawing.document.recipe is not None
    what = (
        "are not what the recipe gives"
        if is_of_recipe
        else f"differ from {nearest}, the checkpoint with most of the child's bits"
    )
    hover = drawing.hover()
    base = drawing.chart().encode(
        x=drawing.layers_across,
        y=drawing.parts_down,
        tooltip=drawing.tips(
            ("at:N", "layer", None),
            ("component:N", "part", None),
            ("share:Q", "share", ".2%"),
            ("off:Q", "elements", ","),
            ("elements:Q", "of", ","),
        ),
    )
    most, height = max(most_of(rows["share"]), 1e-9), _height(rows["component"].n_unique())
    ramp = alt.Color(
        "share:Q", title="share",
        scale=alt.Scale(domain=[0, most], range=["@off-low", "@off-high"]),
        legend=alt.Legend(
            orient="right", format=".2~p", gradientLength=min(90, height - 10), tickCount=4
        ),
    )  # fmt: skip
    stroke = alt.condition(hover, alt.value("@halo"), alt.value("@ground"))
    cells = (
        base.transform_filter("datum.off > 0")
        .mark_rect(strokeWidth=1.5)
        .encode(color=ramp, stroke=stroke)
        .properties(name="fields")
        .add_params(hover)
    )
    none = (
        base.transform_filter("!(datum.off > 0)")
        .mark_rect(strokeWidth=1.5, fill="@none")
        .encode(stroke=stroke)
    )
    layers = [cells, none]
    if rows["at"].n_unique() <= MOST_LABELLED:
        number = alt.Text("share:Q", format=".2~p")
        dark = f"datum.share > {DARK * most!r}"
        layers.append(
            base.mark_text(fontSize=11).encode(
                text=alt.condition("datum.off > 0", number, alt.value("0")),
                color=alt.condition(dark, alt.value("@on-high"), alt.value("@on-low")),
            )
        )
    return Figure(
        name="mismatches",
        title="Where the recipe does not give the child's bits"
        if is_of_recipe
        else "Where the child differs",
        caption=f"Share of the elements that {what}. A number of which only the last bit differs "
        f"counts in full. {drawing.outside_told}".rstrip(),
        alt=f"{off:,} of {total:,} elements ({share_of(off / total)}) {what}.",
        frame=rows,
        subject="not given by the recipe" if is_of_recipe else f"differs from {nearest}",
        spec=drawing.made(*layers, height=height),
        columns=(
            ("component", "part"), ("at", "layer"), ("share", "share"), ("off", "elements"),
            ("elements", "of"),
        ),
    )  # fmt: skip


def _height(rows: int) -> int:
    """Return the height of a heat map."""
    return min(max(ROW * rows, LEAST_HEIGHT), MOST_HEIGHT)


def _spread(known: pl.Series, unknown: int, name: str) -> str:
    """Return how weights are spread, in a sentence."""
    if not len(known):
        return f"Nothing is known of the weight of {name} in any field."
    low, high = least_of(known), most_of(known)
    told = (
        f"The weight of {name} is {low:.3f} wherever it is known"
        if high - low < SAME
        else f"The weight of {name} goes from {low:.3f} to {high:.3f}"
    )
    fields = "field" if unknown == 1 else "fields"
    return told + (f"; in {unknown} {fields} it is not known." if unknown else ".")
