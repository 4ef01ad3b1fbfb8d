"""Recipes tried on the sample: how many elements mismatch, and which of several is best."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.evaluate import count_matches
from parentage.hypothesise.recognise.masks.interpreted import outcomes
from parentage.hypothesise.recognise.masks.mixture import EXPLAINED
from parentage.hypothesise.recognise.masks.view import View
from parentage.replay import compile_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Recipe

DECOYS = 0.75
"""Largest share of changed elements that decoys may explain."""

MOST_OPERATIONS, MOST_RESULTS = 200, 32
"""What programs of the core may have; see ``replay/program.rs``."""


def beats_decoys(estimates: SampleEstimates, recipe: Recipe) -> bool:
    """Return whether a recipe explains nearly all changed elements, and far more than with decoys.

    A decoy has a parent's displacements in another order. All parents are replaced at once, or the
    first alone where such a program is too long for the core.
    """
    # All at once: a parent that adds little would hardly be missed.
    columns = frozenset(estimates.columns[x.name] for x in recipe.ingredients)
    if not fits(estimates, recipe, columns):
        columns = frozenset({estimates.columns[recipe.ingredients[0].name]})
        if not fits(estimates, recipe, columns):
            return False
    ours = compile_recipe(recipe, estimates.columns.indices, estimates.slices)
    decoys = compile_recipe(recipe, estimates.columns.indices, estimates.slices, decoys=columns)
    share, by_decoys = (
        share_of_changed(estimates, float(x)) for x in estimates.sample.replay([ours, decoys]).share
    )
    return share >= EXPLAINED and by_decoys <= DECOYS * share


def fits(estimates: SampleEstimates, recipe: Recipe, decoys: frozenset[int] = frozenset()) -> bool:
    """Return whether the core can carry out a recipe, with decoys for the parents in some columns.

    Its programs have at most so many operations and results.
    """
    program, results = compile_recipe(recipe, estimates.columns.indices, estimates.slices, decoys)
    count = len({result.number for result in results})
    return len(program.operations) <= MOST_OPERATIONS and count <= MOST_RESULTS


def share_of_changed(estimates: SampleEstimates, share: float) -> float:
    """Return the share of changed elements that are reproduced, of the share of all elements.

    Unchanged elements are taken to be reproduced.
    """
    rows = estimates.sample.weight > 0
    n = float(estimates.sample.gram.n[rows].sum())
    same = float(estimates.sample.gram.equal[rows][:, 0].sum()) / max(n, 1.0)
    return (share - same) / max(1.0 - same, 1e-12)


def mismatches(estimates: SampleEstimates, candidates: Sequence[Recipe]) -> NDArray[np.int64]:
    """Return (S, candidates) how many sampled elements of each slice a recipe does not explain.

    Of a part of the sample, where the core can not carry out all of the candidates.
    """
    if not all(fits(estimates, recipe) for recipe in candidates):
        return interpreted_mismatches(estimates, candidates)
    counts = count_matches(candidates, estimates.sample, estimates)
    return np.concatenate([count.mismatched.astype(np.int64) for count in counts], axis=1)


def interpreted_mismatches(
    estimates: SampleEstimates, candidates: Sequence[Recipe]
) -> NDArray[np.int64]:
    """Return (S, candidates) the mismatches in a part of the sample, of programs of any length."""
    columns = []
    for recipe in candidates:
        view = View(estimates, estimates.small, recipe.arithmetic)
        wrong = ~np.any(outcomes(estimates, view, recipe), axis=0)
        columns.append(np.bincount(view.owner[wrong], minlength=view.slices))
    return np.stack(columns, axis=1).astype(np.int64)


def best_of(estimates: SampleEstimates, candidates: Sequence[Recipe]) -> Recipe:
    """Return the first recipe with at most half as many mismatches again as the best, plus two."""
    if len(candidates) == 1:
        return candidates[0]
    counts = mismatches(estimates, candidates).sum(axis=0)
    return candidates[int(np.argmax(counts <= 1.5 * counts.min() + 2.0))]


def is_exact(estimates: SampleEstimates, recipe: Recipe) -> bool:
    """Return whether at most a thousandth of the elements mismatch: the arithmetic is right."""
    return float(mismatches(estimates, [recipe]).sum()) <= 1e-3 * float(
        estimates.sample.counts.sum()
    )


def in_best_order(estimates: SampleEstimates, recipe: Recipe) -> Recipe:
    """Return the recipe with its ingredients in the order that gives the fewest mismatches."""
    if len(recipe.ingredients) < 3:
        return recipe
    return best_of(
        estimates,
        [replace(recipe, ingredients=order) for order in permutations(recipe.ingredients)],
    )
