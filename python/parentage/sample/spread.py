"""Where a sample is read of files that are fetched: few, long runs, spread over all slices.

Over a network a request costs as much as hundreds of kilobytes, so that no run is drawn of every
slice: a large model has tens of thousands. The slices of a component are laid end to end, cut into
places of ``length`` elements, and the places into equal strata, of each of which one is drawn, as
in :mod:`parentage.sample.strata`. Every component has two strata at least; the others are shared
out by elements. What a run stands for is its stratum, and so the sums of a slice are multiplied by
what its runs stand for, over what was read of it: sums over components and the model are estimates
of everything, while slices without a run have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.sample.strata import Growing, Strata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.support import Floats

SEARCH_RUNS = 32
"""Runs of the sample that recipes are looked for in."""

SEARCH_LENGTH = 1 << 16
"""Elements of each, at most; 128 KiB in bf16."""

LENGTH = 1 << 18
"""Elements of a run of a sample that grows; 512 KiB in bf16."""

FEWEST = 2
"""Strata of a component, if it has so many places."""


class Spread(Growing):
    """Strata over the slices of each component, laid end to end."""

    def __init__(
        self, slices: Sequence[Slice], members: Sequence[int], length: int, count: int, seed: int
    ) -> None:
        """Draw about ``count`` runs of ``length`` elements of the slices ``members``."""
        self._elements = np.array([each.elements for each in slices], dtype=np.uint64)
        names = sorted({slices[index].component for index in members})
        self._members = [
            np.array([i for i in members if slices[i].component == name], dtype=np.intp)
            for name in names
        ]
        places = [-(-self._elements[each].astype(np.int64) // length) for each in self._members]
        self._ends = [np.cumsum(each).astype(np.uint64) for each in places]
        totals = np.array([each[-1] if len(each) else 0 for each in self._ends], dtype=np.uint64)
        sizes = np.array([self._elements[each].sum() for each in self._members], dtype=np.float64)
        self._of_place = sizes / np.maximum(totals, 1)
        least = np.minimum(totals, FEWEST).astype(np.float64)
        share = sizes / max(sizes.sum(), 1.0) * max(count - least.sum(), 0.0)
        wanted = np.minimum(np.floor(least + share), totals.astype(np.float64))
        strata = Strata.draw(totals, wanted.astype(np.uint64), seed)
        total = sum(float(self._elements[each].sum()) for each in self._members)
        super().__init__(self._elements, length, strata, seed, total)

    @property
    def stands_for(self) -> Floats:
        """(S,) elements that the runs of each slice stand for."""
        strata = self._strata
        index, _ = self._located(np.ones(len(strata.owner), dtype=bool))
        sizes = (strata.last - strata.first).astype(np.float64) * self._of_place[strata.owner]
        return np.bincount(index, sizes, len(self._elements)).astype(np.float64)

    def _located(self, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Return the slice of each chosen stratum's place, and the place in it."""
        owner, place = self._strata.owner[chosen], self._strata.place[chosen]
        index = np.zeros(len(owner), dtype=np.intp)
        within = np.zeros(len(owner), dtype=np.uint64)
        for group, (members, ends) in enumerate(zip(self._members, self._ends, strict=True)):
            mine = owner == group
            at = np.searchsorted(ends, place[mine], side="right")
            index[mine] = members[at]
            within[mine] = place[mine] - np.concatenate([[np.uint64(0)], ends])[at]
        return index, within

    def _read(self, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        index, within = self._located(chosen)
        order = np.lexsort((within, index))
        return index[order], within[order]


def spread_sample(alignment: Alignment, budget: int, seed: int) -> Spread:
    """Return a growing sample of about ``budget`` bytes, over all checkpoints."""
    slices, plan = alignment.slices, alignment.plan
    total = sum(each.elements for each in slices)
    width = plan.bytes(0, plan.slices) / max(total, 1)
    count = max(1, int(budget / max(width * LENGTH, 1.0)))
    return Spread(slices, range(len(slices)), LENGTH, count, seed)


def search_runs(
    slices: Sequence[Slice], members: Sequence[int], budget: int, seed: int | None
) -> list[tuple[int, int, int]]:
    """Return (slice, start, count) of the runs that recipes are looked for in.

    Of a smaller ``budget``, which is in elements, they begin at the same places and are shorter:
    what was fetched for the one is there for the other.
    """
    found = Spread(slices, members, SEARCH_LENGTH, SEARCH_RUNS, seed or 0).fresh
    most = max(budget // max(len(found.owner), 1) // 4096 * 4096, 256)
    return [
        (int(index), int(start), min(int(count), most))
        for index, start, count in zip(found.owner, found.starts, found.counts, strict=True)
    ]
