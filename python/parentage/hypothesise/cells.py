"""Rounding cells: the weights that most stored values of the child admit.

The core counts, for every weight in a window, the elements whose rounding cell admits it: a
spectrum (see ``cells.rs``). Here the peak of a spectrum is found, in ever narrower windows. For
several parents the peak of each is found in turn, with the weights of the others held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import digits_of
from parentage.hypothesise.cell_interior import refine_inside_cells
from parentage.support import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.sample import SearchSample
    from parentage.stream import CellSpectrum
    from parentage.support import Counts, Floats

AT_ONCE = 256
"""Groups whose spectra are held at once: some MB."""

BINS = 2048
"""Bins of a window: four windows, each some bins of the one before, come to 1e-10 of the first."""

ZOOMS = 4
"""Windows, each around the peak in the one before, at most."""

FINEST = 2e-11
"""Width of a bin below which no narrower window is looked at: windows that are narrow from the
start come to it sooner."""

WIDE = 128
"""Bins of a plateau from which on its ends are known well enough."""

WINDOW = (-1.0, 2.0)
"""Least and greatest weight that are considered."""

LARGEST = 1e6
"""Largest weight, or negative one, that a search starts from."""

LEAST_NARROW = 12
"""Narrow intervals from which on the peak is that of narrow intervals alone."""

ROUNDS = 8
"""Most rounds of coordinate search."""

MOST_GROUPS = 64
"""Groups up to which weights are moved together, one group after the other."""

MOST_ELEMENTS = 1 << 18
"""Elements up to which weights are moved together: all of them are held in memory."""

NEAR = 1e-6
"""How far around weights that were moved together the plateau that they lie on is looked for."""

ROUNDED_ONCE = 0.99
"""Share of cells that admit the weight of a blend rounded once, at least."""

CHANCE = 3.0
"""Standard deviations that the number of cells that admit a weight varies by, by chance."""

HOPEFUL = 0.9
"""Pooled share of a blend that was rounded once, or nearly."""

LEAST_RISES = (1e-3, 1e-5)
"""Rise of the pooled share in a round, below :data:`HOPEFUL` and above, below which there is no
further one: what is left to find is on a ridge, along which weights move together. Where all cells
admit the weights, rounds go on: they bring them nearer to the middle of what is admitted."""

GIVE_UP = 0.05
"""Pooled share at a second round below which no third is worth it; unrelated parents reach 0.06."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """The weight that most cells admit, for G groups of slices."""

    weight: Floats
    """(G,) the middle of the plateau; NaN without any interval."""
    half_width: Floats
    """(G,) half the width of the plateau: no weight in it is admitted by fewer cells."""
    reach: Floats
    """(G,) how far from the middle weights lie that hardly fewer cells admit: fewer by no more than
    the share of cells would vary by chance. Where all cells admit the weight, it is the half width.
    """
    share: Floats
    """(G,) share of all intervals that hold the weight; NaN without any."""
    narrow: Floats
    """(G,) share of the narrow intervals that hold it; NaN without any."""
    intervals: Counts
    """(G, 2) how many intervals there are, and how many narrow ones."""
    fixed: Counts
    """(G, 2) elements that the weight does not change, and how many of them are in their cell."""

    @property
    def pooled(self) -> float:
        """Share of narrow intervals that hold the weight, over all groups.

        Share of all intervals where there are too few narrow ones, NaN without any interval.
        """
        return pooled(self.narrow, self.intervals[:, 1], self.share, self.intervals[:, 0])


def pooled(narrow: Floats, narrow_count: Counts, share: Floats, count: Counts) -> float:
    """Return the mean share weighted by counts, of narrow intervals where there are some.

    All are (G,): shares of narrow intervals and how many there are, and the same of all intervals.
    """
    for values, counts in ((narrow, narrow_count), (share, count)):
        weights = counts.astype(np.float64)
        if weights.sum() >= LEAST_NARROW:
            return float(np.nansum(np.where(weights > 0, values, 0.0) * weights) / weights.sum())
    weights = count.astype(np.float64)
    if weights.sum() == 0:
        return float("nan")
    return float(np.nansum(np.where(weights > 0, share, 0.0) * weights) / weights.sum())


@dataclass(frozen=True, slots=True)
class _Search:
    """Whose weight is searched for, and in which cells."""

    sample: SearchSample
    weights: Floats
    """(S, columns - 1) the weights of all columns, of which that of ``axis`` does not count."""
    axis: int
    """The column whose weight is searched for."""
    groups: NDArray[np.intp]
    """(S,) the group of each slice."""
    slices: tuple[int, int]
    """The first slice, and the one after the last."""
    widen: float = 0.0
    dtype: str | None = None
    avoid: float = 0.0

    def spectrum(self, windows: Floats) -> CellSpectrum | None:
        """Return how many cells admit each weight in windows (G, 2); ``None`` without a slice."""
        return self.sample.spectrum(
            self.weights,
            self.axis,
            self.groups,
            windows,
            BINS,
            widen=self.widen,
            dtype=self.dtype,
            slices=self.slices,
        )


def peaks(
    sample: SearchSample,
    weights: Floats,
    axis: int,
    groups: NDArray[np.intp],
    windows: Floats | None = None,
    *,
    widen: float = 0.0,
    dtype: str | None = None,
    avoid: float = 0.0,
) -> Peaks:
    """Return the weight of column ``axis`` that most cells admit, by group of slices.

    Parameters
    ----------
    weights
        (S, columns - 1) weights of base (beyond what makes the sum one), parents and controls.
    groups
        (S,) the group of each slice, 0 .. G - 1.
    windows
        (G, 2) first and last weight considered; :data:`WINDOW` by default.
    widen
        Cells by which every cell is widened to either side.
    dtype
        The dtype whose rounding the child has, if not its own.
    avoid
        Weights closer than this to 0 and 1 are no peak: they say that elements are copies.
    """
    count = int(groups.max(initial=-1)) + 1
    if windows is None:
        windows = np.tile(np.array(WINDOW), (count, 1))
    windows = windows.astype(np.float64)
    search = _Search(sample, weights, axis, groups, (0, len(groups)), widen, dtype, avoid)
    if count > AT_ONCE and bool(np.all(np.diff(groups) >= 0)):
        # Spectra of a few groups fit in a cache; those of all experts of a model fill a memory.
        parts = []
        for first in range(0, count, AT_ONCE):
            begin, end = np.searchsorted(groups, [first, first + AT_ONCE]).tolist()
            part = replace(search, groups=groups - first, slices=(begin, end))
            parts.append(_peaks(part, windows[first : first + AT_ONCE]))
        return joined(parts)
    return _peaks(search, windows)


def _peaks(search: _Search, windows: Floats) -> Peaks:
    """Return the peaks of a search in windows (G, 2), one for each of its groups."""
    plateau = None
    seen: list[tuple[Floats, Floats]] = []
    for _ in range(ZOOMS):
        spectrum = search.spectrum(windows)
        if spectrum is None:
            nan = np.full(len(windows), np.nan)
            none = np.zeros((len(windows), 2), dtype=np.uint64)
            return Peaks(nan, nan, nan, nan, nan, none, none)
        step = (windows[:, 1] - windows[:, 0]) / BINS
        coverage, count = _counted(spectrum, windows, search.avoid)
        first, last = _plateau(coverage)
        seen.append((coverage, windows))
        low, high = windows[:, 0] + first * step, windows[:, 0] + (last + 1) * step
        plateau = (low, high, spectrum, first)
        # A group that is done keeps its window: what is found of it hangs on no other group.
        is_done = (step <= FINEST) | (last - first >= WIDE)
        nearer = np.stack([low - 2 * step, high + 2 * step], axis=1)
        windows = np.where(is_done[:, None], windows, nearer)
        if bool(np.all(is_done)):
            break
    assert plateau is not None
    low, high, spectrum, first = plateau
    at = np.take_along_axis(spectrum.coverage, first[:, None, None], 2)[:, :, 0].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(spectrum.intervals > 0, at / spectrum.intervals, np.nan)
    known = spectrum.intervals[:, 0] > 0
    middle = (low + high) / 2.0
    top = np.take_along_axis(coverage, first[:, None], 1)[:, 0]
    reach = np.maximum(_reach(seen, middle, top, count), (high - low) / 2.0)
    return Peaks(
        np.where(known, middle, np.nan),
        np.where(known, (high - low) / 2.0, np.nan),
        np.where(known, reach, np.nan),
        shares[:, 0],
        shares[:, 1],
        spectrum.intervals,
        np.stack([spectrum.fixed, spectrum.fixed_admitted], axis=1),
    )


def _counted(spectrum: CellSpectrum, windows: Floats, avoid: float) -> tuple[Floats, Floats]:
    """Return how many intervals count over each bin (G, bins), and how many there are (G,).

    Narrow intervals alone count where there are enough of them; bins closer than ``avoid`` to 0 and
    1 do not count.
    """
    is_narrow = spectrum.intervals[:, 1] >= LEAST_NARROW
    coverage = np.where(is_narrow[:, None], spectrum.coverage[:, 1], spectrum.coverage[:, 0])
    if avoid > 0:
        step = (windows[:, 1:] - windows[:, :1]) / BINS
        edges = windows[:, :1] + step * np.arange(BINS)
        for copy in (0.0, 1.0):
            near = (edges + step > copy - avoid) & (edges < copy + avoid)
            coverage = np.where(near, 0, coverage)
    count = np.where(is_narrow, spectrum.intervals[:, 1], spectrum.intervals[:, 0])
    return coverage.astype(np.float64), count.astype(np.float64)


def _plateau(coverage: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (G,) the first highest of (G, bins), and the last bin as high that touches it."""
    first = coverage.argmax(axis=1)
    below = coverage < np.take_along_axis(coverage, first[:, None], 1)
    below[np.arange(BINS) <= first[:, None]] = False
    last = np.where(below.any(axis=1), below.argmax(axis=1) - 1, BINS - 1)
    return first, last


def _reach(
    seen: Sequence[tuple[Floats, Floats]], middle: Floats, top: Floats, count: Floats
) -> Floats:
    """Return (G,) how far from ``middle`` weights lie that about as many cells admit as the best.

    ``seen`` are spectra (G, bins) with their windows (G, 2), each within the one before; ``top``
    intervals of ``count`` hold the best weight (G,). Windows are gone through, the widest first, as
    long as none of those weights is at an edge: what a narrower one does not show may be beyond it.
    Where cells miss the best weight in numbers, the widest alone counts: simple fractions, at which
    the ends of many cells meet, stand out from their surroundings in all others.
    """
    share = np.where(count > 0, top / np.maximum(count, 1.0), 1.0)
    least = top - CHANCE * np.sqrt(np.maximum(count * share * (1.0 - share), 0.0))
    widest = seen[0][1]
    out = np.maximum(middle - widest[:, 0], widest[:, 1] - middle)
    is_open = np.ones(len(middle), dtype=bool)
    for level, (coverage, windows) in enumerate(seen):
        step = (windows[:, 1] - windows[:, 0]) / BINS
        enough = coverage >= least[:, None]
        first = enough.argmax(axis=1)
        last = BINS - 1 - enough[:, ::-1].argmax(axis=1)
        low, high = windows[:, 0] + first * step, windows[:, 0] + (last + 1) * step
        inside = enough.any(axis=1) & ((level == 0) | ((first > 0) & (last < BINS - 1)))
        is_open &= inside & ((level == 0) | (share >= ROUNDED_ONCE))
        # What arithmetic does to the peak besides is looked for in the bins beside it.
        beside = np.where(share >= ROUNDED_ONCE, 0.0, step)
        out = np.where(is_open, np.maximum(middle - low, high - middle) + beside, out)
    # What all cells admit is one interval, however narrow.
    return np.where(top >= count, 0.0, out)


@dataclass(frozen=True, slots=True)
class Located:
    """Weights of several columns, by group, that together most cells admit."""

    weights: Floats
    """(G, columns - 1); 0 for columns that were not asked for."""
    half_widths: Floats
    """(G, columns - 1) half the width of each plateau, the other weights held; 0 for others."""
    share: Floats
    """(G,) share of the intervals of the column searched last that hold its weight."""
    narrow: Floats
    """(G,) the same of narrow intervals."""
    intervals: Counts
    """(G, 2) how many intervals that column has, and how many narrow ones."""

    @property
    def pooled(self) -> float:
        """Share of narrow intervals that hold the weight, over all groups."""
        return pooled(self.narrow, self.intervals[:, 1], self.share, self.intervals[:, 0])


@dataclass(slots=True)
class _CoordinateSearch:
    """Weights of several columns that are moved one after the other, in place."""

    sample: SearchSample
    axes: list[int]
    groups: NDArray[np.intp]
    dtype: str | None
    weights: Floats
    """(G, columns - 1)"""
    half_widths: Floats
    """(G, columns - 1)"""
    last: Peaks | None = None
    """Those of the column searched last."""

    def find_peaks(self, axis: int, reach: Floats | float | None) -> Peaks:
        """Return the peaks of a column with the other weights held, and keep their half widths.

        ``reach`` (G,) is how far from the present weight they may be; ``None`` for all weights that
        are considered.
        """
        windows = None
        if reach is not None:
            middle = self.weights[:, axis]
            windows = np.stack([middle - reach, middle + reach], axis=1)
        found = peaks(
            self.sample, self.weights[self.groups], axis, self.groups, windows, dtype=self.dtype
        )
        self.half_widths[:, axis] = np.nan_to_num(found.half_width)
        self.last = found
        return found

    def move_each(self, reach: Floats | None) -> Floats:
        """Move the weight of each column in turn to its peak; return (G,) the longest step."""
        longest = np.zeros(len(self.weights))
        for axis in self.axes:
            present = self.weights[:, axis]
            found = self.find_peaks(axis, reach)
            new = np.where(np.isnan(found.weight), present, found.weight)
            longest = np.maximum(longest, np.abs(new - present))
            self.weights[:, axis] = new
        return longest

    def move_together(self) -> None:
        """Move all weights at once, if more cells admit them then, and look at their plateaus."""
        together = _together(self.sample, self.weights, self.axes, self.groups, self.dtype)
        if together is not None:
            self.weights = together
            for axis in self.axes:
                # Windows so small that the peak is the plateau around what was found.
                self.find_peaks(axis, NEAR)


def locate(
    sample: SearchSample,
    start: Floats,
    axes: list[int],
    groups: NDArray[np.intp],
    *,
    dtype: str | None = None,
    reach: float | None = None,
    rounds: int = ROUNDS,
) -> Located:
    """Return the weights of the columns ``axes`` that most cells admit, by group of slices.

    ``start`` is (G, columns - 1), as from least squares. In each round every column in turn gets
    the peak of its spectrum with the others held. Windows shrink with the steps made. ``reach``
    bounds the first step; by default all of :data:`WINDOW` is searched for a single column. A
    search that has found next to nothing after two rounds is given up, and one of little that its
    last round brought next to nothing. What has found something ends with steps of all columns
    together (:func:`refine_inside_cells`), since what cells admit may be a ridge between the axes.
    """
    # A tensor of random bits has a fit, too; windows around it would have no width.
    is_weight = np.isfinite(start) & (np.abs(start) <= LARGEST)
    weights = np.where(is_weight, start, 0.0).astype(np.float64)
    weights[:, ~np.isin(np.arange(weights.shape[1]), axes)] = 0.0
    count = len(weights)
    search = _CoordinateSearch(sample, axes, groups, dtype, weights, np.zeros_like(weights))
    is_single = len(axes) == 1
    width = np.full(count, 0.1 if reach is None else reach)
    before = 0.0
    for round_ in range(rounds if len(axes) > 1 else 1):
        steps = search.move_each(None if is_single and reach is None else width)
        share = search.last.pooled if search.last is not None else 0.0
        is_stuck = share < 1.0 and share < before + LEAST_RISES[share >= HOPEFUL]
        if round_ > 0 and (bool(np.all(steps < 1e-9)) or not share > GIVE_UP or is_stuck):
            break
        before = share
        # A step can hardly be followed by a longer one; noise must not widen it again.
        width = np.clip(4.0 * steps, 1e-6, width)
    if search.last is None:
        nan = np.full(count, np.nan)
        none = np.zeros((count, 2), dtype=np.uint64)
        return Located(search.weights, search.half_widths, nan, nan, none)
    if len(axes) > 1 and search.last.pooled > GIVE_UP and search.last.pooled < 1.0:
        search.move_together()
    found = search.last
    return Located(search.weights, search.half_widths, found.share, found.narrow, found.intervals)


def _together(
    sample: SearchSample,
    weights: Floats,
    axes: list[int],
    groups: NDArray[np.intp],
    dtype: str | None,
) -> Floats | None:
    """Return weights (G, columns - 1) that more cells admit, from steps of all columns together.

    ``None`` if there are none, or too many groups or elements to look for them.
    """
    count = weights.shape[0]
    if count > MOST_GROUPS or int(sample.counts.sum()) > MOST_ELEMENTS:
        return None
    # What has no cells, as integers, says nothing of weights.
    known = np.array([digits_of(each.dtype) is not None for each in sample.slices])
    stored = np.array([dtype or each.dtype for each in sample.slices])[sample.element_owner]
    has_cells = known[sample.element_owner]
    owner = groups[sample.element_owner]
    refined = weights.copy()
    gained = False
    for group in range(count):
        inside = has_cells & (owner == group)
        if not inside.any():
            continue
        dtypes, sizes = np.unique(stored[inside], return_counts=True)
        rounded = str(dtypes[sizes.argmax()])
        rows = sample.elements[inside & (stored == rounded)]
        refined[group], (before, after) = refine_inside_cells(rows, weights[group], axes, rounded)
        gained |= bool(after > before)
    return refined if gained else None
