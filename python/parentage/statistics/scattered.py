"""Scattered elements: some of every slice, for what sums over all of it do not tell.

Gram matrices by block say nothing of how single numbers were rounded, nor of what the columns of a
matrix have in common: blocks are runs of rows. For both, short runs are read all over every slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint import rounding_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.stream import Options
    from parentage.support import Counts, Floats

BUDGET = 1 << 17
"""Elements of each checkpoint that are read about."""

LEAST = 16
"""Elements of a slice that are read at least."""

RUN = 64
"""Consecutive elements that are read at a place, at most."""

MOST_RUNS = 64
"""Runs that are taken, if they are to be of those that were read."""

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Scattered:
    """N elements of S slices of C columns: base, parents, controls, child."""

    elements: Floats
    """(N, C) decoded values, all finite, in weight units."""
    owner: NDArray[np.intp]
    """(N,) the slice of each."""
    stands_for: Floats
    """(N,) how many elements of its slice each stands for, itself included."""
    block: NDArray[np.int8]
    """(N,) the block of columns that it lies in, of as many as there are blocks of rows; of a
    vector, the block of elements."""
    slices: int
    """S."""

    @cached_property
    def displacements(self) -> Floats:
        """(N, C - 1) parents, controls and child, as displacements from the base."""
        moved: Floats = self.elements[:, 1:] - self.elements[:, :1]
        return moved

    @cached_property
    def across(self) -> tuple[Floats, Floats]:
        """Inner products with the child by blocks of columns: (S, C - 2) sums, and of squares."""
        keys = self.owner * _core.BLOCKS + self.block
        others = self.displacements.shape[1] - 1
        child = self.displacements[:, -1] * self.stands_for
        inner = np.zeros((self.slices * _core.BLOCKS, others))
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(others):
                products = self.displacements[:, i] * child
                inner[:, i] = np.bincount(keys, products, len(inner))
            blocks = inner.reshape(self.slices, _core.BLOCKS, others)
            return blocks.sum(axis=1), (blocks**2).sum(axis=1)


def places(elements: int, most: int) -> list[tuple[int, int]]:
    """Return (start, count) of the runs that are read of a slice of ``elements`` elements.

    One lies in each of equal strata, at a place that follows the golden ratio: even steps would
    meet the same columns of a matrix over and over.

    >>> places(100, 128), len(places(1 << 20, 1 << 12)), places(0, 16)
    ([(0, 100)], 64, [])
    """
    if elements <= most:
        return [(0, elements)] if elements else []
    length = min(RUN, most)
    runs = most // length
    width = elements // runs
    return [
        (i * width + int(((i + 1) * _GOLDEN % 1.0) * (width - length + 1)), length)
        for i in range(runs)
    ]


def scatter(
    alignment: Alignment,
    options: Options,
    budget: int = BUDGET,
    where: Sequence[tuple[int, int, int]] | None = None,
) -> Scattered:
    """Read scattered elements of every slice of an alignment.

    ``where`` are (slice, start, count) of runs that were read, if nothing else is to be: the
    first elements of some of them are taken, in place of all slices'.

    Raises
    ------
    ParentageError
        If a checkpoint is damaged or unreadable.
    """
    slices = alignment.slices
    most = max(LEAST, budget // max(len(slices), 1))
    if where is None:
        found = [places(each.elements, most) for each in slices]
        owner = np.repeat(np.arange(len(slices)), [len(each) for each in found])
        runs = np.array([run for each in found for run in each], dtype=np.uint64).reshape(-1, 2)
    else:
        # The last ones were just read.
        few = sorted(where[-MOST_RUNS:])
        owner = np.array([index for index, _, _ in few], dtype=np.intp)
        short = [(start, min(count, budget // MOST_RUNS)) for _, start, count in few]
        runs = np.array(short, dtype=np.uint64).reshape(-1, 2)
    starts, counts = runs.T.copy()
    if not len(owner):
        nothing = np.zeros(0, dtype=np.intp)
        empty = np.zeros((0, alignment.plan.columns))
        return Scattered(empty, nothing, np.zeros(0), np.zeros(0, dtype=np.int8), len(slices))
    plan = alignment.part(owner, starts, counts)
    how = options.for_runs()
    read = how.backend.elements(plan, 0, plan.slices, threads=how.threads, io=how.io)
    sizes = np.array([each.elements for each in slices], dtype=np.float64)
    taken = np.bincount(owner, counts.astype(np.float64), len(slices))
    of_element = np.repeat(owner, counts.astype(np.intp))
    block = np.concatenate(
        [
            _block(slices[i], np.arange(start, start + count))
            for i, start, count in zip(owner, starts.tolist(), counts.tolist(), strict=True)
        ]
    )
    finite = np.isfinite(read).all(axis=1)
    with np.errstate(invalid="ignore"):
        finite &= np.isfinite(read[:, 1:] - read[:, :1]).all(axis=1)
    if not finite.all():
        read, of_element, block = read[finite], of_element[finite], block[finite]
    stands_for = (sizes / np.maximum(taken, 1.0))[of_element]
    return Scattered(read, of_element, stands_for, block, len(slices))


def _block(each: Slice, at: NDArray[np.int64]) -> NDArray[np.int8]:
    """Return the block of columns of elements ``at`` of a slice."""
    rows = each.shape[0] if len(each.shape) > 1 else 1
    columns = max(each.elements // max(rows, 1), 1)
    block = (at % columns) * _core.BLOCKS // columns
    return block.astype(np.int8)


def rounded_as(slices: Sequence[Slice], precision: Counts) -> list[str]:
    """Return the dtype whose rounding each slice has, by ``precision`` (S,), the bits it uses.

    A child rounded to bf16 and then stored as float32 has the rounding of bf16. All slices of
    one dtype are taken together: one that holds nothing but ones does not tell how it was rounded.
    """
    dtypes = np.array([each.dtype for each in slices])
    kept = {
        dtype: rounding_of(dtype, int(precision[dtypes == dtype].max()))
        for dtype in ("F16", "F32", "F64")
        if (dtypes == dtype).any()
    }
    return [kept.get(each.dtype, each.dtype) for each in slices]
