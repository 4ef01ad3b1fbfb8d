"""What a sample shows of masks: who takes part, with which coefficients, and who was kept where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from parentage.checkpoint import DTYPES
from parentage.hypothesise.recognise.masks.sums import assign_masks, sum_structure
from parentage.hypothesise.recognise.masks.view import View, deepest_overlap, prominent_coefficient
from parentage.methods import masked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.view import Bools, Places
    from parentage.support import Floats

MOST_PARENTS = 4
"""Parents whose masks are told apart."""

SHARP = 0.99
"""Share of elements that a blend reproduces from which on no masks are looked for."""

EXPLAINED = 0.9
"""Least share of changed elements that a recipe with masks has to explain."""

AT_FIRST = 0.15
"""How much less may be explained at first: on a part of the sample, which tells coefficients less
well, or before each slice has coefficients of its own."""

LEAST_DROPPED = 0.01
"""Share of a parent's large displacements that are missing where there is a mask, at least."""


DECADE = 10.0
"""Least ratio of large displacements of a parent to small ones, for methods that tell by size."""


@dataclass(frozen=True)
class Mixture:
    """Which parents' displacements a child's elements are sums of, and with what coefficients."""

    view: View
    axes: list[int]
    """The parents that take part, counted from 0."""
    coefficients: Floats
    """(axes, S) what a parent's displacement is multiplied by where no other parent's is kept."""
    constant: Bools
    """(axes,) whether a parent's coefficient is the same for all slices."""
    elected: bool
    """Whether only displacements of one sign are added up."""
    normalized: bool
    """Whether displacements that are kept together are averaged, not added up."""
    shares: Floats
    """(axes,) the parents' weights in that average, their sum 1."""
    kept: Bools
    """(axes, elements) whether the displacement is known to have been kept."""
    dropped: Bools
    """(axes, elements) whether the displacement is known to have been dropped."""
    explained: float
    """Share of changed elements that some set of parents explains."""

    @property
    def terms(self) -> Floats:
        """(axes, elements) displacements times their coefficients."""
        terms: Floats = self.coefficients[:, self.view.owner] * self.view.deltas[self.axes]
        return terms


_MIXTURES: WeakKeyDictionary[SampleEstimates, Mixture | None] = WeakKeyDictionary()


def find_mixture(estimates: SampleEstimates) -> Mixture | None:
    """Return the mixture that the sample shows; ``None`` if it shows no masks. Kept per sample."""
    if estimates not in _MIXTURES:
        _MIXTURES[estimates] = _find_mixture(estimates)
    return _MIXTURES[estimates]


def is_unexplained(estimates: SampleEstimates) -> bool:
    """Return whether the child has elements to explain that no blend of parents explains."""
    if (
        estimates.sample.plan is None
        or not estimates.columns.parents
        or not DTYPES[estimates.out_dtype].is_searched
    ):
        return False
    return max(blend.share for blend in estimates.blends) < SHARP


def varies_in_size(estimates: SampleEstimates) -> bool:
    """Return whether some parent's displacements are of many sizes: nine in ten span a decade.

    A method that tells displacements by their size can be told only where sizes differ; the first
    steps of an optimiser are all as long as its learning rate, and look as if cut to one length.
    """
    values = estimates.small.elements
    finite = values[np.isfinite(values).all(axis=1)]
    for i in estimates.columns.parent_indices:
        size = np.abs(finite[:, i] - finite[:, 0])
        size = size[size > 0.0]
        if len(size):
            low, high = np.quantile(size, [0.05, 0.95])
            if high >= DECADE * low:
                return True
    return False


def _find_mixture(estimates: SampleEstimates) -> Mixture | None:
    """Return the mixture in the first arithmetic in which it explains enough."""
    if not is_unexplained(estimates):
        return None
    for arithmetic in masked.ARITHMETICS:
        preview = View(estimates, estimates.small, arithmetic)
        peaks = {
            i: prominent_coefficient(preview, i) for i in range(len(estimates.columns.parents))
        }
        starts = {i: start for i, start in peaks.items() if start is not None}
        if not starts:
            continue
        axes = sorted(starts)[:MOST_PARENTS]
        enough = SHARP if arithmetic == "float32" else EXPLAINED
        view = preview
        if estimates.small is not estimates.sample:
            if _mixture_of(preview, axes, starts).explained < enough - AT_FIRST:
                continue
            view = View(estimates, estimates.sample, arithmetic)
        mixture = _without_idle(view, _mixture_of(view, axes, starts), starts)
        if not is_masked(mixture, mixture.kept, mixture.dropped):
            continue
        if enough - AT_FIRST <= mixture.explained < enough:
            mixture = _with_refitted(mixture)
        if mixture.explained >= enough:
            return mixture
    return None


def _with_refitted(mixture: Mixture) -> Mixture:
    """Return the mixture with refitted coefficients by slice, if more is explained by them."""
    refitted = replace(
        mixture,
        coefficients=refit_coefficients(mixture),
        constant=np.zeros(len(mixture.axes), bool),
    )
    kept, dropped, explained = assign_masks(
        mixture.view, refitted.terms, mixture.elected, mixture.normalized, mixture.shares
    )
    if explained <= mixture.explained:
        return mixture
    return replace(refitted, kept=kept, dropped=dropped, explained=explained)


def _without_idle(view: View, mixture: Mixture, starts: Mapping[int, float]) -> Mixture:
    """Return the mixture without parents that it explains as many elements without."""
    for axis in list(mixture.axes):
        if len(mixture.axes) == 1:
            break
        rest = [i for i in mixture.axes if i != axis]
        smaller = _mixture_of(view, rest, starts)
        if smaller.explained >= mixture.explained - 2e-3:
            mixture = smaller
    return mixture


def _mixture_of(view: View, axes: list[int], starts: Mapping[int, float]) -> Mixture:
    """Return the mixture of some parents, whose coefficients ``starts`` tells to a percent."""
    pairs = [_coefficient(view, axis, starts[axis]) for axis in axes]
    coefficients = np.array([by_slice for by_slice, _ in pairs])
    constant = np.array([is_constant for _, is_constant in pairs])
    terms = coefficients[:, view.owner] * view.deltas[axes]
    elected, normalized, shares = sum_structure(view, terms)
    kept, dropped, explained = assign_masks(view, terms, elected, normalized, shares)
    return Mixture(
        view, axes, coefficients, constant, elected, normalized, shares, kept, dropped, explained
    )


def _coefficient(view: View, axis: int, start: float) -> tuple[Floats, bool]:
    """Return (S,) the coefficient of a parent by slice, and whether it is the same for all."""
    low, high, owner = view.intervals(axis)
    sizes = np.bincount(view.owner, minlength=view.slices)
    reach = 0.03 + 4.0 / np.sqrt(np.maximum(sizes, 1.0))
    near = (high > start * 0.97) & (low < start * 1.03)
    common, _, depth = deepest_overlap(low[near], high[near], np.zeros(int(near.sum()), np.intp), 1)
    near = (high > start * (1.0 - reach[owner])) & (low < start * (1.0 + reach[owner]))
    by_slice, _, depths = deepest_overlap(low[near], high[near], owner[near], view.slices)
    # Slices with next to no evidence follow the others; their weight in the test is as small.
    if int(depth[0]) >= 0.85 * float(depths[depths >= 8].sum()):
        return np.full(view.slices, float(common[0])), True
    known = depths >= 3
    middle = float(np.median(np.repeat(by_slice[known], depths[known]))) if known.any() else start
    return np.where(known, by_slice, middle), False


def refit_coefficients(mixture: Mixture) -> Floats:
    """Return (axes, S) coefficients by slice, each in turn fitted with the others held.

    Elements in which other parents' displacements are kept too have a say, which they have not in
    the first estimate.
    """
    view = mixture.view
    coefficients = mixture.coefficients.copy()
    sizes = np.maximum(np.bincount(view.owner, minlength=view.slices), 1.0)
    reach = 0.03 + 2.0 / np.sqrt(sizes)
    for near in (reach, np.minimum(reach, 0.01 + 1.0 / np.sqrt(sizes))):
        for i in range(len(mixture.axes)):
            coefficients[i] = _refit_coefficient(mixture, coefficients, i, near)
    return coefficients


def _refit_coefficient(mixture: Mixture, coefficients: Floats, i: int, reach: Floats) -> Floats:
    """Return (S,) the coefficient of parent ``i`` that most cells admit, near to what it is.

    ``reach`` (S,) is the largest relative change. Slices of few cells, or of cells that leave it
    wide open, have it as it is.
    """
    present = coefficients[i]
    terms = coefficients[:, mixture.view.owner] * mixture.view.deltas[mixture.axes]
    others = [j for j in range(len(mixture.axes)) if j != i]
    sets = [kept for size in range(len(mixture.axes)) for kept in combinations(others, size)]
    lows, highs, owners = zip(
        *(_intervals(mixture, terms, i, kept, present, reach) for kept in sets), strict=True
    )
    middle, half, depth = deepest_overlap(
        np.concatenate(lows), np.concatenate(highs), np.concatenate(owners), mixture.view.slices
    )
    inside_reach = np.abs(middle / present - 1.0) <= reach
    good = (depth >= 3) & inside_reach & (half <= 0.1 * np.abs(middle))
    return np.where(good, middle, present)


def _intervals(
    mixture: Mixture,
    terms: Floats,
    i: int,
    others: Sequence[int],
    present: Floats,
    reach: Floats,
) -> tuple[Floats, Floats, Places]:
    """Return the intervals of parent ``i``'s coefficient if it and ``others`` were kept.

    Those are the lower and upper ends, and the slices, of intervals that are narrow and near to the
    ``present`` coefficients (S,). ``terms`` are (axes, elements).
    """
    view = mixture.view
    delta = view.deltas[mixture.axes[i]]
    rest, factor = _rest_of_sum(mixture, terms, i, others)
    possible = view.moved & (delta != 0.0)
    if mixture.elected:
        for j in others:
            possible &= np.sign(terms[j]) == np.sign(delta)
    rows = np.flatnonzero(possible)
    slope = factor * delta[rows]
    one = (view.low[rows] - rest[rows]) / slope
    two = (view.high[rows] - rest[rows]) / slope
    low, high = np.minimum(one, two), np.maximum(one, two)
    owner = view.owner[rows]
    at = present[owner]
    near = (
        (high > at * (1.0 - reach[owner]))
        & (low < at * (1.0 + reach[owner]))
        & (high - low < 0.3 * at)
    )
    return low[near], high[near], owner[near]


def _rest_of_sum(
    mixture: Mixture, terms: Floats, i: int, others: Sequence[int]
) -> tuple[Floats, float]:
    """Return (elements,) what ``others`` add, and the factor of parent ``i``'s term beside them."""
    rest = np.zeros(mixture.view.size)
    if not (mixture.normalized and others):
        for j in others:
            rest = rest + terms[j]
        return rest, 1.0
    shares = mixture.shares
    total = shares[i] + sum(shares[j] for j in others)
    for j in others:
        rest = rest + shares[j] / total * terms[j]
    return rest, float(shares[i] / total)


def is_masked(mixture: Mixture, kept: Bools, dropped: Bools) -> bool:
    """Return whether displacements that are large enough to tell were both kept and dropped.

    ``kept`` and ``dropped`` (axes, elements) are those known to have been.
    """
    large = np.abs(mixture.terms) > 2.0 * mixture.view.width
    lost, left = (dropped & large).sum(axis=1), (kept & large).sum(axis=1)
    return bool(np.any(lost > LEAST_DROPPED * (lost + left)) and left.sum() > 0)


def is_bf16(mixture: Mixture) -> bool:
    """Return whether the mixture was computed in bf16."""
    return mixture.view.arithmetic == "bfloat16"
