"""Masks drawn at random: the rates at which displacements are kept, and whether rank has a say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.masks.trials import ordered
from parentage.hypothesise.recognise.masks.weights import short

if TYPE_CHECKING:
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.hypothesise.recognise.masks.view import Bools, Places
    from parentage.recipe import Recipe
    from parentage.support import Floats


def rates(found: Mixture, kept: Bools, dropped: Bools) -> list[tuple[float, float, float]]:
    """Return, by parent, the rate at which displacements are kept, its slope over ranks, its error.

    Only elements whose two outcomes (kept, dropped) can be told apart are counted; counting the
    others would favour the outcome that is easier to see.
    """
    view = found.view
    terms = found.coefficients[:, view.owner] * view.deltas[found.axes]
    plain = (np.abs(terms) > 4.0 * view.width).all(axis=0)
    if found.elected:
        plain &= (np.sign(terms) == np.sign(terms[0])).all(axis=0)
    out = []
    for i in range(len(found.axes)):
        rank = ranks(np.abs(view.deltas[found.axes[i]]), view.rows)
        rows = np.flatnonzero(plain & (kept[i] | dropped[i]))
        if len(rows) < 20:
            rows = np.flatnonzero(kept[i] | dropped[i])
        if len(rows) < 2:
            out.append((1.0, 0.0, 1.0))
            continue
        y, x = kept[i, rows].astype(np.float64), rank[rows]
        x0, y0 = float(x.mean()), float(y.mean())
        spread = float(((x - x0) ** 2).sum())
        slope = float(((x - x0) * (y - y0)).sum()) / spread if spread > 0 else 0.0
        error = float(np.sqrt(max(y0 * (1.0 - y0), 1e-4) / max(spread, 1e-12)))
        at_middle = y0 + slope * (0.5 - x0) if abs(slope) > 5.0 * error else y0
        out.append((at_middle, slope, error))
    return out


def ranks(sizes: Floats, owner: Places) -> Floats:
    """Return each element's rank in its slice, from 0 to 1."""
    order = np.lexsort((sizes, owner))
    counts = np.bincount(owner)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    out = np.empty(len(sizes))
    out[order] = np.arange(len(sizes)) - starts[owner[order]]
    return out / np.maximum(counts[owner] - 1, 1)


def by_chance(
    estimates: SampleEstimates,
    found: Mixture,
    recipe: Recipe,
    kept: Bools,
    dropped: Bools,
    *,
    is_scaled: bool,
) -> Recipe | None:
    """Return the recipe whose masks are drawn at random: at one rate, or by rank.

    ``None`` if rates rise with rank by more than they can: from above 0 to below 1.
    """
    found_rates = rates(found, kept, dropped)
    is_ranked = all(slope > max(5.0 * error, 0.03) for _, slope, error in found_rates)
    ingredients = tuple(
        replace(each, density=short(rate, max(6e-3, 3.0 * error / np.sqrt(12.0))))
        for each, (rate, _, error) in zip(recipe.ingredients, found_rates, strict=True)
    )
    parameters = dict(recipe.parameters)
    if is_ranked:
        slope = float(np.mean([slope for _, slope, _ in found_rates]))
        if any(abs(slope / 2.0) >= min(rate, 1.0 - rate) for rate, _, _ in found_rates):
            return None
        parameters["epsilon"] = short(slope / 2.0, 6e-3)
        method = "della" if found.elected else "della_linear"
    else:
        method = "dare_ties" if found.elected else "dare_linear"
    if not is_scaled:
        parameters["rescale"] = False
    default = method == "della"
    if len(found.axes) == 1:
        parameters["normalize"] = default
    if parameters["normalize"] == default:
        del parameters["normalize"]
    made = replace(recipe, method=method, ingredients=ingredients, parameters=parameters)
    return ordered(estimates, made)
