"""Masks drawn at random: the rates at which displacements are kept, and whether rank has a say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.masks.trials import in_best_order
from parentage.hypothesise.recognise.masks.weights import short_decimal

if TYPE_CHECKING:
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Bools
    from parentage.recipe import Recipe
    from parentage.support import Floats


@dataclass(frozen=True, slots=True)
class KeepRate:
    """How often the displacements of a parent are kept, by a line over their ranks by size."""

    middle: float
    """Rate at the middle rank."""
    slope: float
    """Rate at the highest rank less that at the lowest."""
    error: float
    """Standard error of the slope."""

    @property
    def is_sloped(self) -> bool:
        """Whether the slope is clearly not that of one rate for all ranks."""
        return abs(self.slope) > 5.0 * self.error


def keep_rates(mixture: Mixture, kept: Bools, dropped: Bools) -> list[KeepRate]:
    """Return, by parent, the rate at which displacements are kept.

    ``kept`` and ``dropped`` (axes, elements) are those known to have been. Only elements whose two
    outcomes (kept, dropped) can be told apart are counted; counting the others would favour the
    outcome that is easier to see.
    """
    view, terms = mixture.view, mixture.terms
    plain = (np.abs(terms) > 4.0 * view.width).all(axis=0)
    if mixture.elected:
        plain &= (np.sign(terms) == np.sign(terms[0])).all(axis=0)
    rates = []
    for i, axis in enumerate(mixture.axes):
        rank = view.ranks(axis)
        rows = np.flatnonzero(plain & (kept[i] | dropped[i]))
        if len(rows) < 20:
            rows = np.flatnonzero(kept[i] | dropped[i])
        rates.append(_keep_rate(rank[rows], kept[i, rows].astype(np.float64)))
    return rates


def _keep_rate(rank: Floats, kept: Floats) -> KeepRate:
    """Return the rate of elements of some ranks (n,), of which ``kept`` (n,) is 1 or 0."""
    if len(kept) < 2:
        return KeepRate(1.0, 0.0, 1.0)
    mean_rank, mean = float(rank.mean()), float(kept.mean())
    spread = float(((rank - mean_rank) ** 2).sum())
    slope = float(((rank - mean_rank) * (kept - mean)).sum()) / spread if spread > 0 else 0.0
    error = float(np.sqrt(max(mean * (1.0 - mean), 1e-4) / max(spread, 1e-12)))
    rate = KeepRate(mean, slope, error)
    return replace(rate, middle=mean + slope * (0.5 - mean_rank)) if rate.is_sloped else rate


def random_mask_recipe(
    estimates: SampleEstimates,
    mixture: Mixture,
    recipe: Recipe,
    kept: Bools,
    dropped: Bools,
    *,
    is_scaled: bool,
) -> Recipe | None:
    """Return the recipe with masks that are drawn at random: at one rate, or at rates by rank.

    ``recipe`` has the weights; ``kept`` and ``dropped`` (axes, elements) are the displacements
    known to have been. ``None`` if rates rise with rank by more than they can: from above 0 to
    below 1.
    """
    rates = keep_rates(mixture, kept, dropped)
    is_ranked = all(rate.slope > max(5.0 * rate.error, 0.03) for rate in rates)
    ingredients = tuple(
        replace(
            ingredient,
            density=short_decimal(rate.middle, max(6e-3, 3.0 * rate.error / np.sqrt(12.0))),
        )
        for ingredient, rate in zip(recipe.ingredients, rates, strict=True)
    )
    parameters = dict(recipe.parameters)
    if is_ranked:
        slope = float(np.mean([rate.slope for rate in rates]))
        if any(abs(slope / 2.0) >= min(rate.middle, 1.0 - rate.middle) for rate in rates):
            return None
        parameters["epsilon"] = short_decimal(slope / 2.0, 6e-3)
        method = "della" if mixture.elected else "della_linear"
    else:
        method = "dare_ties" if mixture.elected else "dare_linear"
    if not is_scaled:
        parameters["rescale"] = False
    default = method == "della"
    if len(mixture.axes) == 1:
        parameters["normalize"] = default
    if parameters["normalize"] == default:
        del parameters["normalize"]
    masked = replace(recipe, method=method, ingredients=ingredients, parameters=parameters)
    return in_best_order(estimates, masked)
