"""Spherical interpolation between two whole checkpoints, an angle per tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.blends import FLOAT32_LEAST_SHARE
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.span import (
    LINEAR,
    climb,
    cosines,
    interpolation,
    located,
    raw_fit,
    sets,
    setting_values,
    slerp_weights,
    table,
)
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.hypothesise.estimates import SampleEstimates


OFF_ARC = 0.02
"""Most that weights may lie off the arc between two checkpoints, in the middle of the slices."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the interpolation between any two checkpoints whose span holds the child."""
    if estimates.is_settled or estimates.constant.share >= FLOAT32_LEAST_SHARE:
        yield from _linear(estimates)
        return
    for columns, weights in sets(estimates, raw_fit, 0, (2,)):
        pair = (columns[0], columns[1])
        pair_weights, widths, known = located(estimates, pair, weights, raw=True)
        _, cosine = cosines(estimates.raw_gram, pair)
        angle = cosine[:, 0, 1]
        # The steeper of the two weights tells t best.
        t = interpolation(angle, np.clip(pair_weights[:, 1], -1.0, 2.0))
        known &= np.isfinite(t)
        slack = 1e-4 if estimates.sample.is_whole else 2e-3
        setting = estimates.describe(t, np.maximum(16.0 * widths, slack), known)
        values = setting_values(estimates, setting)
        predicted = slerp_weights(angle, values)
        fitted = (
            predicted
            if estimates.sample.is_whole
            else np.where(known[:, None], pair_weights, predicted)
        )
        # Any two weights have a t that gives one of them; on an arc, it gives both.
        apart = np.abs(pair_weights - predicted) - 16.0 * widths[:, None]
        if not known.any() or float(np.median(apart[known].max(axis=1))) > OFF_ARC:
            continue
        names = [estimates.columns.names[i] for i in pair]
        yield Recipe(
            "slerp",
            tuple(Ingredient(name) for name in names),
            names[0],
            {"t": setting},
            "float32",
            estimates.out_dtype,
            {"first": table(estimates, fitted[:, 0]), "second": table(estimates, fitted[:, 1])},
        )


def _linear(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield interpolations between relatives so close that slerp is linear, from linear weights."""
    for form in estimates.written_weights():
        names = [name for name, weight in form.weights.items() if weight != 0.0]
        if len(names) != 2 or not form.normalized:
            continue
        one, two = (estimates.columns[name] for name in names)
        _, cosine = cosines(estimates.raw_gram, (one, two))
        if np.all(np.abs(cosine[:, 0, 1]) > LINEAR):
            for first, second in (names, names[::-1]):
                yield Recipe(
                    "slerp",
                    (Ingredient(first), Ingredient(second)),
                    first,
                    {"t": form.weights[second]},
                    "float32",
                    estimates.out_dtype,
                )


def refine(estimates: SampleEstimates, recipe: Recipe) -> Recipe:
    """Return the recipe with both weights of every slice moved to the fewest mismatches."""
    return climb(estimates, recipe, ("first", "second")) if recipe.fitted else recipe


RECOGNISER = Recogniser(estimate, refine)
