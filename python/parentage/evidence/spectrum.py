"""The cell spectrum as a table, and what the document says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from parentage.hypothesise import Spectra

SPECTRUM = {
    "parent": pl.String,
    "kind": pl.String,
    "checkpoint": pl.String,
    "component": pl.String,
    "layer": pl.Int64,
    "weight": pl.Float64,
    "admitted": pl.UInt64,
    "intervals": pl.UInt64,
}
"""Columns of the table of spectra, and their types."""


def spectrum_table(spectra: Spectra) -> pl.DataFrame:
    """Return one row per curve and weight; none where there is no spectrum."""
    curves = spectra.curves
    if not curves:
        return pl.DataFrame(schema=SPECTRUM)
    sizes = [len(each.weights) for each in curves]
    places = np.repeat(np.arange(len(curves)), sizes)
    of_curve = {
        name: pl.Series(name, [getattr(each, name) for each in curves], dtype=SPECTRUM[name])
        for name in ("parent", "kind", "checkpoint", "component", "layer", "intervals")
    }
    of_weight = {
        "weight": pl.Series("weight", np.concatenate([each.weights for each in curves])),
        "admitted": pl.Series("admitted", np.concatenate([each.admitted for each in curves])),
    }
    whole = {name: column.gather(places) for name, column in of_curve.items()} | of_weight
    return pl.DataFrame([whole[name] for name in SPECTRUM])


def spectrum_entry(spectra: Spectra) -> dict[str, Any]:
    """Return what the document says of the table."""
    return {
        "elements": spectra.elements,
        "held": dict(spectra.held),
        "missing": spectra.missing,
    }
