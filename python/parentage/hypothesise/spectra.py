"""Cell spectra to show: how many rounding cells admit each weight, and how many a decoy's.

They are those of :mod:`parentage.hypothesise.cells`, over one window that holds all weights worth
showing, on the small part of the search sample. What stands beside a parent's is made of the same
elements: a *decoy*, which is the base with the parent's displacements in another order, and every
control in the parent's place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import digits_of, half_cells
from parentage.hypothesise.cells import LEAST_NARROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Counts, Floats

BINS = 601
"""Bins of a spectrum: weights from -1 to 2 in steps of 0.005, each in the middle of its bin."""

FIRST, LAST = -1.0, 2.0
"""Weights in the middle of the first and the last bin, times a scale."""

INSIDE = (-0.75, 1.75)
"""Weights that a window of scale 1 is wide enough for."""

LARGEST_SCALE = 1 << 20
"""Most that a window is scaled by."""

NARROW = 0.1
"""Intervals below this length are narrow, as in the core."""

SLACK = 2.0**-23
"""What float32 arithmetic may round, of the sum of the magnitudes that take part; as in the core.
"""

MOST_LAYERS = 256
"""Layers up to which every layer has a spectrum of its own."""

NO_SEARCH = "no recipe was looked for, so that no sample was searched"
"""Why there is no spectrum where recipes were not asked for."""

DECOY, PARENT, CONTROL = "decoy", "parent", "control"


@dataclass(frozen=True, slots=True)
class SpectrumCurve:
    """How many cells admit each weight of one checkpoint, over all slices or some of them."""

    parent: str
    """Whose weight is on the axis."""
    kind: str
    """``parent``, ``decoy`` (its displacements in another order) or ``control``."""
    checkpoint: str
    """Whose displacements were taken: the parent, or the control in its place."""
    component: str | None
    """The component it is of; ``None`` for all of them."""
    layer: int | None
    """The layer it is of; ``None`` for all of them."""
    weights: Floats
    """(bins,) the weight in the middle of each bin."""
    admitted: Counts
    """(bins,) intervals that touch the bin."""
    intervals: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Spectra:
    """Cell spectra of every parent that has a weight, with decoys and controls."""

    curves: tuple[SpectrumCurve, ...]
    elements: int
    """Elements whose cells were looked at."""
    held: dict[str, float | None]
    """By parent, the weight that it is held at while another's is varied; ``None`` if slices have
    several."""
    missing: str | None = None
    """Why there is none, in words; ``None`` if there is one."""


def spectra_of(estimates: SampleEstimates | None) -> Spectra:
    """Return the spectra that a search sample shows.

    Of several parents, the weight of each is varied with the others held at those of the best
    blend. The same sample gives the same counts, whatever the threads.
    """
    if estimates is None:
        return _without(NO_SEARCH)
    columns = estimates.columns
    if not columns.parents:
        return _without("no parent was offered")
    sample = estimates.small
    if sample.plan is None:
        return _without("no slice holds floating-point numbers")
    rows = np.array(
        [digits_of(_rounding(estimates, i)) is not None for i in range(len(sample.slices))]
    )
    owner = sample.element_owner
    elements = sample.elements
    kept = rows[owner] & np.isfinite(elements).all(axis=1)
    elements, owner = elements[kept], owner[kept]
    sample.forget()
    if not len(elements):
        return _without("no sampled element is a finite number with a rounding cell")
    held = estimates.blends[-1].by_slice
    used = [i for i in columns.parent_indices if np.any(held[:, i] != 0.0)]
    search = _Cells(estimates, elements, owner, held)
    curves = [
        curve for axis in used or list(columns.parent_indices) for curve in search.curves_of(axis)
    ]
    if not curves:
        return _without("no parent differs from the base where the sample was taken")
    told = {columns.names[i]: _one(held[:, i]) for i in columns.parent_indices}
    return Spectra(tuple(curves), len(elements), told)


def _without(reason: str) -> Spectra:
    return Spectra((), 0, {}, reason)


def _one(values: Floats) -> float | None:
    """Return the number that all values are, or ``None``."""
    return float(values[0]) if len(values) and bool(np.all(values == values[0])) else None


def _rounding(estimates: SampleEstimates, index: int) -> str:
    """Return the dtype whose rounding cells a slice of the child has."""
    each = estimates.slices[index]
    if digits_of(each.dtype) is None:
        return each.dtype
    return estimates.out_dtypes.get(each.name, estimates.out_dtype)


class _Cells:
    """The cells of sampled elements, and the weights that they admit."""

    def __init__(
        self,
        estimates: SampleEstimates,
        elements: Floats,
        owner: NDArray[np.intp],
        held: Floats,
    ) -> None:
        """``elements`` are (N, columns), of slices ``owner``; ``held`` (S, columns - 1)."""
        self.columns, self.slices = estimates.columns, estimates.slices
        self.elements, self.owner, self.held = elements, owner, held
        base, child = elements[:, 0], elements[:, -1]
        self.low, self.high = child.copy(), child.copy()
        dtypes = [_rounding(estimates, i) for i in range(len(self.slices))]
        for dtype in dict.fromkeys(dtypes):
            if digits_of(dtype) is None:
                continue
            of = np.array([each == dtype for each in dtypes])[owner]
            below, above = half_cells(child[of], dtype)
            self.low[of] -= below
            self.high[of] += above
        self.own = base * (1.0 + held[owner, 0])
        components = {
            name: i for i, name in enumerate(dict.fromkeys(s.component for s in self.slices))
        }
        self.components = list(components)
        self.component = np.array([components[s.component] for s in self.slices])[owner]
        layers = sorted({s.layer for s in self.slices if s.layer is not None})
        self.layers = layers if 1 < len(layers) <= MOST_LAYERS else []
        places = {layer: i for i, layer in enumerate(self.layers)}
        self.layer = np.array(
            [-1 if s.layer is None else places.get(s.layer, -1) for s in self.slices]
        )[owner]

    def curves_of(self, axis: int) -> Sequence[SpectrumCurve]:
        """Return the spectra over the weight of column ``axis``: its own, a decoy's, controls'."""
        # Of numbers near the largest, no interval is known.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self._curves_of(axis)

    def _curves_of(self, axis: int) -> Sequence[SpectrumCurve]:
        base = self.elements[:, 0]
        rest, size = self.own.copy(), np.abs(base)
        for i in range(1, len(self.columns.names)):
            weights = self.held[self.owner, i]
            if i != axis and np.any(weights != 0.0):
                column = self.elements[:, i]
                rest += weights * (column - base)
                size += np.where(weights != 0.0, np.abs(column), 0.0)
        scale = _scale(self.held[:, axis])
        name = self.columns.names[axis]
        found: list[SpectrumCurve] = []
        shifted, is_shifted = _shifted(self.owner)
        direction = self.elements[:, axis] - base
        everywhere = np.ones(len(base), dtype=bool)
        tried = [
            (PARENT, name, direction, everywhere),
            (DECOY, name, direction[shifted], is_shifted),
            *(
                (CONTROL, control, self.elements[:, self.columns[control]] - base, everywhere)
                for control in self.columns.controls
            ),
        ]
        for kind, checkpoint, along, taken in tried:
            moved = taken & (along != 0.0)
            if not moved.any():
                continue
            slack = SLACK * (size + np.abs(base + along))[moved]
            gap = rest[moved]
            one = (self.low[moved] - slack - gap) / along[moved]
            two = (self.high[moved] + slack - gap) / along[moved]
            first, last = np.minimum(one, two), np.maximum(one, two)
            told = np.isfinite(first) & np.isfinite(last)
            narrow = told & (last - first < NARROW)
            if int(narrow.sum()) < LEAST_NARROW:
                narrow = told
            first, last = first[narrow], last[narrow]
            groups: list[tuple[NDArray[np.intp], list[tuple[str | None, int | None]]]] = [
                (np.zeros(len(first), dtype=np.intp), [(None, None)])
            ]
            if kind == PARENT:
                groups += [
                    (self.component[moved][narrow], [(each, None) for each in self.components]),
                    (self.layer[moved][narrow], [(None, each) for each in self.layers]),
                ]
            for labels, keys in groups:
                of = labels >= 0
                counts = _coverage(first[of], last[of], labels[of], len(keys), scale)
                totals = np.bincount(labels[of], minlength=len(keys))
                found += [
                    SpectrumCurve(
                        name, kind, checkpoint, component, layer, _middles(scale), row, int(total)
                    )
                    for (component, layer), row, total in zip(keys, counts, totals, strict=True)
                    if total
                ]
        return found


def _scale(weights: Floats) -> int:
    """Return what a window is scaled by, so that the weights (S,) are well inside.

    >>> _scale(np.array([0.6])), _scale(np.array([1.0, 3.0])), _scale(np.array([-2.0]))
    (1, 2, 3)
    """
    low, high = min(float(weights.min()), 0.0), max(float(weights.max()), 0.0)
    needed = max(low / INSIDE[0], high / INSIDE[1], 1.0)
    return min(math.ceil(needed), LARGEST_SCALE) if math.isfinite(needed) else 1


def _middles(scale: int) -> Floats:
    """Return (bins,) the weight in the middle of each bin."""
    steps = np.arange(BINS, dtype=np.float64)
    middles: Floats = np.round(scale * (FIRST * 200.0 + steps) / 200.0, 6)
    return middles


def _coverage(
    first: Floats, last: Floats, labels: NDArray[np.intp], groups: int, scale: int
) -> Counts:
    """Return (groups, bins) how many intervals touch each bin."""
    step = scale * (LAST - FIRST) / (BINS - 1)
    start = scale * FIRST - step / 2.0
    # What ends before the window, or begins after it, is in no bin of it.
    begin = np.clip(np.floor((first - start) / step), 0, BINS).astype(np.intp)
    end = np.clip(np.floor((last - start) / step), -1, BINS - 1).astype(np.intp)
    touches = begin <= end
    begin, end, labels = begin[touches], end[touches], labels[touches]
    size = groups * (BINS + 1)
    steps = np.bincount(labels * (BINS + 1) + begin, minlength=size).astype(np.int64)
    steps -= np.bincount(labels * (BINS + 1) + end + 1, minlength=size)
    return np.cumsum(steps.reshape(groups, BINS + 1), axis=1)[:, :BINS].astype(np.uint64)


def _shifted(owner: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return (N,) for each element another of its slice, half of the slice away, and whether it is.

    Elements of a slice lie beside each other.

    >>> _shifted(np.array([0, 0, 0, 0, 1, 2, 2]))[0].tolist()
    [2, 3, 0, 1, 4, 6, 5]
    """
    edges = np.flatnonzero(np.diff(owner, prepend=-1, append=-1))
    starts, counts = edges[:-1], np.diff(edges)
    start, count = np.repeat(starts, counts), np.repeat(counts, counts)
    place = np.arange(len(owner)) - start
    return start + (place + count // 2) % count, count > 1
