"""The base moved towards a parent by a fixed distance, all the way where they are nearer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.masks.mixture import is_unexplained, varies_in_size
from parentage.hypothesise.recognise.masks.trials import beats_decoys, best_of
from parentage.hypothesise.recognise.masks.view import View, deepest_overlap
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import nearswap
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.hypothesise.estimates import SampleEstimates

MET = 0.6
"""Least share of cells that admit one distance."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield a recipe for the first parent towards which most elements moved by one distance."""
    if not is_unexplained(estimates) or not varies_in_size(estimates):
        return
    for arithmetic in nearswap.ARITHMETICS:
        view = View(estimates, estimates.small, arithmetic)
        for axis, name in enumerate(estimates.columns.parents):
            written = distances(view, axis)
            candidates = [
                Recipe(
                    "nearswap",
                    (Ingredient(name),),
                    estimates.columns.base,
                    {"t": t},
                    arithmetic,
                    estimates.out_dtype,
                )
                for t in written
            ]
            if candidates:
                best = best_of(estimates, candidates)
                if beats_decoys(estimates, best):
                    yield best
                    return


def distances(view: View, axis: int) -> list[float]:
    """Return distances as they may have been written; none if most cells do not admit the same."""
    delta = view.deltas[axis]
    rows = np.flatnonzero(view.moved & (delta != 0.0))
    sign = np.sign(delta[rows])
    one, two = view.low[rows] * sign, view.high[rows] * sign
    low, high = np.minimum(one, two), np.maximum(one, two)
    # Where the parent is nearer than the distance, the child has the parent's element.
    open_ = (low > 0.0) & (high < 3.0 * low) & (high < np.abs(delta[rows]))
    if open_.sum() < 50:
        return []
    none = np.zeros(int(open_.sum()), np.intp)
    middle, half, depth = deepest_overlap(low[open_], high[open_], none, 1)
    if depth[0] < MET * len(none):
        return []
    t, slack = float(middle[0]), float(half[0])
    tolerances = [slack, 1e-4 * t, 1e-3 * t, 1e-2 * t, 3e-2 * t]
    written = []
    for tolerance in tolerances:
        for digits in range(1, 10):
            near = round(t, digits)
            if near > 0.0 and abs(near - t) <= tolerance:
                written.append(near)
                break
    return list(dict.fromkeys([*written, t]))


RECOGNISER = Recogniser(estimate)
