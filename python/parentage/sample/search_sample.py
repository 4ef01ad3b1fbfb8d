"""The sample that recipes are looked for in: some million elements, spread evenly."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import is_replayed
from parentage.sample.spread import search_runs
from parentage.sample.strata import drawn
from parentage.stream import Gram, one_pass
from parentage.support import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.stream import CellSpectrum, Options, Program, Value
    from parentage.support import Counts, Floats

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


@dataclass(frozen=True, slots=True)
class MatchCounts:
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


class SearchSample:
    """Runs of elements, spread evenly over every slice that has floating-point numbers.

    Of more slices than :data:`BUDGET` has :data:`LEAST`, some of every layer of every component are
    taken. A checkpoint that is small enough is in its sample whole. The choice of elements depends
    on nothing but the slices' sizes, and the seed: one run lies in each of equal strata.
    """

    def __init__(
        self,
        alignment: Alignment,
        options: Options,
        budget: int = BUDGET,
        order: Sequence[int] | None = None,
        seed: int | None = None,
    ) -> None:
        """``order`` are the columns before the child, if not in the alignment's order.

        Without a ``seed``, runs begin with their strata.
        """
        self.slices: tuple[Slice, ...] = alignment.slices
        """All slices of the alignment, sampled or not."""
        self.columns = alignment.plan.columns
        self._options = options.for_runs()
        total = sum(each.elements for each in self.slices)
        columns = [*(range(self.columns - 1) if order is None else order), self.columns - 1]
        owner: list[int] = []
        places: list[tuple[int, int]] = []
        members = [index for index, each in enumerate(self.slices) if is_replayed(each)]
        is_spread = options.is_spread(total)
        if is_spread:
            for index, start, count in search_runs(self.slices, members, budget, seed):
                owner.append(index)
                places.append((start, count))
        for index, each in enumerate(
            () if is_spread else thinned(self.slices, budget // LEAST, seed)
        ):
            if each is not None and is_replayed(each):
                found = runs(each.elements, total, budget, _of_slice(seed, index))
                owner += [index] * len(found)
                places += found
        self.owner = np.array(owner, dtype=np.intp)
        """(runs,) the slice of each run."""
        self.starts, self.counts = np.array(places, dtype=np.uint64).reshape(-1, 2).T.copy()
        """(runs,) the first element of each run in its slice, and (runs,) its elements."""
        self.plan: _core.Plan | None = None
        if owner:
            self.plan = alignment.part(self.owner, self.starts, self.counts, columns)

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
            found = one_pass(self.plan, begin, end, self._options)
            out.add(Gram.from_core(self.counts[begin:end], found), self.owner[begin:end] - first)
        return replace(out, blocks=out.total[:, None])

    @cached_property
    def elements(self) -> Floats:
        """(elements, columns) float64: the sampled elements of all checkpoints, slice by slice."""
        if self.plan is None:
            return np.zeros((0, self.columns))
        return self._options.backend.elements(
            self.plan,
            0,
            self.plan.slices,
            threads=self._options.threads,
            io=self._options.io,
        )

    def pieces(self) -> Iterator[Floats]:
        """Yield :attr:`elements` some at a time, for what need not hold all of them."""
        if self.plan is None:
            return
        sizes = self.counts.astype(np.int64)
        piece = np.cumsum(sizes) // PIECE
        edges = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(sizes)]
        for first, last in pairwise(edges):
            yield self._options.backend.elements(
                self.plan, first, last, threads=self._options.threads, io=self._options.io
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
    ) -> CellSpectrum | None:
        """Return cell spectra of groups of slices; see :meth:`parentage.stream.Backend.spectrum`.

        ``weights`` is (S, columns - 1), ``groups`` (S,); ``None`` for an empty sample. ``slices``
        are the first and the last (exclusive) that are looked at, if not all.
        """
        if self.plan is None:
            return None
        first, last = np.searchsorted(self.owner, slices or (0, len(self.slices))).tolist()
        owner = self.owner[first:last]
        return self._options.backend.spectrum(
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
            io=self._options.io,
        )

    def replay(self, programs: Sequence[tuple[Program, Sequence[Value]]]) -> MatchCounts:
        """Replay programs, each with its results, and count by slice."""
        shape = (len(self.slices), len(programs))
        zeros = [np.zeros(shape, dtype=np.uint64) for _ in range(3)]
        out = MatchCounts(*zeros)
        if self.plan is None or not programs:
            return out
        for first in range(0, self.plan.slices, AT_ONCE):
            last = min(first + AT_ONCE, self.plan.slices)
            owner, starts = self.owner[first:last], self.starts[first:last]
            found = self._options.backend.replay_slices(
                self.plan,
                first,
                last,
                [program.replay(results, owner, starts) for program, results in programs],
                threads=self._options.threads,
                io=self._options.io,
            )
            np.add.at(out.reproduced, owner, found.reproduced)
            np.add.at(out.explained, owner, found.explained)
            np.add.at(out.mismatched, owner, found.mismatched)
        return out


def _of_slice(seed: int | None, index: int) -> int | None:
    """Return a seed for one slice, so that slices alike are not read at the same places."""
    return None if seed is None else (seed * 0x9E3779B97F4A7C15 + index) % (1 << 64)


def thinned(slices: Sequence[Slice], most: int, seed: int | None = None) -> list[Slice | None]:
    """Return the slices, with ``None`` for those left out where there are more than ``most``.

    Of each layer of each component the same share is kept, in even steps, and two at least. With a
    ``seed``, it draws one of those between two steps.
    """
    if len(slices) <= most:
        return list(slices)
    groups: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for index, each in enumerate(slices):
        groups[each.component, each.layer].append(index)
    kept: list[Slice | None] = [None] * len(slices)
    for number, members in enumerate(groups.values()):
        count = min(len(members), max(2, len(members) * most // len(slices)))
        edges = np.arange(count + 1, dtype=np.uint64) * np.uint64(len(members)) // np.uint64(count)
        for place in _placed(_of_slice(seed, number), edges[:-1], edges[1:]):
            index = members[place]
            kept[index] = slices[index]
    return kept


def _placed(seed: int | None, first: NDArray[np.uint64], last: NDArray[np.uint64]) -> list[int]:
    """Return a place from ``first`` to ``last`` (exclusive) of each stratum.

    Without a seed, that is the first.
    """
    if seed is None:
        return [int(place) for place in first]
    places = drawn(seed, np.arange(len(first), dtype=np.intp), first, last)
    return [int(place) for place in places]


def runs(elements: int, total: int, budget: int, seed: int | None = None) -> list[tuple[int, int]]:
    """Return (start, count) of the runs that are read of a slice of ``elements`` elements.

    ``total`` is the size of all slices together. A ``seed`` draws a place in each of equal strata;
    without it, runs begin with theirs.

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
    first = np.arange(count, dtype=np.uint64) * np.uint64(max(step // length, 1))
    places = _placed(seed, first, first + np.uint64(max(step // length, 1)))
    return [(place * length, length) for place in places]
