"""Tables of estimates by slice, layer, component and model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_matrix
from parentage.checkpoint import DTYPES, dtype_class, in_order, is_of_the_body
from parentage.statistics.estimates import estimate
from parentage.statistics.rounding import rounding_moves
from parentage.statistics.scattered import rounded_as, scatter
from parentage.stream import COUNTED, SILENT, Gram, Progress, read_ranges
from parentage.support import give_back, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.checkpoint import Columns
    from parentage.statistics.estimates import Estimates
    from parentage.statistics.scattered import Scattered
    from parentage.stream import Kept, Options, Program, RangeSums, Value
    from parentage.support import Counts, Floats

BATCH = 2048
"""Slices that are estimated at once: some tens of MB."""


@dataclass(frozen=True, slots=True)
class Table:
    """Sums and estimates of slices or of groups of them, one row each."""

    n: Counts
    used: Floats
    energy: Floats
    excluded: Counts
    moved: Counts
    stray: Counts
    equal: Counts
    nan: Counts
    inf: Counts
    precision: Counts
    estimates: Estimates
    residual: Floats
    """(S,) what is left over with weights of their own for every slice."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What R recipes reproduce of S slices."""

    applies: NDArray[np.bool_]
    """(S,) whether the slice was replayed: integers are not."""
    reproduced: Counts
    """(S, R) elements whose bits the recipe gives."""
    explained: Counts
    """(S, R) elements that one of the choices it leaves open gives."""
    mismatched: Counts
    """(S, R) elements that it does not give."""
    zero_signs: Counts
    """(S, R) of those, zeros of the other sign."""
    ulps: Counts
    """(S, R, ULPS) mismatched elements by distance in units of the last place."""
    first: NDArray[np.int64]
    """(S, R) the first mismatched element of the slice, -1 without one."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Tables of one pass."""

    slices: Table
    layers: Table
    layer_numbers: tuple[int, ...]
    components: Table
    component_names: tuple[str, ...]
    model: Table
    matrices: Floats
    """(C, C) the Gram matrix over slices with at least two rows and columns."""
    replayed: Replayed


def full_pass(
    alignment: Alignment,
    columns: Columns,
    options: Options,
    progress: Progress = SILENT,
    replays: Sequence[tuple[Program, Sequence[Value]]] = (),
    journal: Kept | None = None,
) -> Statistics:
    """Read every slice once. ``columns`` says which of the checkpoints are parents.

    ``replays`` are recipes as programs with their results, carried out in the same pass. Memory is
    bounded by the number of slices, not by their size. Slices that ``journal`` has are not read
    again, and all others are added to it as they are finished.
    """
    ranges = read_ranges(alignment, options, progress, replays, journal)
    return tabulate(alignment, columns, ranges, partial(scatter, alignment, options))


def tabulate(
    alignment: Alignment,
    columns: Columns,
    ranges: Iterable[RangeSums],
    scattered: Callable[[], Scattered],
) -> Statistics:
    """Make tables of what ranges of slices give. They come in order, and hold every slice once.

    ``scattered`` reads elements of all slices; it is asked after the last range.
    """
    slices, width = alignment.slices, alignment.plan.columns
    layer_numbers = tuple(sorted({layer for each in slices if (layer := _layer(each)) is not None}))
    component_names = tuple(in_order(each.component for each in slices))
    sums = {
        "layers": Sums(len(layer_numbers) + 1, width),
        "components": Sums(len(component_names), width),
        "model": Sums(1, width),
        "matrices": Sums(2, width),
    }
    # The last layer stands for slices that are in none.
    rows = {layer: row for row, layer in enumerate((*layer_numbers, None))}
    places = {component: row for row, component in enumerate(component_names)}
    labels = {
        "layers": np.array([rows[_layer(each)] for each in slices], dtype=np.intp),
        "components": np.array([places[each.component] for each in slices], dtype=np.intp),
        "model": np.zeros(len(slices), dtype=np.intp),
        "matrices": is_matrix(slices).astype(np.intp),
    }
    in_pool = is_pooled(slices)
    parts: list[Table] = []
    counted: list[dict[str, NDArray[Any]]] = []
    held: list[Gram] = []
    start = 0
    for _, last, part, counts in ranges:
        held.append(part)
        counted.append(counts)
        if last - start >= BATCH or last == len(slices):
            whole = joined(held)
            table = _table(whole, columns)
            parts.append(table)
            taken = _pooled(whole, table, in_pool[start:last])
            for name, label in labels.items():
                sums[name].add(*taken, label[start:last])
            held, start = [], last
    table = joined(parts)
    give_back()
    dtypes = rounded_as(slices, table.precision)
    factors = coarseness(slices, dtypes) * is_rounded(slices)
    table = replace(table, energy=table.energy * factors)
    for name, each in sums.items():
        each.set_energy(table.energy * in_pool, labels[name])
    told = partial(_told_by, scattered(), dtypes, len(columns.parents))
    return Statistics(
        slices=told(np.arange(len(slices)), table),
        layers=told(labels["layers"], sums["layers"].table(columns, drop_last=True)),
        layer_numbers=layer_numbers,
        components=told(labels["components"], sums["components"].table(columns)),
        component_names=component_names,
        model=told(labels["model"], sums["model"].table(columns)),
        matrices=sums["matrices"].gram.total[1],
        replayed=Replayed(
            alignment.applies,
            **{name: np.concatenate([each[name] for each in counted]) for name in COUNTED},
        ),
    )


class Sums:
    """Running sums of groups of slices."""

    def __init__(self, groups: int, columns: int) -> None:
        self.gram = Gram.zeros(groups, columns)
        self.residual = np.zeros(groups)

    def add(self, part: Gram, table: Table, labels: NDArray[np.intp]) -> None:
        """Add slices, each to the group that ``labels`` names."""
        self.gram.add(part, labels)
        np.add.at(self.residual, labels, table.residual)

    def set_energy(self, energy: Floats, labels: NDArray[np.intp]) -> None:
        """Replace the groups' rounding energy by the sums of the slices'."""
        self.gram.energy[:] = 0.0
        np.add.at(self.gram.energy, labels, energy)

    def table(self, columns: Columns, *, drop_last: bool = False) -> Table:
        """Estimate from the sums."""
        keep = slice(None, -1) if drop_last else slice(None)
        table = _table(self.gram.select(keep), columns)
        return replace(table, residual=self.residual[keep])


def coarseness(slices: Sequence[Slice], dtypes: Sequence[str]) -> Floats:
    """Return (S,) what the rounding energy of each slice is to be multiplied by.

    A child rounded to bf16 and then stored as float32 has the rounding of bf16: that is what
    ``dtypes`` (S,) say, by :func:`parentage.statistics.scattered.rounded_as`.
    """
    kept = [DTYPES[name].digits or 0 for name in dtypes]
    stored = [DTYPES[each.dtype].digits or 0 for each in slices]
    return np.array([4.0 ** (had - has) for had, has in zip(stored, kept, strict=True)])


def _told_by(
    scattered: Scattered,
    dtypes: Sequence[str],
    parents: int,
    labels: NDArray[np.intp],
    table: Table,
) -> Table:
    """Return a table with what scattered elements tell of its rows; ``labels`` (S,) are those."""
    estimates = table.estimates
    ours = slice(1, 1 + parents)
    moves = rounding_moves(
        scattered,
        dtypes,
        labels,
        estimates.gram[:, ours, ours],
        estimates.parents.weights,
        estimates.standard_error,
    )
    rows = len(table.n)
    taken = labels < rows
    across = []
    for values in scattered.across:
        total = np.zeros((rows, values.shape[1]))
        np.add.at(total, labels[taken], values[taken])
        across.append(total)
    return replace(table, estimates=estimates.widened(moves, (across[0], across[1])))


MEASURED = (".running_mean", ".running_var", ".moving_mean", ".moving_variance")
"""How names end of what batch normalisation measures: torch.nn.BatchNorm2d, keras.layers."""


def is_rounded(slices: Sequence[Slice]) -> NDArray[np.bool_]:
    """Return (S,) whether a slice has rounding: integers are copies or differ, unless all are."""
    floats = np.array([dtype_class(each.dtype) != "integer" for each in slices], dtype=bool)
    return floats if floats.any() else np.ones(len(slices), dtype=bool)


def is_pooled(slices: Sequence[Slice]) -> NDArray[np.bool_]:
    """Return (S,) whether a slice has a part in the energies of its layer, component and model.

    The units of integers are not those of weights. Nor are those of statistics that batch
    normalisation keeps, which are measured, not trained: of a thousandth of the elements, they may
    have most of the energy. Both are left out, unless there is nothing else.
    """
    rounded = is_rounded(slices)
    measured = np.array([each.name.endswith(MEASURED) for each in slices], dtype=bool)
    return rounded & ~measured if (rounded & ~measured).any() else rounded


def _pooled(part: Gram, table: Table, pooled: NDArray[np.bool_]) -> tuple[Gram, Table]:
    """Return sums and estimates without the energies of slices that have no part in the pool."""
    if pooled.all():
        return part, table
    none = ~pooled
    without = {
        name: getattr(part, name).copy() for name in ("blocks", "energy", "bias", "squares", "used")
    }
    for values in without.values():
        values[none] = 0.0
    return replace(part, **without), replace(table, residual=table.residual * pooled)


def _layer(each: Slice) -> int | None:
    """Return the layer of a slice; towers beside the language model count layers of their own."""
    return each.layer if is_of_the_body(each.component) else None


def _table(part: Gram, columns: Columns) -> Table:
    estimates = estimate(part, columns)
    return Table(
        part.n,
        part.used,
        part.energy,
        part.excluded,
        part.moved,
        part.stray,
        part.equal,
        part.nan,
        part.inf,
        part.precision,
        estimates,
        estimates.free.residual,
    )
