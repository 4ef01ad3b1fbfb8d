"""What the pictures show, as small tables: slices put together by layer and component.

However many slices there are, no table here has more than some thousand rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from parentage.report.parts import ReportParts

NOT_KNOWN = 0.1
"""Uncertainty of a weight from which on no colour is given to it."""

MOST_EXPERTS = 64
"""Columns of experts up to which each has its own; of more, neighbours are put together."""

MOST_LAYERS = 128
"""Columns of layers up to which each has its own; of more, neighbours are put together."""

OUTSIDE = "none"
"""What stands for the layer of slices that are in none."""

KINDS = ("parent", "decoy", "control")
"""What spectra are of."""

CLEAR = 0.3
"""Share of a layer's cells from which on a peak is one; unrelated parents reach 0.07."""

ROUND = 0.1
"""What is shown of weights beside the least and the largest peak."""

MOST_CELLS = 4000
"""Fields of a picture of spectra by layer, about."""

LEAST_RATIO, MOST_RATIO = 0.1, 1e4
"""Residuals in units of rounding, beyond which a picture shows no more than that."""


@dataclass(frozen=True)
class Series:
    """Small tables of a trace."""

    parts: ReportParts

    @cached_property
    def slices(self) -> pl.DataFrame:
        """One row per slice: what is true of it whole."""
        frame = self.parts.slices.unique("slice", keep="first", maintain_order=True)
        floor = pl.col("rounding_rms")
        return frame.with_columns(
            ratio=pl.when(floor > 0).then(pl.col("residual_rms") / floor),
        )

    @cached_property
    def layer_names(self) -> dict[int, str]:
        """The name of each layer's column: its number, or those of several layers."""
        layers = self.slices["layer"].drop_nulls().unique().sort().to_list()
        return _columns(layers, MOST_LAYERS)

    @cached_property
    def layers(self) -> list[str]:
        """Columns of layers, that of slices outside of layers first, if there are any."""
        outside = [OUTSIDE] if self.slices["layer"].null_count() else []
        return [*outside, *dict.fromkeys(self.layer_names.values())]

    @cached_property
    def components(self) -> list[str]:
        """Components in the order of the document, then others as they come in slices."""
        known = self.slices["component"].unique(maintain_order=True).to_list()
        first = [each for each in self.parts.read.components if each in known]
        return [*first, *(each for each in known if each not in first)]

    def _placed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a table with the name of each row's column of layers, as ``at``."""
        names: dict[int | None, str] = dict(self.layer_names.items())
        names[None] = OUTSIDE
        return frame.with_columns(
            at=pl.col("layer").replace_strict(names, default=OUTSIDE, return_dtype=pl.String)
        )

    def _of_parent(self, parent: str) -> pl.DataFrame:
        """Return a row per slice: a parent's weight, where it is from, and how sure it is."""
        cells = pl.col("cells")
        return self.parts.slices.filter(
            (pl.col("checkpoint") == parent) & (pl.col("role") == "parent")
        ).with_columns(
            known=pl.coalesce(cells, "ols"),
            doubt=pl.coalesce(
                "cells_half_width", pl.max_horizontal(2 * pl.col("se"), "rounding_bias")
            ),
            from_cells=cells.is_not_null(),
        )

    def weights(self, parent: str) -> pl.DataFrame:
        """Return a parent's weight by layer and component: ``at``, ``component``, ``weight``...

        The mean over slices, which count by their elements; null where rounding may have moved it
        by more than :data:`NOT_KNOWN`, with what it would be in ``guess``.
        """
        return self._mean(self._placed(self._of_parent(parent)), ["component", "at"])

    def experts(self, parent: str) -> pl.DataFrame:
        """Return a parent's weight by layer and expert; empty without experts in layers."""
        frame = self._of_parent(parent).filter(
            pl.col("expert").is_not_null() & pl.col("layer").is_not_null()
        )
        names = _columns(frame["expert"].unique().sort().to_list(), MOST_EXPERTS)
        frame = frame.with_columns(
            expert=pl.col("expert").replace_strict(names, default="", return_dtype=pl.String)
        )
        return self._mean(self._placed(frame), ["at", "expert"])

    @staticmethod
    def _mean(frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
        """Return the mean weight by ``keys``, slices counting by their elements."""
        n = pl.col("n").cast(pl.Float64)
        of = pl.col("known").is_not_null()
        means = frame.group_by(keys, maintain_order=True).agg(
            elements=pl.col("n").sum(),
            slices=pl.len(),
            guess=(pl.col("known") * n).sum() / n.filter(of).sum(),
            doubt=(pl.col("doubt") * n).sum() / n.filter(pl.col("doubt").is_not_null()).sum(),
            from_cells=(pl.col("from_cells").cast(pl.Float64) * n).sum() / n.sum(),
            least=pl.col("known").min(),
            most=pl.col("known").max(),
        )
        source = (
            pl.when(pl.col("from_cells") >= 1.0)
            .then(pl.lit("rounding cells"))
            .when(pl.col("from_cells") <= 0.0)
            .then(pl.lit("least squares"))
            .otherwise(pl.lit("rounding cells and least squares"))
        )
        guess, doubt = pl.col("guess").fill_nan(None), pl.col("doubt").fill_nan(None)
        return means.with_columns(guess=guess, doubt=doubt).with_columns(
            weight=pl.when(doubt.fill_null(0.0) <= NOT_KNOWN).then(guess),
            source=source,
        )

    @cached_property
    def residuals(self) -> pl.DataFrame:
        """What least squares leave, in units of rounding, by layer and component."""
        n = pl.col("n").cast(pl.Float64)
        frame = (
            self._placed(self.slices)
            .group_by(["component", "at"], maintain_order=True)
            .agg(
                elements=pl.col("n").sum(),
                residual=((pl.col("residual_rms") ** 2 * n).sum() / n.sum()).sqrt(),
                floor=((pl.col("rounding_rms") ** 2 * n).sum() / n.sum()).sqrt(),
            )
        )
        ratio = pl.when(pl.col("floor") > 0).then(pl.col("residual") / pl.col("floor"))
        return (
            frame.with_columns(ratio=ratio.fill_nan(None))
            .with_columns(shown=pl.col("ratio").clip(LEAST_RATIO, MOST_RATIO))
            .filter(pl.col("ratio").is_not_null())
        )

    @cached_property
    def nearest(self) -> str | None:
        """The checkpoint with most of the child's bits; ``None`` if none was compared."""
        equal = self.parts.read.model.bit_equal
        return max(equal, key=lambda name: equal[name], default=None)

    @cached_property
    def mismatches(self) -> pl.DataFrame:
        """Elements that the recipe does not give, by layer and component.

        Without a recipe: those that the :attr:`nearest` checkpoint has not the child's bits of.
        """
        if self.parts.read.recipe is not None:
            frame = self.slices.filter(pl.col("exact_share").is_not_null()).with_columns(
                off=pl.col("mismatched").cast(pl.Float64)
            )
        else:
            frame = self.parts.slices.filter(
                pl.col("checkpoint") == (self.nearest or "")
            ).with_columns(off=pl.col("n").cast(pl.Float64) - pl.col("bit_equal").cast(pl.Float64))
        frame = (
            self._placed(frame)
            .group_by(["component", "at"], maintain_order=True)
            .agg(elements=pl.col("n").sum(), off=pl.col("off").sum())
        )
        return frame.filter(pl.col("elements") > 0).with_columns(
            share=pl.col("off") / pl.col("elements")
        )

    @cached_property
    def alikeness(self) -> pl.DataFrame:
        """Cosine of each parent's and control's displacement with the child's, by component."""
        document = self.parts.read
        roles = {each.name: role for role, each in document.others}
        rows = [
            {
                "checkpoint": name,
                "role": roles.get(name, ""),
                "of": of,
                "cosine": cosine,
                "whole": summary is document.model,
            }
            for of, summary in [("all", document.model), *document.components.items()]
            for name, cosine in summary.cosine.items()
            if cosine is not None
        ]
        schema = {
            "checkpoint": pl.String, "role": pl.String, "of": pl.String, "cosine": pl.Float64,
            "whole": pl.Boolean,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    def spectrum(self, parent: str) -> pl.DataFrame:
        """Return the spectra of a whole model along a parent's weight: share of cells by weight."""
        return self._spectra(parent).filter(
            pl.col("component").is_null() & pl.col("layer").is_null()
        )

    def layer_peaks(self, parent: str) -> pl.DataFrame:
        """Return the weight that most cells of each layer admit, with the share of them."""
        frame = self._spectra(parent).filter(pl.col("layer").is_not_null())
        return (
            frame.sort("share", descending=True, maintain_order=True)
            .unique("layer", keep="first", maintain_order=True)
            .select("layer", "weight", "share")
            .sort("layer")
        )

    def spectrum_layers(self, parent: str) -> pl.DataFrame:
        """Return a parent's spectrum in every layer, around where any of them has its peak.

        Empty if all layers have it at one weight, or if most have none that is clear.
        """
        frame = self._spectra(parent).filter(pl.col("layer").is_not_null())
        peaks = self.layer_peaks(parent)
        clear = peaks.filter(pl.col("share") >= CLEAR)
        tops = clear["weight"]
        if tops.n_unique() < 2 or 2 * clear.height < peaks.height:
            return frame.clear()
        low, high = float(tops.min()) - ROUND, float(tops.max()) + ROUND  # type: ignore[arg-type]
        frame = frame.filter(pl.col("weight").is_between(low, high))
        weights = frame["weight"].unique().sort()
        step = (weights[-1] - weights[0]) / (len(weights) - 1)
        # Neighbours are put together until there are few, each with the highest of its shares.
        size = max(1, -(-frame.height // MOST_CELLS))
        bins = ((pl.col("weight") - weights[0]) / (step * size) + 1e-6).floor()
        return (
            self._placed(frame)
            .with_columns(start=weights[0] - step / 2 + bins * step * size)
            .group_by(["at", "start"], maintain_order=True)
            .agg(pl.col("share").max())
            .with_columns(end=pl.col("start") + step * size)
        )

    def _spectra(self, parent: str) -> pl.DataFrame:
        frame = self.parts.spectrum
        if frame is None:
            return pl.DataFrame(
                schema={
                    "kind": pl.String,
                    "layer": pl.Int64,
                    "component": pl.String,
                    "weight": pl.Float64,
                    "share": pl.Float64,
                }
            )
        share = pl.col("admitted") / pl.col("intervals")
        known = (pl.col("parent") == parent) & pl.col("kind").is_in(KINDS)
        return frame.filter(known & (pl.col("intervals") > 0)).with_columns(share=share)

    @cached_property
    def spectrum_parents(self) -> list[str]:
        """Parents that have a spectrum of the whole model."""
        frame = self.parts.spectrum
        if frame is None:
            return []
        names = frame["parent"].drop_nulls().unique(maintain_order=True).to_list()
        return [each for each in names if "parent" in self.spectrum(each)["kind"]]


def _columns(numbers: list[int], most: int) -> dict[int, str]:
    """Return the name of each number's column: the number, or the ends of a run of several.

    >>> _columns([0, 1, 2], 8), _columns([0, 1, 2, 3, 4], 3)
    ({0: '0', 1: '1', 2: '2'}, {0: '0-1', 1: '0-1', 2: '2-3', 3: '2-3', 4: '4'})
    """
    size = -(-len(numbers) // most) if numbers else 1
    out: dict[int, str] = {}
    for first in range(0, len(numbers), size):
        run = numbers[first : first + size]
        out |= dict.fromkeys(run, str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return out
