"""RAM with what a single parent changed scaled up, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.mixture import is_unexplained
from parentage.hypothesise.recognise.masks.scales import table
from parentage.hypothesise.recognise.masks.trials import best_of, in_best_order
from parentage.hypothesise.recognise.masks.view import View, deepest_overlap
from parentage.hypothesise.recognise.ram import searched
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import ram, ramplus_tl
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.view import Bools
    from parentage.support import Floats

WINDOW = (1.0, 2.0)
"""Factors that are considered where the defaults fail."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the recipe of the parents that reproduce most, if that is nearly all."""
    if len(estimates.columns.parents) < 2 or not is_unexplained(estimates):
        return
    # Float32 files show factors to the last bit, and those take all elements.
    sample = estimates.sample if estimates.out_dtype == "F32" else estimates.small
    looks = {each: View(estimates, sample, each) for each in ramplus_tl.ARITHMETICS}

    def made(names: Sequence[str], arithmetic: str) -> Recipe:
        ingredients = tuple(Ingredient(name) for name in names)
        recipe = Recipe(
            "ramplus_tl", ingredients, estimates.columns.base, {}, arithmetic, estimates.out_dtype
        )
        look = looks[arithmetic]
        deltas = look.deltas[[estimates.columns.parents.index(name) for name in names]]
        return with_factors(estimates, look, recipe, by_counts(look, *counted(deltas, arithmetic)))

    best = searched(estimates, made)
    if best is None:
        return
    view = View(estimates, estimates.sample, best.arithmetic)
    axes = [estimates.columns.parents.index(each.name) for each in best.ingredients]
    deltas = view.deltas[axes]
    counts, alone = counted(deltas, best.arithmetic)
    candidates = [
        with_factors(estimates, view, best, by_counts(view, counts, alone)),
        with_factors(estimates, view, best, by_cells(view, deltas, alone)),
    ]
    yield in_best_order(estimates, best_of(estimates, candidates))


def counted(deltas: Floats, arithmetic: str) -> tuple[Bools, Bools]:
    """Return (parents, elements) which displacements count, and which of them count alone."""
    epsilon = np.array([ram.EPSILON])
    least = to_bf16(epsilon) if arithmetic == "bfloat16" else epsilon.astype(np.float32)
    counts = np.abs(deltas) > least
    return counts, counts & (counts.sum(axis=0) == 1)


def with_factors(estimates: SampleEstimates, view: View, recipe: Recipe, factors: Floats) -> Recipe:
    """Return the recipe with factors (parents, S)."""
    return replace(
        recipe,
        fitted={
            f"factor:{each.name}": table(estimates, row, view.owner)
            for each, row in zip(recipe.ingredients, factors, strict=True)
        },
    )


def by_counts(view: View, counts: Bools, alone: Bools) -> Floats:
    """Return the factors that the counts of shared and unique changes make, by the defaults."""
    shared = np.array([np.bincount(view.owner, row, view.slices) for row in counts & ~alone])
    unique = np.array([np.bincount(view.owner, row, view.slices) for row in alone])
    ratio = (shared / np.maximum(unique, ram.EPSILON)).astype(np.float32)
    rise = (
        np.float32(ramplus_tl.STRENGTH) * np.clip(ratio, 0.0, np.float32(ramplus_tl.CAP))
    ).astype(np.float32)
    out: Floats = (np.float32(1.0) + rise).astype(np.float64)
    return out


def by_cells(view: View, deltas: Floats, alone: Bools) -> Floats:
    """Return the factors where most cells of unique changes meet."""
    out = np.full((len(deltas), view.slices), 1.0 + ramplus_tl.STRENGTH * ramplus_tl.CAP)
    for i, delta in enumerate(deltas):
        rows = np.flatnonzero(alone[i])
        one, two = view.low[rows] / delta[rows], view.high[rows] / delta[rows]
        low, high = np.minimum(one, two), np.maximum(one, two)
        near = (high > WINDOW[0]) & (low < WINDOW[1]) & (high - low < 0.1)
        middle, _, depth = deepest_overlap(
            low[near], high[near], view.owner[rows[near]], view.slices
        )
        out[i] = np.where(depth >= 3, middle, out[i])
    return out


RECOGNISER = Recogniser(estimate)
