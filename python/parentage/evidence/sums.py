"""The sums that tables and rules rest on, by slice, as they are stored beside them.

``slices.parquet`` holds estimates, and an estimate does not say what it was made of. These are the
sums themselves: whoever has them makes the same estimates again, and whoever has the checkpoints
reads any slice again and compares its sums bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Alignment
    from parentage.statistics import Statistics
    from parentage.support import Floats
    from parentage.verdict import Outcome, TraceInputs

SUMS_SCHEMA: dict[str, pl.DataType] = {
    "slice": pl.String(),
    "part": pl.Int64(),
    "checkpoints": pl.List(pl.String()),
    "n": pl.UInt64(),
    "used": pl.Float64(),
    "excluded": pl.UInt64(),
    "moved": pl.UInt64(),
    "stray": pl.UInt64(),
    "energy": pl.Float64(),
    "precision": pl.UInt64(),
    "equal": pl.List(pl.UInt64()),
    "nan": pl.List(pl.UInt64()),
    "inf": pl.List(pl.UInt64()),
    "gram": pl.List(pl.Float64()),
    "reproduced": pl.UInt64(),
    "explained": pl.UInt64(),
    "mismatched": pl.UInt64(),
    "zero_signs": pl.UInt64(),
    "ulps": pl.List(pl.UInt64()),
    "first": pl.Int64(),
}
"""Columns of ``sums.parquet``, in their order."""

REPLAYED = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "first")
"""Columns of what the recipe gives; null where it was not carried out."""


def sums_of(case: TraceInputs, statistics: Statistics, outcome: Outcome | None) -> pl.DataFrame:
    """Return one row per slice: part 0 are those that all of the main checkpoints have.

    Slices are in the order of the child's files, so that sums over them have the same bits again.
    """
    frames = [sums_frame(case.alignment, case.inputs.columns.names, statistics, outcome, 0)]
    frames += [
        sums_frame(each.group.alignment, each.columns.names, each.statistics, None, number)
        for number, each in enumerate(case.rest.parts, 1)
    ]
    return pl.concat(frames)


def sums_frame(
    alignment: Alignment,
    names: Sequence[str],
    statistics: Statistics,
    outcome: Outcome | None,
    part: int,
) -> pl.DataFrame:
    """Return the sums of the slices of one alignment; ``names`` are its checkpoints."""
    table, count = statistics.slices, len(alignment.slices)
    rows, columns = np.triu_indices(table.estimates.gram.shape[-1])
    told: dict[str, pl.Series] = {
        "slice": pl.Series([each.name for each in alignment.slices], dtype=pl.String),
        "part": pl.Series([part], dtype=pl.Int64).new_from_index(0, count),
        "checkpoints": pl.Series([list(names)]).new_from_index(0, count),
        "gram": _lists(table.estimates.gram[:, rows, columns]),
    }
    told |= {
        name: pl.Series(np.ascontiguousarray(getattr(table, name)))
        for name in ("n", "used", "excluded", "moved", "stray", "energy", "precision")
    }
    told |= {name: _lists(getattr(table, name)) for name in ("equal", "nan", "inf")}
    if outcome is not None:
        told |= _replayed(statistics, outcome.position)
    missing = {name: pl.Series([None] * count, dtype=SUMS_SCHEMA[name]) for name in REPLAYED}
    found = missing | told
    return pl.DataFrame({name: found[name].cast(dtype) for name, dtype in SUMS_SCHEMA.items()})


def _replayed(statistics: Statistics, position: int) -> dict[str, pl.Series]:
    replayed = statistics.replayed
    applies = pl.Series(replayed.applies)
    found: dict[str, Any] = {
        name: pl.Series(np.ascontiguousarray(getattr(replayed, name)[:, position]))
        for name in REPLAYED
        if name != "ulps"
    }
    found["ulps"] = _lists(replayed.ulps[:, position])
    frame = pl.DataFrame(found)
    return {name: frame.select(pl.when(applies).then(pl.col(name)))[name] for name in found}


def _lists(values: NDArray[Any] | Floats) -> pl.Series:
    """Return (S, m) numbers as S lists."""
    return pl.Series(np.ascontiguousarray(values)).arr.to_list()
