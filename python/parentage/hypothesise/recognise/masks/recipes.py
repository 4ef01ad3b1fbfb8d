"""From what a sample shows of masks to the recipes that are worth replaying."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from parentage.hypothesise.recognise.masks.bands import bands_of, shares_above, shortest_between
from parentage.hypothesise.recognise.masks.chance import random_mask_recipe
from parentage.hypothesise.recognise.masks.interpreted import known_masks
from parentage.hypothesise.recognise.masks.mixture import find_mixture, is_bf16, is_masked
from parentage.hypothesise.recognise.masks.scales import (
    scaled_recipe,
    table,
    with_coefficients_by_slice,
)
from parentage.hypothesise.recognise.masks.trials import beats_decoys, in_best_order, mismatches
from parentage.hypothesise.recognise.masks.weights import short_decimal, unscaled_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.bands import Band
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Bools, View
    from parentage.recipe import Recipe
    from parentage.support import Floats

SEPARATE = 0.03
"""Share of masks that may contradict a threshold."""

_RECIPES: WeakKeyDictionary[SampleEstimates, tuple[Recipe, ...]] = WeakKeyDictionary()


def recipes(estimates: SampleEstimates) -> tuple[Recipe, ...]:
    """Return recipes of masked sums that are worth replaying, of whatever method."""
    if estimates not in _RECIPES:
        mixture = find_mixture(estimates)
        candidates = [] if mixture is None else list(_recipes(estimates, mixture))
        _RECIPES[estimates] = tuple(x for x in candidates if beats_decoys(estimates, x))
    return _RECIPES[estimates]


def recipes_of(estimates: SampleEstimates, name: str) -> Iterator[Recipe]:
    """Yield the recipes of masked sums whose method is ``name``."""
    return (recipe for recipe in recipes(estimates) if recipe.method == name)


def _recipes(estimates: SampleEstimates, mixture: Mixture) -> Iterator[Recipe]:
    """Yield the recipe that makes a mixture, if there is one."""
    if not is_masked(mixture, mixture.kept, mixture.dropped):
        return
    is_scaled = not bool(mixture.constant.all())
    plain = None if is_scaled and not is_bf16(mixture) else unscaled_recipe(estimates, mixture)
    if plain is not None and is_scaled:
        # Rounding blurs scales that differ little; none at all is the simpler explanation.
        is_scaled = float(mismatches(estimates, [plain]).sum()) > 1e-3 * mixture.view.size
    if is_scaled or plain is None:
        mixture = with_coefficients_by_slice(mixture)
        recipe = scaled_recipe(estimates, mixture)
    else:
        recipe = plain
    kept, dropped, _ = known_masks(estimates, mixture, recipe)
    if not is_masked(mixture, kept, dropped):
        return
    if not is_scaled:
        capped = _bands(mixture, kept, dropped, is_capped=True)
        known, errors = _known(capped), _errors(capped)
        if known and errors <= SEPARATE * known:
            yield size_mask_recipe(estimates, mixture, recipe, kept, dropped)
            return
    masked = random_mask_recipe(estimates, mixture, recipe, kept, dropped, is_scaled=is_scaled)
    if masked is not None:
        yield masked


def _bands(mixture: Mixture, kept: Bools, dropped: Bools, *, is_capped: bool) -> list[list[Band]]:
    """Return, for each parent and slice, the band of sizes of displacements that were kept."""
    return [
        bands_of(
            np.abs(mixture.view.deltas[axis]),
            kept[i],
            dropped[i],
            mixture.view,
            is_capped=is_capped,
        )
        for i, axis in enumerate(mixture.axes)
    ]


def _known(groups: list[list[Band]]) -> int:
    """Return how many masks are known, of all parents and slices."""
    return sum(band.known for bands in groups for band in bands)


def _errors(groups: list[list[Band]]) -> int:
    """Return how many masks contradict their band, of all parents and slices."""
    return sum(band.errors for bands in groups for band in bands)


def size_mask_recipe(
    estimates: SampleEstimates, mixture: Mixture, recipe: Recipe, kept: Bools, dropped: Bools
) -> Recipe:
    """Return the recipe with masks that keep displacements of certain sizes.

    ``recipe`` has the weights; ``kept`` and ``dropped`` (axes, elements) are the displacements
    known to have been.
    """
    view = mixture.view
    capped = _bands(mixture, kept, dropped, is_capped=True)
    groups = _bands(mixture, kept, dropped, is_capped=False)
    errors, known = _errors(groups), _known(groups)
    # Ties at a threshold are errors of either; outliers that were dropped are errors of one.
    is_capped = errors - _errors(capped) > max(3e-4 * known, 0.1 * _errors(capped))
    fitted: dict[str, dict[str, float]] = {}
    densities, gammas = [], []
    for axis, bands in zip(mixture.axes, capped if is_capped else groups, strict=True):
        edges = _edges(bands, is_capped=is_capped)
        density, gamma = _kept_shares(np.abs(view.deltas[axis]), view, edges)
        densities.append(density)
        gammas.append(gamma)
        name = estimates.columns.parents[axis]
        for key, values in edges.items():
            fitted[f"{key}:{name}"] = table(estimates, values, view.owner)
    ingredients = tuple(
        replace(ingredient, density=density)
        for ingredient, density in zip(recipe.ingredients, densities, strict=True)
    )
    method = _size_mask_method(mixture, is_capped=is_capped)
    parameters = dict(recipe.parameters)
    if is_capped:
        parameters["gamma"] = short_decimal(float(np.mean(gammas)), 2e-3)
    elif method == "breadcrumbs":
        parameters["gamma"] = 0.0
    if len(mixture.axes) == 1:
        # A mean of one is that one; its weight shows only where there is none.
        parameters["normalize"] = method == "ties" and recipe.ingredients[0].weight == 1.0
    if parameters["normalize"] == (method == "ties"):
        # What the method does by default is not written.
        del parameters["normalize"]
    masked = replace(
        recipe, method=method, ingredients=ingredients, parameters=parameters, fitted=fitted
    )
    return in_best_order(estimates, masked)


def _edges(bands: Sequence[Band], *, is_capped: bool) -> dict[str, Floats]:
    """Return (S,) each of the edges of a parent's bands, by the names that replays have."""
    names = ("low", "high", "top_low", "top_high") if is_capped else ("low", "high")
    return {name: np.array([getattr(band, name) for band in bands]) for name in names}


def _kept_shares(size: Floats, view: View, edges: Mapping[str, Floats]) -> tuple[float, float]:
    """Return a parent's density, and gamma: the share of its displacements that are too large.

    ``size`` (elements,) are the absolute values of the displacements.
    """
    least, most, spare = shares_above(size, view.owner, edges["low"], edges["high"])
    gamma = 0.0
    if "top_low" in edges:
        top_least, top_most, _ = shares_above(size, view.owner, edges["top_low"], edges["top_high"])
        gamma = shortest_between(top_least, top_most + spare)
        least, most = least - top_most, most - top_least
    return shortest_between(least, most + spare), gamma


def _size_mask_method(mixture: Mixture, *, is_capped: bool) -> str:
    """Return the method that masks by size and sums as the mixture does."""
    if is_capped:
        return "breadcrumbs_ties" if mixture.elected else "breadcrumbs"
    # Of a single parent there is nothing to elect.
    return "ties" if mixture.elected or len(mixture.axes) == 1 else "breadcrumbs"
