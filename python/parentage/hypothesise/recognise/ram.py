"""The base plus displacements, a mean of them where several parents changed an element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.evaluate import count_matches
from parentage.hypothesise.recognise.masks.mixture import EXPLAINED, is_unexplained, varies_in_size
from parentage.hypothesise.recognise.masks.trials import in_best_order, share_of_changed
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.sce import subsets
from parentage.methods import ram
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from parentage.hypothesise.estimates import SampleEstimates


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the recipe of the parents that reproduce most, if that is nearly all."""

    def recipe_of(names: Sequence[str], arithmetic: str) -> Recipe:
        """Return the recipe of some parents."""
        ingredients = tuple(Ingredient(name) for name in names)
        return Recipe(
            "ram", ingredients, estimates.columns.base, {}, arithmetic, estimates.out_dtype
        )

    best = best_parents(estimates, recipe_of)
    if best is not None:
        yield in_best_order(estimates, best)


def best_parents(
    estimates: SampleEstimates, recipe_of: Callable[[Sequence[str], str], Recipe]
) -> Recipe | None:
    """Return the recipe that reproduces most of a part of the sample, if that is nearly all.

    ``recipe_of`` makes it of the names of parents and an arithmetic; all sets of parents are tried.
    """
    if len(estimates.columns.parents) < 2 or not is_unexplained(estimates):
        return None
    if not varies_in_size(estimates):
        return None
    candidates = [
        recipe_of([estimates.columns.parents[i] for i in axes], arithmetic)
        for axes in subsets(len(estimates.columns.parents), 2)
        for arithmetic in ram.ARITHMETICS
    ]
    shares = [
        float(count.share[0]) for count in count_matches(candidates, estimates.small, estimates)
    ]
    best = int(np.argmax(shares))
    return candidates[best] if share_of_changed(estimates, shares[best]) >= EXPLAINED else None


RECOGNISER = Recogniser(estimate)
