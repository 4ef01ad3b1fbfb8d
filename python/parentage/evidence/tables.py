"""Tables of a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage.checkpoint import is_of_the_body
from parentage.statistics import benjamini_hochberg, holm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.checkpoint import Inputs
    from parentage.hypothesise import Findings
    from parentage.statistics import Replayed, Table


def columns_of(table: Table, inputs: Inputs) -> dict[str, pl.Series]:
    """Return the columns that slices, layers, components and the model have in common."""
    estimates = table.estimates
    parents = [each.name for each in inputs.parents]
    controls = [each.name for each in inputs.controls]
    n = table.n.astype(np.float64)
    used = np.maximum(table.used, 1.0)
    out: dict[str, pl.Series] = {}

    def put(name: str, values: Any) -> None:
        series = pl.Series(name, np.ascontiguousarray(values))
        out[name] = series.fill_nan(None) if series.dtype == pl.Float64 else series

    put("n", table.n)
    put("n_moved", table.moved)
    put("n_stray", table.stray)
    for i, each in enumerate(inputs.others):
        put(f"bit_equal_{each.name}", table.equal[:, i])
    adjusted = holm(estimates.log10_p[:, : len(parents)])
    for i, name in enumerate(parents):
        put(f"ols_{name}", estimates.parents.weights[:, i])
        put(f"se_{name}", estimates.standard_error[:, i])
        put(f"nnls_{name}", estimates.nonnegative[:, i])
        put(f"free_{name}", estimates.free.weights[:, 1 + i])
        put(f"cosine_{name}", estimates.cosines[:, 1 + i])
        put(f"log10_p_{name}", adjusted[:, i])
        put(f"displacement_ulps_{name}", estimates.ulps[:, i])
        put(f"rounding_bias_{name}", estimates.bias[:, i])
    if parents:
        # The base's own weight where weights need not sum to one.
        put(
            f"free_{inputs.base.name}",
            1.0 + estimates.free.weights[:, 0] - np.nansum(estimates.free.weights[:, 1:], axis=1),
        )
    for i, name in enumerate(controls):
        put(f"control_{name}", estimates.controls[:, i])
        put(f"cosine_{name}", estimates.cosines[:, 1 + len(parents) + i])
        put(f"log10_p_{name}", estimates.log10_p[:, len(parents) + i])
    r2 = estimates.parents.r2 if parents else np.full(len(n), np.nan)
    cosine = np.sqrt(np.clip(r2, 0.0, 1.0))
    put("r2", r2)
    put("cosine", cosine)
    put("residual_rms", np.sqrt(estimates.parents.residual / used))
    put("residual_rms_free", np.sqrt(table.residual / used))
    put("rounding_rms", np.sqrt(table.energy / used))
    put("z_naive", cosine * np.sqrt(n))
    least = adjusted.min(axis=1) if parents else np.zeros(len(n))
    put("log10_p", least)
    put("log10_q", benjamini_hochberg(least))
    put("condition", estimates.condition)
    # Null: no recipe was replayed.
    for column in ("exact_share", "explained_share"):
        put(column, np.full(len(n), np.nan))
    out["mismatched"] = pl.Series("mismatched", [None] * len(n), dtype=pl.Int64)
    put("nan", table.nan.sum(axis=1))
    put("inf", table.inf.sum(axis=1))
    put("excluded", table.excluded)
    return out


def cell_columns(
    inputs: Inputs, findings: Findings | None, labels: NDArray[np.intp], rows: int
) -> dict[str, pl.Series]:
    """Return the columns ``cells_<parent>``, with the half width of its plateau and its share."""
    out = {}
    parents = [each.name for each in inputs.parents]
    found = findings.cells(labels) if findings is not None and parents else None
    for number, prefix in enumerate(("cells", "cells_half_width", "cells_share")):
        values = np.full((rows + 1, len(parents)), np.nan)
        if found is not None:
            values[: len(found[number])] = found[number]
        for i, name in enumerate(parents):
            column = f"{prefix}_{name}"
            out[column] = pl.Series(column, values[:rows, i].copy()).fill_nan(None)
    return out


def share_columns(
    replayed: Replayed, best: int, labels: NDArray[np.intp], rows: int
) -> dict[str, pl.Series]:
    """Return the columns that tell what the recipe reproduces, where it was replayed."""
    sums = [
        np.bincount(labels, counts[:, best].astype(np.float64), rows + 1)[:rows]
        for counts in (replayed.reproduced, replayed.explained, replayed.mismatched)
    ]
    total = sums[0] + sums[1] + sums[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [sums[0] / total, sums[1] / total]
    return {
        "exact_share": pl.Series("exact_share", shares[0]).fill_nan(None),
        "explained_share": pl.Series("explained_share", shares[1]).fill_nan(None),
        "mismatched": pl.Series("mismatched", sums[2].astype(np.int64)),
    }


def shapes_of(slices: Sequence[Slice]) -> pl.Series:
    """Return the shapes of slices; there are few, and lists are slow to make one by one."""
    rows: dict[tuple[int, ...], int] = {}
    found = [rows.setdefault(each.shape, len(rows)) for each in slices]
    return pl.Series([list(shape) for shape in rows], dtype=pl.List(pl.Int64)).gather(found)


def layer_row(each: Slice, numbers: tuple[int, ...]) -> int:
    """Return the row of a slice's layer; one past the last for slices in none."""
    if each.layer is None or not is_of_the_body(each.component):
        return len(numbers)
    return numbers.index(each.layer)
