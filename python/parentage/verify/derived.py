"""Estimates made again of stored sums, by the code that made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from parentage import _core
from parentage.align import Slice
from parentage.bundle import SLICES, SUMS
from parentage.checkpoint import Columns
from parentage.evidence import REPLAYED, SUMS_SCHEMA
from parentage.statistics import Scattered, coarseness, is_rounded, rounded_as, tabulate
from parentage.stream import COUNTED, Gram, unpack
from parentage.support import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from parentage.bundle import Document
    from parentage.statistics import Statistics
    from parentage.stream import RangeSums
    from parentage.support import Floats

BATCH = 2048
"""Slices whose blocks are held at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """The slices that the same checkpoints have, with their sums."""

    number: int
    columns: Columns
    slices: tuple[Slice, ...]
    """As the table of slices tells them; where their elements lie is not stored."""
    sums: pl.DataFrame
    rows: pl.DataFrame
    """Their rows in the table of slices, in its order."""
    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def width(self) -> int:
        """Columns of their Gram matrices: the checkpoints, and the child."""
        return len(self.columns) + 1

    def array(self, name: str) -> NDArray[Any]:
        """Return a column of the sums: (S,), or (S, m) of lists; what is null is zero."""
        if name not in self._arrays:
            column = self.sums[name]
            if column.dtype != pl.List:
                self._arrays[name] = column.fill_null(0).to_numpy()
            else:
                known = column.drop_nulls()
                size = len(known[0]) if len(known) else 0
                filled = column.fill_null(pl.Series([[0] * size], dtype=column.dtype))
                array = filled.list.to_array(size).to_numpy() if size else np.zeros(0)
                self._arrays[name] = array.reshape(len(column), size)
        return self._arrays[name]


def parts_of(sums: pl.DataFrame, slices: pl.DataFrame, document: Document) -> list[Part]:
    """Return the parts of the tables, the main one first.

    Raises
    ------
    EvidenceError
        If the tables are not as they are written, or do not fit each other.
    """
    if dict(sums.schema) != SUMS_SCHEMA:
        raise EvidenceError(f"{SUMS}: has not the columns that it is written with")
    candidates = {document.inputs.base.name, *(each.name for each in document.inputs.parents)}
    numbers = sums["part"].unique(maintain_order=True).to_list()
    if numbers != list(range(len(numbers))):
        raise EvidenceError(f"{SUMS}: parts are not in their order")
    out, start = [], 0
    for number in numbers:
        part = sums.filter(pl.col("part") == number)
        names = part["checkpoints"][0].to_list()
        if not names or part["checkpoints"].n_unique() != 1 or len(set(names)) < len(names):
            raise EvidenceError(f"{SUMS}: part {number} is of no one list of checkpoints")
        columns = Columns(
            names[0],
            tuple(each for each in names[1:] if each in candidates),
            tuple(each for each in names[1:] if each not in candidates),
        )
        if columns.names != tuple(names):
            raise EvidenceError(f"{SUMS}: part {number} has its checkpoints in another order")
        _check_lengths(part, len(names) + 1, number)
        rows = slices.slice(start, len(part) * len(names))
        start += len(rows)
        out.append(Part(number, columns, _slices(part, rows, len(names)), part, rows))
    if start != len(slices):
        raise EvidenceError(f"{SLICES}: has {len(slices):,} rows, and {SUMS} is of {start:,}")
    return out


def _check_lengths(part: pl.DataFrame, width: int, number: int) -> None:
    lengths = {
        "gram": width * (width + 1) // 2,
        "equal": width - 1,
        "nan": width,
        "inf": width,
        "ulps": _core.ULPS,
    }
    for name, length in lengths.items():
        found = part[name].drop_nulls().list.len()
        if len(found) and not (found == length).all():
            raise EvidenceError(f"{SUMS}: {name} of part {number} has not {length} numbers")
    whole = part.select(pl.exclude(REPLAYED)).null_count().sum_horizontal()[0]
    if whole:
        raise EvidenceError(f"{SUMS}: part {number} has gaps")
    nulls = part.select(pl.col(name).is_null() for name in REPLAYED)
    if nulls.select(pl.any_horizontal(pl.all()) != pl.all_horizontal(pl.all())).to_series().any():
        raise EvidenceError(f"{SUMS}: what the recipe gives has gaps in part {number}")


def _slices(part: pl.DataFrame, rows: pl.DataFrame, count: int) -> tuple[Slice, ...]:
    """Return the slices of a part in the order of its sums, as the rows of the table tell them."""
    told = rows.gather_every(count) if len(rows) else rows
    if sorted(told["slice"].to_list()) != sorted(part["slice"].to_list()):
        raise EvidenceError(f"{SLICES}: its slices are not those of {SUMS}")
    if told["slice"].n_unique() < len(told):
        raise EvidenceError(f"{SLICES}: has a slice twice")
    by_name = {row["slice"]: row for row in told.iter_rows(named=True)}
    out = []
    for name in part["slice"].to_list():
        row = by_name[name]
        shape = tuple(row["shape"])
        size = int(np.prod(shape, dtype=np.float64)) if shape else 1
        out.append(
            Slice(
                name, row["component"], row["layer"], row["expert"], shape, row["dtype"], size, ()
            )
        )
    return tuple(out)


class _Work:
    """What is tabulated, as far as it is asked of an alignment."""

    def __init__(self, part: Part) -> None:
        self.slices = part.slices
        self.applies = part.sums["reproduced"].is_not_null().to_numpy()
        self.plan = _Plan(part.width)


@dataclass(frozen=True, slots=True)
class _Plan:
    columns: int


def restored_statistics(part: Part) -> Statistics:
    """Return the statistics of a part, made again of its sums.

    Standard errors, probabilities, and what rounding can move rest on more than sums, and mean
    nothing here.
    """
    width, count = part.width, len(part.slices)
    nothing = Scattered(
        np.zeros((0, width)),
        np.zeros(0, dtype=np.intp),
        np.zeros(0),
        np.zeros(0, dtype=np.int8),
        count,
    )
    with np.errstate(all="ignore"):
        return tabulate(_Work(part), part.columns, _ranges(part), lambda: nothing)  # type: ignore[arg-type]


def _ranges(part: Part) -> Iterator[RangeSums]:
    count, width = len(part.slices), part.width
    gram = unpack(part.array("gram"))
    energy = _raw_energy(part)
    replayed = _replayed(part)
    others = width - 2
    for first in range(0, count, BATCH):
        rows = slice(first, min(first + BATCH, count))
        size = rows.stop - rows.start
        blocks = np.zeros((size, _core.BLOCKS, width, width))
        blocks[:, 0] = gram[rows]

        def of(name: str, rows: slice = rows) -> NDArray[Any]:
            return part.array(name)[rows]

        yield (
            rows.start,
            rows.stop,
            Gram(
                n=of("n"),
                blocks=blocks,
                energy=energy[rows],
                excluded=of("excluded"),
                moved=of("moved"),
                stray=of("stray"),
                equal=of("equal"),
                nan=of("nan"),
                inf=of("inf"),
                histogram=np.zeros((size, others, _core.BINS), dtype=np.uint64),
                precision=of("precision"),
                bias=np.zeros((size, others, _core.WEIGHTS + 1)),
                squares=np.zeros((size, others)),
                used=of("used"),
            ),
            {name: each[rows] for name, each in replayed.items()},
        )


def factors_of(part: Part) -> Floats:
    """Return (S,) what the rounding energy that was read of each slice was multiplied by."""
    dtypes = rounded_as(part.slices, part.array("precision"))
    return coarseness(part.slices, dtypes) * is_rounded(part.slices)


def _raw_energy(part: Part) -> Floats:
    """Return (S,) the rounding energy as it was read: factors are powers of four, or zero."""
    factors = factors_of(part)
    stored = part.array("energy")
    return np.where(factors > 0, stored / np.where(factors > 0, factors, 1.0), 0.0)


def _replayed(part: Part) -> dict[str, NDArray[Any]]:
    """Return what the recipe gives: (S, 1) counts, zero where it was not carried out."""
    count = len(part.slices)
    if part.sums["reproduced"].null_count() == count:
        return {
            name: np.zeros((count, 0, _core.ULPS) if name == "ulps" else (count, 0), np.uint64)
            for name in COUNTED
        }
    return {name: part.array(name)[:, None] for name in REPLAYED}
