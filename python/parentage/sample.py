"""Looks at a few elements before anything is concluded from what pairs by name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import dtype_class, scale_of, tables
from parentage.checkpoint import is_of_the_body, places_of
from parentage.gram import Gram, joined, unpack
from parentage.statistics import likeness
from parentage.stream import IO_OF_RUNS, is_replayed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.gram import Counts, Floats
    from parentage.replay import Program, Value
    from parentage.stream import Options

AT_ONCE = 1 << 11
"""Runs whose partial results are held at once: some tens of MB."""
BUDGET = 1 << 21
"""Elements of each checkpoint that a sample aims at."""
PIECE = 1 << 17
"""Elements of each checkpoint that are held at a time, about, where not all have to be."""
RUN = 1 << 12
"""Consecutive elements read at a place: whole pages of any dtype."""
LEAST = 256
"""Elements of a slice that a sample holds at least, or all of them."""

ELEMENTS = 1 << 14
"""Elements compared of each pair of tensors."""
LEAST_ELEMENTS = 1 << 12
"""Elements from which on a tensor is large enough for its cosine to mean something."""
SAME_LAYER = 0.5
"""Least cosine of two layers of one origin: continued training keeps 0.9, strangers have 0.01."""
LAYERS = 128
"""Layers of each checkpoint that are tried."""


def crossed_likeness(child: Checkpoint, other: Checkpoint, options: Options) -> float:
    """Return the largest |cosine| between a layer of ``child`` and *any* layer of ``other``.

    It tells layers that were moved from layers that are strange; 0 if no kind of matrix is in both.
    """
    crossed = crossed_layers(child, other, options)
    return 0.0 if crossed is None else float(np.nanmax(np.abs(crossed[2]), initial=0.0))


def crossed_layers(
    child: Checkpoint, other: Checkpoint, options: Options
) -> tuple[list[int], list[int], Floats] | None:
    """Return layers of both, and the cosine between any two of them, (child's, other's).

    Only the first elements of one matrix per layer are read: the smallest kind of matrix that is
    large enough. ``None`` if none is in both.
    """
    kinds = _matrices(child)
    theirs = _matrices(other)
    shared = [kind for kind in kinds if kind in theirs]
    if not shared:
        return None
    kind = min(shared, key=lambda kind: kinds[kind][0].elements)
    mine, yours = kinds[kind][:LAYERS], theirs[kind][:LAYERS]
    pairs = [(b.index, a.index) for a in mine for b in yours]
    tensors = np.array(pairs, dtype=np.uint64)
    elements = np.full(len(pairs), min(mine[0].elements, ELEMENTS), dtype=np.uint64)
    plan = _core.Plan([other.core, child.core], elements, tensors, np.zeros_like(tensors))
    found = _core.gram(plan, 0, plan.slices, threads=options.threads, io=IO_OF_RUNS)
    cosine = likeness(unpack(found.gram).sum(axis=1))[:, 0]
    return (
        [each.layer or 0 for each in mine],
        [each.layer or 0 for each in yours],
        cosine.reshape(len(mine), len(yours)),
    )


def strange_layers(alignment: Alignment, options: Options) -> bool:
    """Return whether some layer of the child is no relative of the base's of the same number.

    One matrix per layer is looked at, and no more than its first elements.
    """
    seen: dict[int, Slice] = {}
    for each in alignment.slices:
        is_matrix = sum(size > 1 for size in each.shape) >= 2 and each.elements >= LEAST_ELEMENTS
        in_body = each.layer is not None and is_of_the_body(each.component)
        if is_matrix and in_body and is_replayed(each):
            seen.setdefault(each.layer or 0, each)
    if not seen:
        return False
    slices = list(seen.values())
    tensors = [[each.extents[i].tensor for i in (0, -1)] for each in slices]
    starts = [[each.extents[i].start for i in (0, -1)] for each in slices]
    plan = _core.Plan(
        [alignment.checkpoints[i] for i in (0, -1)],
        np.array([min(each.elements, ELEMENTS) for each in slices], dtype=np.uint64),
        np.array(tensors, dtype=np.uint64),
        np.array(starts, dtype=np.uint64),
    )
    found = _core.gram(plan, 0, plan.slices, threads=options.threads, io=IO_OF_RUNS)
    cosine = likeness(unpack(found.gram).sum(axis=1))[:, 0]
    return bool(np.any(np.nan_to_num(cosine) < SAME_LAYER))


def moved_layers(child: Checkpoint, base: Checkpoint, options: Options) -> dict[int, int]:
    """Return the base's layer that each layer of the child is of, where it is not the same number.

    Empty if no layer was moved, or if it can not be told. Fine-tuning leaves layers so like their
    origin, and layers of one model so unlike each other, that the largest cosine tells.
    """
    crossed = crossed_layers(child, base, options)
    if crossed is None:
        return {}
    mine, yours, cosine = crossed
    out = {}
    for row, layer in enumerate(mine):
        best = int(np.nanargmax(cosine[row])) if np.isfinite(cosine[row]).any() else 0
        if not cosine[row, best] >= SAME_LAYER:
            return {}
        if yours[best] != layer:
            out[layer] = yours[best]
    return out


def _matrices(checkpoint: Checkpoint) -> dict[tuple[str, tuple[int, ...]], list[Tensor]]:
    """Return matrices that occur in several layers, by name without the layer, and shape."""
    kinds: dict[tuple[str, tuple[int, ...]], list[Tensor]] = defaultdict(list)
    placed = zip(checkpoint.tensors.values(), places_of(checkpoint), strict=True)
    for tensor, (component, layer, _) in placed:
        if len(tensor.shape) != 2 or tensor.elements < LEAST_ELEMENTS:
            continue
        in_body = layer is not None and is_of_the_body(component)
        readable = dtype_class(tensor.dtype) == "float" and scale_of(tensor, checkpoint) is None
        if in_body and readable:
            name = tensor.name.replace(f".{layer}.", ".*.", 1)
            kinds[name, tensor.shape].append(tensor)
    return {
        kind: sorted(t, key=lambda each: each.layer or 0) for kind, t in kinds.items() if len(t) > 1
    }


@dataclass(frozen=True, slots=True)
class Counted:
    """What R replays reproduce of S slices of a sample, each (S, R)."""

    reproduced: Counts
    explained: Counts
    mismatched: Counts

    @property
    def share(self) -> Floats:
        """(R,) share of all elements that are reproduced or explained."""
        good = (self.reproduced + self.explained).sum(axis=0).astype(np.float64)
        total = good + self.mismatched.sum(axis=0)
        return np.where(total > 0, good / np.maximum(total, 1), 0.0)


class Sample:
    """Runs of elements, spread evenly over every slice that has floating-point numbers.

    Of more slices than :data:`BUDGET` has :data:`LEAST`, some of every layer of every component are
    taken. A checkpoint that is small enough is in its sample whole. The choice of elements depends
    on nothing but the slices' sizes.
    """

    def __init__(
        self,
        alignment: Alignment,
        parents: int,
        options: Options,
        budget: int = BUDGET,
        order: Sequence[int] | None = None,
    ) -> None:
        """``order`` are the columns before the child, if not in the alignment's order."""
        self.slices: tuple[Slice, ...] = alignment.slices
        """All slices of the alignment, sampled or not."""
        self.parents = parents
        """How many columns after the base are parents."""
        self.columns = alignment.plan.columns
        self._options = options
        total = sum(each.elements for each in self.slices)
        columns = [*(range(self.columns - 1) if order is None else order), self.columns - 1]
        owner: list[int] = []
        places: list[tuple[int, int]] = []
        for index, each in enumerate(thinned(self.slices, budget // LEAST)):
            if each is not None and is_replayed(each):
                found = runs(each.elements, total, budget)
                owner += [index] * len(found)
                places += found
        self.owner = np.array(owner, dtype=np.intp)
        """(runs,) the slice of each run."""
        self.starts, self.counts = np.array(places, dtype=np.uint64).reshape(-1, 2).T.copy()
        """(runs,) the first element of each run in its slice, and (runs,) its elements."""
        self.plan: _core.Plan | None = None
        if owner:
            _, tensors, starts = tables(self.slices)
            self.plan = _core.Plan(
                [alignment.checkpoints[column] for column in columns],
                self.counts,
                np.ascontiguousarray(tensors[self.owner][:, columns]),
                np.ascontiguousarray(starts[self.owner][:, columns] + self.starts[:, None]),
            )

    @property
    def is_whole(self) -> bool:
        """Whether every element of every slice is in the sample."""
        return int(self.counts.sum()) == sum(each.elements for each in self.slices)

    @cached_property
    def weight(self) -> Floats:
        """(S,) sampled elements of each slice."""
        sizes = self.counts.astype(np.float64)
        return np.bincount(self.owner, sizes, len(self.slices)).astype(np.float64)

    @cached_property
    def gram(self) -> Gram:
        """Gram matrices and counters of the sampled elements, one row per slice.

        Of what is sampled there are no blocks: ``blocks`` is (S, 1, C, C), their sum.
        """
        edges = [*range(0, len(self.slices), AT_ONCE), len(self.slices)]
        return joined([self._gram(first, last) for first, last in pairwise(edges)])

    def _gram(self, first: int, last: int) -> Gram:
        """Return the Gram matrices of slices ``first`` to ``last`` (exclusive)."""
        out = Gram.zeros(last - first, self.columns)
        begin, end = np.searchsorted(self.owner, [first, last]).tolist()
        if self.plan is not None and begin < end:
            found = _core.gram(self.plan, begin, end, threads=self._options.threads, io=IO_OF_RUNS)
            out.add(Gram.from_core(self.counts[begin:end], found), self.owner[begin:end] - first)
        return replace(out, blocks=out.total[:, None])

    @cached_property
    def elements(self) -> Floats:
        """(elements, columns) float64: the sampled elements of all checkpoints, slice by slice."""
        if self.plan is None:
            return np.zeros((0, self.columns))
        return _core.elements(
            self.plan,
            0,
            self.plan.slices,
            threads=self._options.threads,
            io=IO_OF_RUNS,
        )

    def pieces(self) -> Iterator[Floats]:
        """Yield :attr:`elements` some at a time, for what need not hold all of them."""
        if self.plan is None:
            return
        sizes = self.counts.astype(np.int64)
        piece = np.cumsum(sizes) // PIECE
        edges = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(sizes)]
        for first, last in pairwise(edges):
            yield _core.elements(
                self.plan, first, last, threads=self._options.threads, io=IO_OF_RUNS
            )

    @cached_property
    def element_owner(self) -> NDArray[np.intp]:
        """(elements,) the slice of each of :attr:`elements`."""
        return np.repeat(self.owner, self.counts.astype(np.intp))

    def forget(self) -> None:
        """Free elements and matrices; they are read again when they are asked for."""
        for name in ("elements", "element_owner", "gram"):
            self.__dict__.pop(name, None)

    def spectrum(
        self,
        weights: Floats,
        axis: int,
        groups: NDArray[np.intp],
        windows: Floats,
        bins: int,
        *,
        widen: float = 0.0,
        dtype: str | None = None,
        slices: tuple[int, int] | None = None,
    ) -> _core.Spectrum | None:
        """Return cell spectra of groups of slices; see :func:`parentage._core.spectrum`.

        ``weights`` is (S, columns - 1), ``groups`` (S,); ``None`` for an empty sample. ``slices``
        are the first and the last (exclusive) that are looked at, if not all.
        """
        if self.plan is None:
            return None
        first, last = np.searchsorted(self.owner, slices or (0, len(self.slices))).tolist()
        owner = self.owner[first:last]
        return _core.spectrum(
            self.plan,
            first,
            last,
            weights=np.ascontiguousarray(weights[owner], dtype=np.float64),
            axis=axis,
            groups=groups[owner].tolist(),
            windows=np.ascontiguousarray(windows),
            bins=bins,
            threads=self._options.threads,
            widen=widen,
            dtype=dtype,
            io=IO_OF_RUNS,
        )

    def replay(self, programs: Sequence[tuple[Program, Sequence[Value]]]) -> Counted:
        """Replay programs, each with its results, and count by slice."""
        shape = (len(self.slices), len(programs))
        zeros = [np.zeros(shape, dtype=np.uint64) for _ in range(3)]
        out = Counted(*zeros)
        if self.plan is None or not programs:
            return out
        for first in range(0, self.plan.slices, AT_ONCE):
            last = min(first + AT_ONCE, self.plan.slices)
            owner, starts = self.owner[first:last], self.starts[first:last]
            found = _core.replay_slices(
                self.plan,
                first,
                last,
                [program.replay(results, owner, starts) for program, results in programs],
                threads=self._options.threads,
                io=IO_OF_RUNS,
            )
            np.add.at(out.reproduced, owner, found.reproduced)
            np.add.at(out.explained, owner, found.explained)
            np.add.at(out.mismatched, owner, found.mismatched)
        return out


def thinned(slices: Sequence[Slice], most: int) -> list[Slice | None]:
    """Return the slices, with ``None`` for those left out where there are more than ``most``.

    Of each layer of each component the same share is kept, in even steps, and two at least.
    """
    if len(slices) <= most:
        return list(slices)
    groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for index, each in enumerate(slices):
        groups[each.component, each.layer].append(index)
    kept: list[Slice | None] = [None] * len(slices)
    for members in groups.values():
        count = min(len(members), max(2, len(members) * most // len(slices)))
        for i in range(count):
            index = members[i * len(members) // count]
            kept[index] = slices[index]
    return kept


def runs(elements: int, total: int, budget: int) -> list[tuple[int, int]]:
    """Return (start, count) of the runs that are read of a slice of ``elements`` elements.

    ``total`` is the size of all slices together.

    >>> runs(1000, 5000, 5000), len(runs(1 << 20, 1 << 24, 1 << 20)), runs(1 << 20, 1 << 24, 0)
    ([(0, 1000)], 16, [(0, 256)])
    """
    share = elements if total <= budget else max(LEAST, elements * budget // total)
    if share >= elements:
        return [(0, elements)]
    length = min(RUN, share)
    # Whole runs alone: the last of more would reach beyond the slice.
    count = min(-(-share // RUN), elements // length)
    # Even steps, in whole runs, so that reads are of whole pages wherever tensors begin on one.
    step = elements // count // length * length
    return [(i * max(step, length), length) for i in range(count)]
