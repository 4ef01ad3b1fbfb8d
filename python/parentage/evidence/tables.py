"""Tables of a trace: one row per slice and checkpoint, and the same by layer, component and model.

What is true of the slice, layer or component stands in every one of its rows; what is true of one
checkpoint in it stands in that checkpoint's row. ``docs/columns.md`` says what each column means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage.align import unaligned_frame
from parentage.checkpoint import is_of_the_body
from parentage.statistics import benjamini_hochberg, holm
from parentage.support import natural_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Slice
    from parentage.checkpoint import Columns
    from parentage.hypothesise import SampleEstimates
    from parentage.statistics import Replayed, Statistics, Table
    from parentage.support import Floats
    from parentage.verdict import Outcome, Part, TraceInputs, Wholes

OF_SLICE = (
    "n", "n_moved", "n_stray", "r2", "cosine", "residual_rms", "residual_rms_free",
    "rounding_rms", "z_naive", "log10_p", "log10_q", "condition", "exact_share",
    "explained_share", "mismatched", "nan", "inf", "excluded",
)  # fmt: skip
"""Columns that are true of the whole slice, layer, component or model."""
OF_CHECKPOINT: dict[str, tuple[str, ...]] = {
    "bit_equal": ("base", "parent", "control"),
    "ols": ("parent",),
    "se": ("parent",),
    "nnls": ("parent",),
    "free": ("base", "parent"),
    "alone": ("control",),
    "checkpoint_cosine": ("parent", "control"),
    "checkpoint_log10_p": ("parent", "control"),
    "displacement_ulps": ("parent",),
    "rounding_bias": ("parent",),
    "cells": ("parent",),
    "cells_half_width": ("parent",),
    "cells_share": ("parent",),
}
"""Columns that are true of one checkpoint in it, and the roles that have them; null for others."""
KEYS = ("slice", "layer", "component")
"""Columns that tell one slice, layer or component from the others."""
SEPARATOR = ":"
"""What stands between quantity and checkpoint in the names of wide columns."""


@dataclass(frozen=True)
class Tables:
    """What was found, as frames."""

    slices: pl.DataFrame
    """One row per slice and checkpoint."""
    layers: pl.DataFrame
    """One row per layer and checkpoint."""
    components: pl.DataFrame
    """One row per component and checkpoint."""
    model: pl.DataFrame
    """One row per checkpoint: everything that was compared."""
    unaligned: pl.DataFrame
    """One row per tensor that took no part: checkpoint, tensor, reason, elements."""

    number_of_slices: int
    """How many slices were compared."""
    elements: int
    """Elements of the child that were compared: of a sample, those that were read."""
    shares: Mapping[str, float]
    """Per checkpoint offered, the share of its elements that took part."""


def tables_of(
    case: TraceInputs, statistics: Statistics, outcome: Outcome | None, wholes: Wholes
) -> Tables:
    """Make tables of statistics, of the cells of the search sample, and of what a recipe gives.

    Slices that not all of the main checkpoints have follow in the table of slices, with a row for
    each that has them. The other tables are of the main checkpoints.
    """
    slices, columns = case.alignment.slices, case.inputs.columns
    labels = {
        "slices": np.arange(len(slices)),
        "layers": np.array([_layer_row(each, statistics.layer_numbers) for each in slices]),
        "components": np.array(
            [statistics.component_names.index(each.component) for each in slices]
        ),
        "model": np.zeros(len(slices), dtype=np.intp),
    }

    def long(name: str, keys: dict[str, pl.Series], order: Sequence[int] | None) -> pl.DataFrame:
        table: Table = getattr(statistics, name)
        whole = keys | _of_slice(table, columns)
        if outcome is not None:
            whole |= _shares(statistics.replayed, outcome, labels[name], len(table.n))
        single = _of_checkpoint(table, columns)
        cells = _cells(case.estimates, columns, labels[name], len(table.n))
        if name != "slices" and (outcome is None or outcome.recipe.effective_weights is None):
            cells = _of_one_weight(cells, table, columns)
        single |= cells
        return _long(whole, single, columns, order)

    # Names of slices are put in natural order; numbers and components have one already.
    order = sorted(range(len(slices)), key=lambda row: natural_key(slices[row].name))
    layers = pl.Series(statistics.layer_numbers, dtype=pl.Int64)
    components = pl.Series(statistics.component_names, dtype=pl.String)
    whole = long("slices", _keys(slices), order)
    parts = [_part(each, case.offered.columns, whole.schema) for each in case.rest.parts]
    read = int(statistics.model.n[0])
    if sum(each.elements for each in slices) == read:
        # Everything was read.
        read = wholes.compared
    return Tables(
        slices=pl.concat([whole, *parts]) if parts else whole,
        layers=long("layers", {"layer": layers}, None),
        components=long("components", {"component": components}, None),
        model=long("model", {}, None),
        unaligned=unaligned_frame(case.alignment.unaligned),
        number_of_slices=wholes.slices,
        elements=read,
        shares={each.name: each.share for each in wholes.by_name.values()},
    )


def _part(part: Part, offered: Columns, schema: pl.Schema) -> pl.DataFrame:
    """Return the rows of slices that some checkpoints have, as the table of slices has them."""
    rows = slice_rows(part.group.alignment.slices, part.statistics.slices, part.columns)
    roles = pl.col("checkpoint").replace_strict(
        {name: offered.role(name) for name in offered.names}
    )
    return rows.with_columns(role=roles).select(schema.names()).cast(schema)


def slice_rows(slices: Sequence[Slice], table: Table, columns: Columns) -> pl.DataFrame:
    """Return the rows of slices in natural order, without what cells and recipes tell."""
    order = sorted(range(len(slices)), key=lambda row: natural_key(slices[row].name))
    return group_rows(_keys(slices), table, columns, order)


def group_rows(
    keys: dict[str, pl.Series],
    table: Table,
    columns: Columns,
    order: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Return the rows of groups of slices that ``keys`` tell apart, as :func:`slice_rows`."""
    rows = len(table.n)
    single = _of_checkpoint(table, columns)
    single |= _cells(None, columns, np.zeros(rows, dtype=np.intp), rows)
    return _long(keys | _of_slice(table, columns), single, columns, order)


def wide(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table with one row per slice, layer or component, and a column per checkpoint.

    What is true of one checkpoint is in columns called ``quantity:checkpoint``, as ``ols:parent``.

    >>> from parentage.demo import family
    >>> import parentage
    >>> trace = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    >>> wide(trace.components).select("component", "n", "bit_equal:base", "ols:parent").shape
    (3, 4)
    """
    of_checkpoint = [name for name in frame.columns if name in OF_CHECKPOINT]
    of_slice = [
        name for name in frame.columns if name not in ("checkpoint", "role", *of_checkpoint)
    ]
    names = frame["checkpoint"].unique(maintain_order=True).to_list()
    # Not every slice is in every checkpoint: rows are told by the key, or there is but one.
    key = next((name for name in KEYS if name in frame.columns), None)
    whole = frame.unique(key, maintain_order=True, keep="first") if key else frame.head(1)
    row_of = {each: row for row, each in enumerate(whole[key] if key else [None])}
    columns = whole.select(of_slice).get_columns()
    for name in names:
        part = frame.filter(pl.col("checkpoint") == name)
        role = part["role"].first()
        places: list[int | None] = [None] * len(whole)
        for index, each in enumerate(part[key] if key else [None]):
            places[row_of[each]] = index
        # What is taken at null is null.
        chosen = part.select(pl.all().gather(pl.Series(places, dtype=pl.UInt32)))
        columns += [
            chosen[each].alias(f"{each}{SEPARATOR}{name}")
            for each in of_checkpoint
            if role in OF_CHECKPOINT[each]
        ]
    return pl.DataFrame(columns)


def rows_of(frame: pl.DataFrame, columns: Columns) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the rows of a table, each as what is true of it, and rows of checkpoints by name."""
    rows = frame.to_dicts()
    count = len(columns)
    return [
        (rows[first], {row["checkpoint"]: row for row in rows[first : first + count]})
        for first in range(0, len(rows), count)
    ]


def _long(
    whole: dict[str, pl.Series],
    single: dict[str, Floats | NDArray[np.uint64]],
    columns: Columns,
    order: Sequence[int] | None,
) -> pl.DataFrame:
    """Return one row per entry of ``whole`` and checkpoint.

    ``single`` are (rows, checkpoints) numbers, NaN where there is none.
    """
    rows, count = len(whole["n"]), len(columns)
    chosen = np.arange(rows) if order is None else np.asarray(order, dtype=np.intp)
    repeated = np.repeat(chosen, count)
    # One column after the other: what is repeated takes the place of what is not.
    out = {name: whole.pop(name).gather(repeated) for name in tuple(whole)}
    names = pl.Series(columns.names, dtype=pl.String)
    roles = pl.Series([columns.role(name) for name in columns.names], dtype=pl.String)
    place = np.tile(np.arange(count), rows)
    keys = [name for name in out if name not in OF_SLICE]
    told = {"checkpoint": names.gather(place), "role": roles.gather(place)}
    for name in OF_CHECKPOINT:
        series = pl.Series(np.ascontiguousarray(single.pop(name)[chosen]).reshape(-1))
        told[name] = series.fill_nan(None) if series.dtype == pl.Float64 else series
    ordered = {name: out[name] for name in keys} | told
    return pl.DataFrame(ordered | {name: out[name] for name in OF_SLICE})


def _keys(slices: Sequence[Slice]) -> dict[str, pl.Series]:
    """Return the columns that say which slice it is."""
    return {
        "slice": pl.Series([each.name for each in slices], dtype=pl.String),
        "component": pl.Series([each.component for each in slices], dtype=pl.String),
        "layer": pl.Series([each.layer for each in slices], dtype=pl.Int64),
        "expert": pl.Series([each.expert for each in slices], dtype=pl.Int64),
        "shape": _shapes(slices),
        "dtype": pl.Series([each.dtype for each in slices], dtype=pl.String),
    }


def _of_slice(table: Table, columns: Columns) -> dict[str, pl.Series]:
    """Return the columns :data:`OF_SLICE`; null is for what is not defined."""
    estimates, parents = table.estimates, len(columns.parents)
    n = table.n.astype(np.float64)
    used = np.maximum(table.used, 1.0)
    r2 = estimates.parents.r2 if parents else np.full(len(n), np.nan)
    cosine = np.sqrt(np.clip(r2, 0.0, 1.0))
    adjusted = holm(estimates.log10_p[:, :parents])
    least = adjusted.min(axis=1) if parents else np.zeros(len(n))
    values: dict[str, Any] = {
        "n": table.n,
        "n_moved": table.moved,
        "n_stray": table.stray,
        "r2": r2,
        "cosine": cosine,
        "residual_rms": np.sqrt(estimates.parents.residual / used),
        "residual_rms_free": np.sqrt(table.residual / used),
        "rounding_rms": np.sqrt(table.energy / used),
        "z_naive": cosine * np.sqrt(n),
        "log10_p": least,
        "log10_q": benjamini_hochberg(least),
        "condition": estimates.condition,
        # Null: no recipe was replayed.
        "exact_share": np.full(len(n), np.nan),
        "explained_share": np.full(len(n), np.nan),
        "nan": table.nan.sum(axis=1),
        "inf": table.inf.sum(axis=1),
        "excluded": table.excluded,
    }
    out = {name: pl.Series(name, np.ascontiguousarray(x)) for name, x in values.items()}
    out = {name: x.fill_nan(None) if x.dtype == pl.Float64 else x for name, x in out.items()}
    return out | {"mismatched": pl.Series("mismatched", [None] * len(n), dtype=pl.Int64)}


def _of_checkpoint(table: Table, columns: Columns) -> dict[str, Floats | NDArray[np.uint64]]:
    """Return (rows, checkpoints) of the columns :data:`OF_CHECKPOINT` but for those of cells."""
    estimates = table.estimates
    rows, parents = len(table.n), slice(1, 1 + len(columns.parents))
    controls = slice(parents.stop, len(columns))

    def filled(*parts: tuple[slice, Floats]) -> Floats:
        out = np.full((rows, len(columns)), np.nan)
        for place, numbers in parts:
            out[:, place] = numbers
        return out

    p = estimates.log10_p
    free = filled((parents, estimates.free.weights[:, 1:]))
    if columns.parents:
        # The base's own weight where weights need not sum to one.
        free[:, 0] = (
            1.0 + estimates.free.weights[:, 0] - np.nansum(estimates.free.weights[:, 1:], axis=1)
        )
    return {
        "bit_equal": table.equal[:, : len(columns)],
        "ols": filled((parents, estimates.parents.weights)),
        "se": filled((parents, estimates.standard_error)),
        "nnls": filled((parents, estimates.nonnegative)),
        "free": free,
        "alone": filled((controls, estimates.controls)),
        "checkpoint_cosine": filled((slice(1, None), estimates.cosines[:, 1:])),
        "checkpoint_log10_p": filled(
            (parents, holm(p[:, : len(columns.parents)])), (controls, p[:, len(columns.parents) :])
        ),
        "displacement_ulps": filled((parents, estimates.ulps[:, : len(columns.parents)])),
        "rounding_bias": filled((parents, estimates.bias[:, : len(columns.parents)])),
    }


def _cells(
    estimates: SampleEstimates | None, columns: Columns, labels: NDArray[np.intp], rows: int
) -> dict[str, Floats | NDArray[np.uint64]]:
    """Return (rows, checkpoints) weights as the cells have them, with half width and share."""
    found = estimates.cells(labels) if estimates is not None and columns.parents else None
    out: dict[str, Floats | NDArray[np.uint64]] = {}
    for number, name in enumerate(("cells", "cells_half_width", "cells_share")):
        # The last row stands for slices that are in no layer.
        values = np.full((rows + 1, len(columns)), np.nan)
        if found is not None:
            values[: len(found[number]), columns.parent_indices] = found[number]
        out[name] = values[:rows]
    return out


VARIES = 5.0
"""Standard errors from least squares beyond which the cells' weight is not that of all slices."""


def _of_one_weight(
    cells: dict[str, Floats | NDArray[np.uint64]], table: Table, columns: Columns
) -> dict[str, Floats | NDArray[np.uint64]]:
    """Return the cells' weights without those of groups whose slices differ in them.

    Most cells may admit the weight of a part, where least squares are of all slices.
    """
    estimates = table.estimates
    parents = slice(0, len(columns.parents))
    mine = columns.parent_indices
    off = np.abs(cells["cells"][:, mine] - estimates.parents.weights[:, parents])
    spread = VARIES * estimates.standard_error[:, parents] + estimates.bias[:, parents]
    varies = np.zeros(cells["cells"].shape, dtype=bool)
    varies[:, mine] = off > cells["cells_half_width"][:, mine] + spread
    told = {name: np.where(varies, np.nan, cells[name]) for name in ("cells", "cells_half_width")}
    return {**cells, **told}


def _shares(
    replayed: Replayed, outcome: Outcome, labels: NDArray[np.intp], rows: int
) -> dict[str, pl.Series]:
    """Return the columns that tell what the recipe reproduces, where it was replayed."""
    sums = [
        np.bincount(labels, counts[:, outcome.position].astype(np.float64), rows + 1)[:rows]
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


def _shapes(slices: Sequence[Slice]) -> pl.Series:
    """Return the shapes of slices; there are few, and lists are slow to make one by one."""
    rows: dict[tuple[int, ...], int] = {}
    found = [rows.setdefault(each.shape, len(rows)) for each in slices]
    return pl.Series([list(shape) for shape in rows], dtype=pl.List(pl.Int64)).gather(found)


def _layer_row(each: Slice, numbers: tuple[int, ...]) -> int:
    """Return the row of a slice's layer; one past the last for slices in none."""
    if each.layer is None or not is_of_the_body(each.component):
        return len(numbers)
    return numbers.index(each.layer)
