"""The sampled elements of a child as an arithmetic sees them, and intervals of coefficients.

The rounding cell of an element less its base is an interval of what was added to the base. Divided
by the displacement of a parent it is an interval of the coefficient that the displacement was
multiplied by, if that alone was added; the coefficient is where most of these intervals meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from parentage.checkpoint import DTYPES, half_cells, to_bf16

if TYPE_CHECKING:
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.sample import SearchSample
    from parentage.support import Floats

Bools = NDArray[np.bool_]

Places = NDArray[np.intp]

NARROW = 0.04
"""Relative width of an interval of coefficients up to which it is looked at."""

RANGE = (0.02, 30.0)
"""Least and greatest coefficient that are considered."""

STEP = 0.005
"""Relative width of the bins of the first search."""

PROMINENT = 4.0
"""Least height of a peak over the median around it."""

LEAST_PEAK = 0.02
"""Least share of narrow intervals at a peak."""

BF16_ERROR = 3.0 * 2.0**-9
"""Relative error of a displacement that was rounded to bf16 at every step."""


def cell(values: Floats, dtype: str) -> tuple[Floats, Floats]:
    """Return the lower and the upper end of the rounding cells of values of a dtype.

    >>> [end.tolist() for end in cell(np.array([1.0, -3.0]), "BF16")]
    [[0.998046875, -3.0078125], [1.00390625, -2.9921875]]
    """
    below, above = half_cells(values, dtype)
    return values - below, values + above


def deepest_overlap(
    low: Floats, high: Floats, owner: Places, count: int
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return where most intervals of each owner meet: (count,) middle, half width, and how many do.

    ``low``, ``high`` and ``owner`` (intervals,) are the ends of intervals and whose they are, 0 to
    ``count`` - 1. Middle and half width are NaN for owners without intervals.

    >>> middle, half, depth = deepest_overlap(
    ...     np.array([0.0, 0.5, 3.0]), np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), 3
    ... )
    >>> middle.tolist(), half.tolist(), depth.tolist()
    ([0.75, 3.5, nan], [0.25, 0.5, nan], [2, 1, 0])
    """
    middle, half = np.full(count, np.nan), np.full(count, np.nan)
    depth = np.zeros(count, dtype=np.intp)
    if len(low) == 0:
        return middle, half, depth
    order = np.argsort(owner, kind="stable")
    low, high = low[order], high[order]
    ends = np.cumsum(np.bincount(owner, minlength=count))
    for own, end in enumerate(ends):
        first = int(ends[own - 1]) if own else 0
        if end > first:
            opened, closed = np.sort(low[first:end]), np.sort(high[first:end])
            # At each beginning: those that have begun, less those that ended before it.
            ended = np.searchsorted(closed, opened, side="left")
            depths = np.arange(1, len(opened) + 1) - ended
            place = int(depths.argmax())
            start, stop = opened[place], closed[min(int(ended[place]), len(closed) - 1)]
            middle[own], half[own] = (start + stop) / 2.0, (stop - start) / 2.0
            depth[own] = depths[place]
    return middle, half, depth


def rows_of(sample: SearchSample) -> Places:
    """Return (elements,) the row of each element, counted through all slices of a whole sample.

    A tensor of one axis is one row.
    """
    lengths = []
    for slice_, count in zip(sample.owner, sample.counts, strict=True):
        shape, elements = sample.slices[slice_].shape, int(count)
        width = shape[-1] if len(shape) > 1 and shape[-1] > 1 else elements
        lengths.append(np.full(elements // width, width) if elements % width == 0 else [elements])
    every = np.concatenate(lengths)
    return np.repeat(np.arange(len(every)), every)


def ranks(sizes: Floats, owner: Places) -> Floats:
    """Return (elements,) each element's rank by size among those of its owner, from 0 to 1.

    >>> ranks(np.array([3.0, 1.0, 2.0, 5.0]), np.array([0, 0, 0, 1])).tolist()
    [1.0, 0.0, 0.5, 0.0]
    """
    order = np.lexsort((sizes, owner))
    counts = np.bincount(owner)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    places = np.empty(len(sizes))
    places[order] = np.arange(len(sizes)) - starts[owner[order]]
    return places / np.maximum(counts[owner] - 1, 1)


def view_dtype(estimates: SampleEstimates) -> str:
    """Return the dtype whose rounding cells a view takes for those of the child."""
    return estimates.out_dtype if DTYPES[estimates.out_dtype].is_searched else "F32"


class View:
    """Sampled elements as an arithmetic sees them: displacements, and cells of what was added."""

    def __init__(self, estimates: SampleEstimates, sample: SearchSample, arithmetic: str) -> None:
        """Take the elements of a sample of which all columns are finite."""
        values = sample.elements
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            values = values[finite]
        self.owner: Places = sample.element_owner[finite]
        self.sample = sample
        self.slices = len(sample.slices)
        self.rows: Places = self.owner
        """(elements,) the row of each element, or its slice where rows are not in the sample."""
        if sample.is_whole and finite.all():
            self.rows = rows_of(sample)
        self.arithmetic = arithmetic
        base = values[:, 0].astype(np.float32)
        deltas = [values[:, i].astype(np.float32) - base for i in estimates.columns.parent_indices]
        if arithmetic == "bfloat16":
            deltas = [to_bf16(delta).astype(np.float32) for delta in deltas]
        self.deltas: Floats = np.array([delta.astype(np.float64) for delta in deltas])
        """(parents, elements) what each parent adds to the base, rounded as the arithmetic does."""
        child, base64 = values[:, -1], values[:, 0]
        low, high = cell(child, view_dtype(estimates))
        self.change: Floats = child - base64
        slack = 2.0**-23 * (np.abs(base64) + np.abs(self.change))
        if arithmetic == "bfloat16":
            slack = slack + BF16_ERROR * np.abs(self.change)
            if estimates.out_dtype != "BF16":
                # The file has more digits than the arithmetic.
                low, high = cell(child, "BF16")
        self.low: Floats = low - base64 - slack
        """(elements,) the lower end of the cell of what was added to the base."""
        self.high: Floats = high - base64 + slack
        """(elements,) the upper end."""
        grain = cell(base64, "BF16" if arithmetic == "bfloat16" else view_dtype(estimates))
        self.width: Floats = grain[1] - grain[0]
        """(elements,) the width of the cell of the base, which no mask has a part in."""
        self._ranks: dict[int, Floats] = {}
        self.moved: Bools = child != base64
        """(elements,) whether the child differs from the base."""

    def ranks(self, axis: int) -> Floats:
        """Return (elements,) each element's :func:`ranks` by a parent's displacement in its row."""
        if axis not in self._ranks:
            self._ranks[axis] = ranks(np.abs(self.deltas[axis]), self.rows)
        return self._ranks[axis]

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.owner)

    def admits(self, change: Floats, size: Floats | None = None) -> Bools:
        """Return (elements,) whether the cells admit that ``change`` (elements,) was added.

        ``size`` (elements,) is the sum of absolute terms, if there were several to be rounded.
        """
        extra = BF16_ERROR * size if self.arithmetic == "bfloat16" and size is not None else 0.0
        admitted: Bools = (change >= self.low - extra) & (change <= self.high + extra)
        return admitted

    def intervals(self, axis: int) -> tuple[Floats, Floats, Places]:
        """Return the lower and upper ends, and the slices, of a parent's coefficient intervals.

        Only narrow ones, in :data:`RANGE`, of elements that changed.
        """
        delta = self.deltas[axis]
        rows = np.flatnonzero(self.moved & (delta != 0.0))
        one, two = self.low[rows] / delta[rows], self.high[rows] / delta[rows]
        low, high = np.minimum(one, two), np.maximum(one, two)
        reach = NARROW if self.arithmetic == "float32" else NARROW + 2.0 * BF16_ERROR
        narrow = (low > RANGE[0]) & (high < RANGE[1]) & (high < low * (1.0 + reach))
        return low[narrow], high[narrow], self.owner[rows[narrow]]


def prominent_coefficient(view: View, axis: int) -> float | None:
    """Return the coefficient that most intervals of a parent admit, to half a percent.

    ``None`` if it does not stand out from the coefficients around it.
    """
    low, high, _ = view.intervals(axis)
    if len(low) < 50:
        return None
    first = ((np.log(low) - np.log(RANGE[0])) / STEP).astype(np.intp)
    last = ((np.log(high) - np.log(RANGE[0])) / STEP).astype(np.intp)
    bins = int(np.log(RANGE[1] / RANGE[0]) / STEP) + 2
    cover = np.cumsum(
        np.bincount(first, minlength=bins + 1) - np.bincount(last + 1, minlength=bins + 1)
    )
    peak = int(cover.argmax())
    around = cover[max(0, peak - 140) : peak + 140]
    if cover[peak] < LEAST_PEAK * len(low) or cover[peak] < PROMINENT * np.median(around):
        return None
    return float(RANGE[0] * np.exp((peak + 0.5) * STEP))
