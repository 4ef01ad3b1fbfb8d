"""RAM with what a single parent changed scaled up, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.mixture import is_unexplained, varies_in_size
from parentage.hypothesise.recognise.masks.scales import table
from parentage.hypothesise.recognise.masks.trials import best_of, in_best_order
from parentage.hypothesise.recognise.masks.view import View, deepest_overlap
from parentage.hypothesise.recognise.ram import best_parents
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import ram, ramplus_tl
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.view import Bools
    from parentage.support import Floats

WINDOW = (1.0, 2.0)
"""Factors that are considered where the parameters are not the defaults."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the recipe of the parents that reproduce most, if that is nearly all."""
    if len(estimates.columns.parents) < 2 or not is_unexplained(estimates):
        return
    if not varies_in_size(estimates):
        return
    # Float32 files show factors to the last bit, and those take all elements.
    sample = estimates.sample if estimates.out_dtype == "F32" else estimates.small
    views = {name: View(estimates, sample, name) for name in ramplus_tl.ARITHMETICS}

    def recipe_of(names: Sequence[str], arithmetic: str) -> Recipe:
        """Return the recipe of some parents, with the factors of the default parameters."""
        ingredients = tuple(Ingredient(name) for name in names)
        recipe = Recipe(
            "ramplus_tl", ingredients, estimates.columns.base, {}, arithmetic, estimates.out_dtype
        )
        view = views[arithmetic]
        deltas = view.deltas[[estimates.columns.parents.index(name) for name in names]]
        return with_factors(estimates, view, recipe, by_counts(view, *counted(deltas, arithmetic)))

    best = best_parents(estimates, recipe_of)
    if best is None:
        return
    view = View(estimates, estimates.sample, best.arithmetic)
    axes = [estimates.columns.parents.index(x.name) for x in best.ingredients]
    deltas = view.deltas[axes]
    counts, alone = counted(deltas, best.arithmetic)
    candidates = [
        with_factors(estimates, view, best, by_counts(view, counts, alone)),
        with_factors(estimates, view, best, by_cells(view, deltas, alone)),
    ]
    yield in_best_order(estimates, best_of(estimates, candidates))


def counted(deltas: Floats, arithmetic: str) -> tuple[Bools, Bools]:
    """Return (parents, elements) which displacements are changes, and which are so alone."""
    epsilon = np.array([ram.EPSILON])
    least = to_bf16(epsilon) if arithmetic == "bfloat16" else epsilon.astype(np.float32)
    counts = np.abs(deltas) > least
    return counts, counts & (counts.sum(axis=0) == 1)


def with_factors(estimates: SampleEstimates, view: View, recipe: Recipe, factors: Floats) -> Recipe:
    """Return the recipe with factors (parents, S) of changes that one parent has alone."""
    return replace(
        recipe,
        fitted={
            f"factor:{ingredient.name}": table(estimates, by_slice, view.owner)
            for ingredient, by_slice in zip(recipe.ingredients, factors, strict=True)
        },
    )


def by_counts(view: View, counts: Bools, alone: Bools) -> Floats:
    """Return the factors (parents, S) of the default parameters, from counts of changes.

    ``counts`` (parents, elements) are changes, ``alone`` those that one parent has alone.
    """
    shared = np.array([np.bincount(view.owner, row, view.slices) for row in counts & ~alone])
    unique = np.array([np.bincount(view.owner, row, view.slices) for row in alone])
    ratio = (shared / np.maximum(unique, ram.EPSILON)).astype(np.float32)
    rise = (
        np.float32(ramplus_tl.STRENGTH) * np.clip(ratio, 0.0, np.float32(ramplus_tl.CAP))
    ).astype(np.float32)
    factors: Floats = (np.float32(1.0) + rise).astype(np.float64)
    return factors


def by_cells(view: View, deltas: Floats, alone: Bools) -> Floats:
    """Return the factors (parents, S) that most cells of a parent's unshared changes admit."""
    factors = np.full((len(deltas), view.slices), 1.0 + ramplus_tl.STRENGTH * ramplus_tl.CAP)
    for i, delta in enumerate(deltas):
        rows = np.flatnonzero(alone[i])
        one, two = view.low[rows] / delta[rows], view.high[rows] / delta[rows]
        low, high = np.minimum(one, two), np.maximum(one, two)
        near = (high > WINDOW[0]) & (low < WINDOW[1]) & (high - low < 0.1)
        middle, _, depth = deepest_overlap(
            low[near], high[near], view.owner[rows[near]], view.slices
        )
        factors[i] = np.where(depth >= 3, middle, factors[i])
    return factors


RECOGNISER = Recogniser(estimate)
