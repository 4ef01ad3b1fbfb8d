"""Each element is the base's or the parent's, whichever importance says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.evaluate import count_matches
from parentage.hypothesise.recognise.masks.bands import bands_of
from parentage.hypothesise.recognise.masks.interpreted import outcomes
from parentage.hypothesise.recognise.masks.mixture import EXPLAINED, is_unexplained
from parentage.hypothesise.recognise.masks.recipes import SEPARATE
from parentage.hypothesise.recognise.masks.trials import beats_decoys, share_of_changed
from parentage.hypothesise.recognise.masks.view import View
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import arcee_fusion
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.hypothesise.estimates import SampleEstimates

COPIED = 0.999
"""Least share of changed elements that are the parent's."""

TAKEN = (0.005, 0.8)
"""Share of the parent's displacements that may be taken."""

LIFT = 0.15
"""How much higher the ranks of the taken displacements are, at least, than those of the others."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield a recipe for the first parent whose whole displacements the changed elements have.

    And only if those displacements are the larger ones.
    """
    if not is_unexplained(estimates):
        return
    for arithmetic in arcee_fusion.ARITHMETICS:
        for name in estimates.columns.parents:
            ingredients = (Ingredient(name),)
            recipe = Recipe(
                "arcee_fusion",
                ingredients,
                estimates.columns.base,
                {},
                arithmetic,
                estimates.out_dtype,
            )
            if is_fused(estimates, recipe) and beats_decoys(estimates, recipe):
                yield recipe
                return


def is_fused(estimates: SampleEstimates, recipe: Recipe) -> bool:
    """Return whether the child has the larger displacements of the parent, and no others."""
    # A part of the sample is tried first, before masks are told.
    share = float(count_matches([recipe], estimates.small, estimates)[0].share[0])
    if share_of_changed(estimates, share) < EXPLAINED:
        return False
    view = View(estimates, estimates.sample, recipe.arithmetic)
    is_base, is_parent = outcomes(estimates, view, recipe)
    axis = estimates.columns.parents.index(recipe.ingredients[0].name)
    delta = view.deltas[axis]
    either = is_base | is_parent
    if float(either[view.moved].mean()) < COPIED:
        return False
    told = (is_base != is_parent) & (delta != 0.0)
    taken = float(is_parent[told].mean()) if told.any() else 0.0
    if not TAKEN[0] < taken < TAKEN[1]:
        return False
    # A threshold of the slice would say the same, and more.
    bands = bands_of(np.abs(delta), told & is_parent, told & is_base, view, is_capped=True)
    if sum(band.errors for band in bands) <= SEPARATE * float(told.sum()):
        return False
    rank = view.ranks(axis)
    return float(rank[told & is_parent].mean() - rank[told & is_base].mean()) > LIFT


RECOGNISER = Recogniser(estimate)
