"""From what a sample shows of masks to the recipes that are worth replaying."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from parentage.hypothesise.recognise.masks.bands import bands_of, shares_above, within
from parentage.hypothesise.recognise.masks.chance import by_chance
from parentage.hypothesise.recognise.masks.interpreted import known_masks
from parentage.hypothesise.recognise.masks.mixture import is_bf16, is_masked, mixture
from parentage.hypothesise.recognise.masks.scales import scaled, table
from parentage.hypothesise.recognise.masks.trials import mismatches, ordered, worthwhile
from parentage.hypothesise.recognise.masks.weights import short, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Bools
    from parentage.recipe import Recipe

SEPARATE = 0.03
"""Share of masks that may contradict a threshold."""

_RECIPES: WeakKeyDictionary[SampleEstimates, tuple[Recipe, ...]] = WeakKeyDictionary()


def recipes(estimates: SampleEstimates) -> tuple[Recipe, ...]:
    """Return recipes of masked sums that are worth replaying, of whatever method."""
    if estimates not in _RECIPES:
        found = mixture(estimates)
        made = [] if found is None else list(_recipes(estimates, found))
        _RECIPES[estimates] = tuple(each for each in made if worthwhile(estimates, each))
    return _RECIPES[estimates]


def named(estimates: SampleEstimates, name: str) -> Iterator[Recipe]:
    """Yield those of one method."""
    return (each for each in recipes(estimates) if each.method == name)


def _recipes(estimates: SampleEstimates, found: Mixture) -> Iterator[Recipe]:
    """Yield the recipe that a mixture comes from."""
    if not is_masked(found, found.kept, found.dropped):
        return
    is_scaled = not bool(found.constant.all())
    plain = spelled(estimates, found) if not is_scaled or is_bf16(found) else None
    if plain is not None and is_scaled:
        # Rounding blurs scales that differ little; none at all is the simpler explanation.
        is_scaled = float(mismatches(estimates, [plain]).sum()) > 1e-3 * found.view.size
    recipe = scaled(estimates, found) if is_scaled or plain is None else plain
    kept, dropped, _ = known_masks(estimates, found, recipe)
    if not is_masked(found, kept, dropped):
        return
    if not is_scaled:
        masks = [
            bands_of(
                np.abs(found.view.deltas[axis]), kept[i], dropped[i], found.view, is_capped=True
            )
            for i, axis in enumerate(found.axes)
        ]
        known = sum(each.known for group in masks for each in group)
        errors = sum(each.errors for group in masks for each in group)
        if known and errors <= SEPARATE * known:
            yield _by_size(estimates, found, recipe, kept, dropped)
            return
    made = by_chance(estimates, found, recipe, kept, dropped, is_scaled=is_scaled)
    if made is not None:
        yield made


def _by_size(
    estimates: SampleEstimates, found: Mixture, recipe: Recipe, kept: Bools, dropped: Bools
) -> Recipe:
    """Return the recipe whose masks go by the size of displacements."""
    view = found.view
    fitted: dict[str, dict[str, float]] = {}
    ingredients = []
    groups, capped = [], []
    for i, axis in enumerate(found.axes):
        size = np.abs(view.deltas[axis])
        capped.append(bands_of(size, kept[i], dropped[i], view, is_capped=True))
        groups.append(bands_of(size, kept[i], dropped[i], view, is_capped=False))
    errors = [sum(each.errors for group in some for each in group) for some in (groups, capped)]
    known = sum(each.known for group in groups for each in group)
    # Ties at a threshold are errors of either; outliers that were dropped are errors of one.
    is_capped = errors[0] - errors[1] > max(3e-4 * known, 0.1 * errors[1])
    gammas = []
    for i, axis in enumerate(found.axes):
        name = estimates.columns.parents[axis]
        size = np.abs(view.deltas[axis])
        chosen = capped[i] if is_capped else groups[i]
        low, high = (np.array([getattr(each, k) for each in chosen]) for k in ("low", "high"))
        keys = {"low": low, "high": high}
        bottom, top, spare = shares_above(size, view.owner, low, high)
        if is_capped:
            top_low, top_high = (
                np.array([getattr(each, k) for each in chosen]) for k in ("top_low", "top_high")
            )
            keys |= {"top_low": top_low, "top_high": top_high}
            least, most, _ = shares_above(size, view.owner, top_low, top_high)
            gammas.append(within(least, most + spare))
            bottom, top = bottom - most, top - least
        for key, values in keys.items():
            fitted[f"{key}:{name}"] = table(estimates, values, view.owner)
        share = within(bottom, top + spare)
        ingredients.append(replace(recipe.ingredients[i], density=share))
    parameters = dict(recipe.parameters)
    if is_capped:
        parameters["gamma"] = short(float(np.mean(gammas)), 2e-3)
        method = "breadcrumbs_ties" if found.elected else "breadcrumbs"
        default = False
    else:
        # Of a single parent there is nothing to elect.
        is_ties = found.elected or len(found.axes) == 1
        method, default = ("ties", True) if is_ties else ("breadcrumbs", False)
        if not is_ties:
            parameters["gamma"] = 0.0
    if len(found.axes) == 1:
        # A mean of one is that one; its weight shows only where there is none.
        parameters["normalize"] = method == "ties" and recipe.ingredients[0].weight == 1.0
    if parameters["normalize"] == default:
        del parameters["normalize"]
    made = replace(
        recipe,
        method=method,
        ingredients=tuple(ingredients),
        parameters=parameters,
        fitted=fitted,
    )
    return ordered(estimates, made)
