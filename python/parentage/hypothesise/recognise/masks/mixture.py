"""What a sample shows of masks: who takes part, with which coefficients, and who was kept where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from parentage.checkpoint import DTYPES
from parentage.hypothesise.recognise.masks.sums import assigned, structure
from parentage.hypothesise.recognise.masks.view import View, deepest, prominent
from parentage.methods import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.view import Bools
    from parentage.support import Floats

MOST_PARENTS = 4
"""Parents whose masks are told apart."""

SHARP = 0.99
"""Share of a blend from which on there is nothing to be masked."""

EXPLAINED = 0.9
"""Least share of changed elements that a mask has to explain, and to exceed decoys' clearly."""

AT_FIRST = 0.15
"""How much less a part of the sample may explain, with coefficients less well known."""

LEAST_DROPPED = 0.01
"""Share of large displacements that have to be missing for there to be a mask."""


@dataclass
class Mixture:
    """What elements that are sums of some displacements show."""

    view: View
    axes: list[int]
    """The parents that take part, counted from 0."""
    coefficients: Floats
    """(axes, S) of a displacement that is left alone."""
    constant: Bools
    """(axes,) whether that is the same for all slices."""
    elected: bool
    """Whether only displacements of one sign are added up."""
    normalized: bool
    """Whether several are a mean of them."""
    shares: Floats
    """(axes,) weights of that mean, their sum 1."""
    kept: Bools
    """(axes, elements) whether the displacement is known to have been kept."""
    dropped: Bools
    """(axes, elements) whether it is known to have been dropped."""
    explained: float
    """Share of changed elements that some set of parents explains."""


_MIXTURES: WeakKeyDictionary[SampleEstimates, Mixture | None] = WeakKeyDictionary()


def mixture(estimates: SampleEstimates) -> Mixture | None:
    """Return what the sample shows of masks; ``None`` if it shows none."""
    if estimates not in _MIXTURES:
        _MIXTURES[estimates] = _mixture(estimates)
    return _MIXTURES[estimates]


def applies(estimates: SampleEstimates) -> bool:
    """Return whether there is something to explain that no blend explains."""
    if (
        estimates.sample.plan is None
        or not estimates.columns.parents
        or not DTYPES[estimates.out_dtype].is_searched
    ):
        return False
    return max(blend.share for blend in estimates.blends) < SHARP


def _mixture(estimates: SampleEstimates) -> Mixture | None:
    if not applies(estimates):
        return None
    for arithmetic in masked.ARITHMETICS:
        look = View(estimates, estimates.small, arithmetic)
        found = {i: prominent(look, i) for i in range(len(estimates.columns.parents))}
        starts = {i: start for i, start in found.items() if start is not None}
        if not starts:
            continue
        axes = sorted(starts)[:MOST_PARENTS]
        enough = SHARP if arithmetic == "float32" else EXPLAINED
        view = look
        if estimates.small is not estimates.sample:
            if _described(look, axes, starts).explained < enough - AT_FIRST:
                continue
            view = View(estimates, estimates.sample, arithmetic)
        best = _without_idle(view, _described(view, axes, starts), starts)
        if not is_masked(best, best.kept, best.dropped):
            continue
        if enough - AT_FIRST <= best.explained < enough:
            best = _looser(best)
        if best.explained >= enough:
            return best
    return None


def _looser(found: Mixture) -> Mixture:
    """Return the mixture with coefficients of their own for every slice, told by all elements."""
    view = found.view
    coefficients = refitted(found)
    terms = coefficients[:, view.owner] * view.deltas[found.axes]
    kept, dropped, explained = assigned(view, terms, found.elected, found.normalized, found.shares)
    if explained <= found.explained:
        return found
    return replace(
        found,
        coefficients=coefficients,
        constant=np.zeros(len(found.axes), bool),
        kept=kept,
        dropped=dropped,
        explained=explained,
    )


def _without_idle(view: View, found: Mixture, starts: Mapping[int, float]) -> Mixture:
    for axis in list(found.axes):
        if len(found.axes) == 1:
            break
        rest = [i for i in found.axes if i != axis]
        less = _described(view, rest, starts)
        if less.explained >= found.explained - 2e-3:
            found = less
    return found


def _described(view: View, axes: list[int], starts: Mapping[int, float]) -> Mixture:
    """Describe the mixture of some parents, given their coefficients to a percent."""
    located = [_located(view, axis, starts[axis]) for axis in axes]
    coefficients = np.array([each[0] for each in located])
    constant = np.array([each[1] for each in located])
    terms = coefficients[:, view.owner] * view.deltas[axes]
    elected, normalized, shares = structure(view, terms)
    kept, dropped, explained = assigned(view, terms, elected, normalized, shares)
    return Mixture(
        view, axes, coefficients, constant, elected, normalized, shares, kept, dropped, explained
    )


def _located(view: View, axis: int, start: float) -> tuple[Floats, bool]:
    """Return (S,) the coefficient of a parent by slice, and whether it is the same for all."""
    low, high, owner = view.intervals(axis)
    sizes = np.bincount(view.owner, minlength=view.slices)
    reach = 0.03 + 4.0 / np.sqrt(np.maximum(sizes, 1.0))
    near = (high > start * 0.97) & (low < start * 1.03)
    one, _, depth = deepest(low[near], high[near], np.zeros(int(near.sum()), np.intp), 1)
    near = (high > start * (1.0 - reach[owner])) & (low < start * (1.0 + reach[owner]))
    each, _, depths = deepest(low[near], high[near], owner[near], view.slices)
    # Slices with next to no evidence follow the others; their weight in the test is as small.
    if int(depth[0]) >= 0.85 * float(depths[depths >= 8].sum()):
        return np.full(view.slices, float(one[0])), True
    known = depths >= 3
    middle = float(np.median(np.repeat(each[known], depths[known]))) if known.any() else start
    return np.where(known, each, middle), False


def refitted(found: Mixture) -> Floats:
    """Return coefficients by slice, each from all sets that it may be part of, the others held."""
    view = found.view
    coefficients = found.coefficients.copy()
    sizes = np.maximum(np.bincount(view.owner, minlength=view.slices), 1.0)
    count = len(found.axes)
    reach = 0.03 + 2.0 / np.sqrt(sizes)
    for round_ in range(2):
        for i in range(count):
            delta = view.deltas[found.axes[i]]
            terms = coefficients[:, view.owner] * view.deltas[found.axes]
            lows, highs, owners = [], [], []
            others = [j for j in range(count) if j != i]
            for number_ in range(0, count):
                for chosen in combinations(others, number_):
                    rest, factor = np.zeros(view.size), np.ones(view.size)
                    ok = view.moved & (delta != 0.0)
                    for j in chosen:
                        if found.elected:
                            ok &= np.sign(terms[j]) == np.sign(delta)
                    if found.normalized and chosen:
                        shares = found.shares
                        inside = shares[i] + sum(shares[j] for j in chosen)
                        for j in chosen:
                            rest = rest + shares[j] / inside * terms[j]
                        factor = factor * shares[i] / inside
                    else:
                        for j in chosen:
                            rest = rest + terms[j]
                    rows = np.flatnonzero(ok)
                    slope = factor[rows] * delta[rows]
                    one = (view.low[rows] - rest[rows]) / slope
                    two = (view.high[rows] - rest[rows]) / slope
                    low, high = np.minimum(one, two), np.maximum(one, two)
                    owner = view.owner[rows]
                    at = coefficients[i, owner]
                    near = (
                        (high > at * (1.0 - reach[owner]))
                        & (low < at * (1.0 + reach[owner]))
                        & (high - low < 0.3 * at)
                    )
                    lows.append(low[near])
                    highs.append(high[near])
                    owners.append(owner[near])
            middle, half, depth = deepest(
                np.concatenate(lows), np.concatenate(highs), np.concatenate(owners), view.slices
            )
            inside_reach = np.abs(middle / coefficients[i] - 1.0) <= reach
            good = (depth >= 3) & inside_reach & (half <= 0.1 * np.abs(middle))
            coefficients[i] = np.where(good, middle, coefficients[i])
        reach = np.minimum(reach, 0.01 + 1.0 / np.sqrt(sizes) if round_ == 0 else reach)
    return coefficients


def is_masked(found: Mixture, kept: Bools, dropped: Bools) -> bool:
    """Return whether displacements that are large enough to tell were both kept and dropped."""
    terms = found.coefficients[:, found.view.owner] * found.view.deltas[found.axes]
    large = np.abs(terms) > 2.0 * found.view.width
    lost, left = (dropped & large).sum(axis=1), (kept & large).sum(axis=1)
    return bool(np.any(lost > LEAST_DROPPED * (lost + left)) and left.sum() > 0)


def is_bf16(found: Mixture) -> bool:
    """Return whether the arithmetic is that of bf16."""
    return found.view.arithmetic == "bfloat16"
