"""Rounding cells: the weights that the stored values of the child admit, and how many of them do.

The core counts, for every weight in a window, the elements whose cell admits it (see ``cells.rs``);
here the peak of that spectrum is found, refined, and, for several parents, found again for each in
turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.cell_interior import refine_inside_cells
from parentage.support import joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.sample import SearchSample
    from parentage.support import Counts, Floats

AT_ONCE = 256
"""Groups whose spectra are held at once: some MB."""

BINS = 2048
"""Bins of a window: four windows, each some bins of the one before, come to 1e-10 of the first."""

ZOOMS = 4

WINDOW = (-1.0, 2.0)
"""Weights that are considered."""

LEAST_NARROW = 12
"""Narrow intervals from which on the peak is that of narrow intervals alone."""

ROUNDS = 8
"""Most rounds of coordinate search."""

MOST_GROUPS = 64
"""Groups up to which weights are moved together, one group after the other."""

MOST_ELEMENTS = 1 << 18
"""Elements up to which they are: all of them are held in memory."""

NEAR = 1e-6
"""How far around such weights the plateau that they lie on is looked for."""

GIVE_UP = 0.05
"""Pooled share at a second round below which no third is worth it; unrelated parents reach 0.06."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """The weight that most cells admit, for G groups of slices."""

    weight: Floats
    """(G,) the middle of the plateau; NaN without any interval."""
    half_width: Floats
    """(G,) half the plateau: no weight in it is admitted by fewer cells."""
    share: Floats
    """(G,) share of all intervals that hold it; NaN without any."""
    narrow: Floats
    """(G,) share of the narrow ones; NaN without any."""
    intervals: Counts
    """(G, 2) intervals, and narrow ones."""
    fixed: Counts
    """(G, 2) elements that the weight does not change, and those of them in their cell."""

    @property
    def pooled(self) -> float:
        """Share of narrow intervals at the peak over all groups; of all without narrow ones.

        NaN without any interval.
        """
        return pooled(self.narrow, self.intervals[:, 1], self.share, self.intervals[:, 0])


def pooled(narrow: Floats, narrow_count: Counts, share: Floats, count: Counts) -> float:
    """Return the mean of shares weighted by counts, of narrow intervals where there are some."""
    for values, counts in ((narrow, narrow_count), (share, count)):
        weights = counts.astype(np.float64)
        if weights.sum() >= LEAST_NARROW:
            return float(np.nansum(np.where(weights > 0, values, 0.0) * weights) / weights.sum())
    weights = count.astype(np.float64)
    if weights.sum() == 0:
        return float("nan")
    return float(np.nansum(np.where(weights > 0, share, 0.0) * weights) / weights.sum())


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
    """Find the weight of column ``axis`` that most cells admit, by group of slices.

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
    if count > AT_ONCE and bool(np.all(np.diff(groups) >= 0)):
        # Spectra of a few groups fit in a cache; those of all experts of a model fill a memory.
        parts = []
        for first in range(0, count, AT_ONCE):
            begin, end = np.searchsorted(groups, [first, first + AT_ONCE]).tolist()
            own = groups - first
            window = windows[first : first + AT_ONCE]
            parts.append(
                _peaks(sample, weights, axis, own, window, (begin, end), widen, dtype, avoid)
            )
        return joined(parts)
    whole = (0, len(groups))
    return _peaks(sample, weights, axis, groups, windows, whole, widen, dtype, avoid)


def _peaks(
    sample: SearchSample,
    weights: Floats,
    axis: int,
    groups: NDArray[np.intp],
    windows: Floats,
    slices: tuple[int, int],
    widen: float,
    dtype: str | None,
    avoid: float,
) -> Peaks:
    """Find the peaks of the groups of some slices, as many as there are ``windows``."""
    count = len(windows)
    best = None
    for _ in range(ZOOMS):
        spectrum = sample.spectrum(
            weights, axis, groups, windows, BINS, widen=widen, dtype=dtype, slices=slices
        )
        if spectrum is None:
            nan = np.full(count, np.nan)
            none = np.zeros((count, 2), dtype=np.uint64)
            return Peaks(nan, nan, nan, nan, none, none)
        step = (windows[:, 1] - windows[:, 0]) / BINS
        is_narrow = spectrum.intervals[:, 1] >= LEAST_NARROW
        chosen = np.where(is_narrow[:, None], spectrum.coverage[:, 1], spectrum.coverage[:, 0])
        if avoid > 0:
            edges = windows[:, :1] + step[:, None] * np.arange(BINS)
            for copy in (0.0, 1.0):
                near = (edges + step[:, None] > copy - avoid) & (edges < copy + avoid)
                chosen = np.where(near, 0, chosen)
        first = chosen.argmax(axis=1)
        height = np.take_along_axis(chosen, first[:, None], 1)
        # The plateau goes from the first highest bin to the last one that touches it.
        below = chosen < height
        below[np.arange(BINS) <= first[:, None]] = False
        last = np.where(below.any(axis=1), below.argmax(axis=1) - 1, BINS - 1)
        low, high = windows[:, 0] + first * step, windows[:, 0] + (last + 1) * step
        best = (low, high, spectrum, first)
        windows = np.stack([low - 2 * step, high + 2 * step], axis=1)
    assert best is not None
    low, high, spectrum, first = best
    at = np.take_along_axis(spectrum.coverage, first[:, None, None], 2)[:, :, 0].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(spectrum.intervals > 0, at / spectrum.intervals, np.nan)
    known = spectrum.intervals[:, 0] > 0
    return Peaks(
        np.where(known, (low + high) / 2.0, np.nan),
        np.where(known, (high - low) / 2.0, np.nan),
        shares[:, 0],
        shares[:, 1],
        spectrum.intervals,
        np.stack([spectrum.fixed, spectrum.fixed_admitted], axis=1),
    )


@dataclass(frozen=True, slots=True)
class Located:
    """Weights of several columns, by group, that together most cells admit."""

    weights: Floats
    """(G, columns - 1); 0 for columns that were not asked for."""
    half_widths: Floats
    """(G, columns - 1) half of each plateau, the others held; 0 for columns not asked for."""
    share: Floats
    """(G,) share of the intervals of the axis searched last."""
    narrow: Floats
    """(G,) the same of narrow intervals."""
    intervals: Counts
    """(G, 2)"""

    @property
    def pooled(self) -> float:
        """Share of narrow intervals over all groups."""
        return pooled(self.narrow, self.intervals[:, 1], self.share, self.intervals[:, 0])


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
    """Find the weights of the columns ``axes`` by coordinate search, by group of slices.

    ``start`` is (G, columns - 1), as from least squares. In each round every column in turn gets
    the peak of its spectrum with the others held. Windows shrink with the steps made. ``reach``
    bounds the first step; by default all of :data:`WINDOW` is searched for a single column. A
    search that has found next to nothing after two rounds is given up; one that has found something
    ends with steps of all columns together (:func:`refine_inside_cells`), since
    what cells admit may be a ridge between the axes.
    """
    weights = np.where(np.isnan(start), 0.0, start).astype(np.float64)
    keep = np.zeros(weights.shape[1], dtype=bool)
    keep[axes] = True
    weights[:, ~keep] = 0.0
    half_widths = np.zeros_like(weights)
    count = weights.shape[0]
    found: Peaks | None = None
    width = np.full(count, 0.1 if reach is None else reach)
    for round_ in range(rounds if len(axes) > 1 else 1):
        moved = np.zeros(count)
        for axis in axes:
            if len(axes) == 1 and reach is None:
                windows = None
            else:
                middle = weights[:, axis]
                windows = np.stack([middle - width, middle + width], axis=1)
            found = peaks(sample, weights[groups], axis, groups, windows, dtype=dtype)
            new = np.where(np.isnan(found.weight), weights[:, axis], found.weight)
            moved = np.maximum(moved, np.abs(new - weights[:, axis]))
            weights[:, axis] = new
            half_widths[:, axis] = np.nan_to_num(found.half_width)
        if round_ > 0 and bool(np.all(moved < 1e-9)):
            break
        if round_ > 0 and found is not None and not found.pooled > GIVE_UP:
            break
        # A step can hardly be followed by a longer one; noise must not widen it again.
        width = np.clip(4.0 * moved, 1e-6, width)
    if found is None:
        nan = np.full(count, np.nan)
        return Located(weights, half_widths, nan, nan, np.zeros((count, 2), dtype=np.uint64))
    if len(axes) > 1 and found.pooled > GIVE_UP and found.pooled < 1.0:
        together = _together(sample, weights, axes, groups, dtype)
        if together is not None:
            weights = together
            for axis in axes:
                # Windows so small that the peak is the plateau around what was found.
                middle = weights[:, axis]
                windows = np.stack([middle - NEAR, middle + NEAR], axis=1)
                found = peaks(sample, weights[groups], axis, groups, windows, dtype=dtype)
                half_widths[:, axis] = np.nan_to_num(found.half_width)
    return Located(weights, half_widths, found.share, found.narrow, found.intervals)


def _together(
    sample: SearchSample,
    weights: Floats,
    axes: list[int],
    groups: NDArray[np.intp],
    dtype: str | None,
) -> Floats | None:
    """Return weights by group that more cells admit, from steps of all columns together."""
    count = weights.shape[0]
    if count > MOST_GROUPS or int(sample.counts.sum()) > MOST_ELEMENTS:
        return None
    rounded = dtype or sample.slices[0].dtype
    owner = groups[sample.element_owner]
    out = weights.copy()
    gained = False
    for group in range(count):
        rows = sample.elements if count == 1 else sample.elements[owner == group]
        if len(rows) == 0:
            continue
        out[group], (before, after) = refine_inside_cells(rows, weights[group], axes, rounded)
        gained |= bool(after > before)
    return out if gained else None
