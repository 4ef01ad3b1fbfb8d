"""Which weights round to what the child stores: cells of chunks on a device.

The definition is on the first page of the core's ``cells``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from parentage import _core
from parentage.stream.backends.torch.floats import FLOATS, binade, decode, limited, ulp
from parentage.stream.backends.torch.sums import tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.stream.backends.torch.layout import Batch
    from parentage.stream.backends.torch.sums import Columns
    from parentage.support import Floats

SLACK = 2.0**-23
"""One unit in the last place of a float32 at 1."""


@dataclass(frozen=True)
class Query:
    """What is looked for; see :meth:`parentage.stream.Backend.spectrum`."""

    weights: Floats
    """(S, C - 1)"""
    axis: int
    groups: NDArray[np.int64]
    """(S,)"""
    windows: Floats
    """(G, 2)"""
    bins: int
    widen: float
    dtype: str | None

    def is_in_range(self) -> bool:
        """Return whether products with its weights are far from the ends of float64."""
        size = np.abs(self.weights[self.weights != 0])
        return not size.size or bool(size.min() >= 2.0**-200 and size.max() <= 2.0**200)


@dataclass(frozen=True)
class Intervals:
    """Where the intervals of a batch begin and end, and how many there are, on the host."""

    steps: NDArray[np.int64]
    """(2, G (bins + 1)) beginnings less ends: of all, and of narrow ones."""
    counts: NDArray[np.int64]
    """(4, N) intervals, narrow ones, elements that are fixed, and those that are admitted."""


def intervals(
    query: Query, columns: Columns, batch: Batch, how: Arithmetic, check: Callable[[], None]
) -> Intervals:
    """Return the intervals of chunks."""
    device, slices = columns.raw[0].device, batch.chunks.slices
    kind = columns.dtypes[-1] if query.dtype is None else query.dtype
    own = torch.from_numpy(query.weights[slices]).to(device)
    window = torch.from_numpy(query.windows[query.groups[slices]]).to(device)

    def column(number: int) -> Tensor:
        return limited(decode(columns.raw[number], columns.dtypes[number])).double()

    check()
    base, stored = column(0), column(len(columns.raw) - 1)
    of_base = torch.zeros_like(own[:, 0]) if query.axis == 0 else own[:, 0]
    rest = how.fma64(of_base[:, None].expand_as(base).contiguous(), base, base)
    magnitude, direction = base.abs(), base
    for number in range(1, own.shape[1]):
        weight = own[:, number, None]
        if number == query.axis:
            value = column(number)
            magnitude = magnitude + value.abs()
            direction = value - base
        elif bool((weight != 0.0).any()):
            value = column(number)
            is_used = weight != 0.0
            magnitude = torch.where(is_used, magnitude + value.abs(), magnitude)
            fused = how.fma64(weight.expand_as(base).contiguous(), value - base, rest)
            rest = torch.where(is_used, fused, rest)
    below, above = _half_cells(stored, kind)
    slack = magnitude * SLACK
    strict = below + above
    wide = query.widen * strict
    low_end = stored - below - wide - slack - rest
    high_end = stored + above + wide + slack - rest
    counted = stored.isfinite() & magnitude.isfinite()
    if columns.valid is not None:
        counted = counted & columns.valid
    is_fixed = counted & (direction == 0.0)
    admitted = is_fixed & (low_end <= 0.0) & (high_end >= 0.0)
    moves = counted & (direction != 0.0)
    one, two = low_end / direction, high_end / direction
    ascends = one < two
    first, last = torch.where(ascends, one, two), torch.where(ascends, two, one)
    narrow = moves & (strict < _core.NARROW * direction.abs())
    low, high = window[:, 0, None], window[:, 1, None]
    meets = moves & ~((last < low) | (first > high))
    bins, groups = query.bins, torch.from_numpy(query.groups[slices]).to(device)
    per_weight = torch.full_like(low, float(bins)) / (high - low)
    begin = ((torch.where(first > low, first, low) - low) * per_weight).clamp(0, bins - 1).long()
    end = ((torch.where(last < high, last, high) - low) * per_weight).clamp(0, bins - 1).long() + 1
    check()
    total = (bins + 1) * len(query.windows)
    at = (groups * (bins + 1))[:, None].expand_as(begin)
    steps = []
    for chosen in (meets, meets & narrow):
        found = torch.bincount(at[chosen] + begin[chosen], minlength=total)
        found -= torch.bincount(at[chosen] + end[chosen], minlength=total)
        steps.append(found)
    counts = torch.stack([tally(each) for each in (moves, narrow, is_fixed, admitted)])
    return Intervals(torch.stack(steps).cpu().numpy(), counts.cpu().numpy())


def _half_cells(values: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Return how far the rounding cells of stored values reach downwards and upwards."""
    unit = ulp(values, kind)
    size = values.abs()
    is_power = (binade(values) == size) & (size > 2.0 ** FLOATS[kind].lowest)
    half = unit * 0.5
    inner = torch.where(is_power, unit * 0.25, half)
    return torch.where(values > 0.0, inner, half), torch.where(values < 0.0, inner, half)


class Spectra:
    """Cell spectra of G groups of slices, added up on the host."""

    def __init__(self, query: Query) -> None:
        groups = len(query.windows)
        self._query = query
        self._steps = np.zeros((2, groups * (query.bins + 1)), dtype=np.int64)
        self._coverage = np.zeros((groups, 2, query.bins), dtype=np.uint64)
        self._intervals = np.zeros((groups, 2), dtype=np.uint64)
        self._fixed = np.zeros((2, groups), dtype=np.uint64)

    def compute(
        self, columns: Columns, batch: Batch, how: Arithmetic, check: Callable[[], None]
    ) -> Intervals:
        """Return the intervals of a batch."""
        return intervals(self._query, columns, batch, how, check)

    def take(self, batch: Batch, found: Intervals) -> None:
        """Add the intervals of a batch."""
        self._steps += found.steps
        groups, counts = self._query.groups[batch.chunks.slices], found.counts.astype(np.uint64)
        for number in range(2):
            np.add.at(self._intervals[:, number], groups, counts[number])
            np.add.at(self._fixed[number], groups, counts[2 + number])

    def put(self, found: _core.Spectrum) -> None:
        """Add what the core found of some slices."""
        self._coverage += found.coverage
        self._intervals += found.intervals
        self._fixed += np.stack([found.fixed, found.fixed_admitted])

    def spectrum(self) -> _core.Spectrum:
        """Return all of it."""
        steps = self._steps.reshape(2, -1, self._query.bins + 1).transpose(1, 0, 2)
        coverage = np.cumsum(steps, axis=2)[:, :, :-1].astype(np.uint64) + self._coverage
        most = np.minimum(coverage, np.iinfo(np.uint32).max).astype(np.uint32)
        return _core.Spectrum(most, self._intervals, self._fixed[0], self._fixed[1])
