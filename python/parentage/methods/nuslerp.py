"""Spherical interpolation between two checkpoints, or between two displacements from a base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.methods import span
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "sines, products, their sum and the quotient rounded to float32",
    "bfloat16": "the same rounded to bf16, displacements too: mergekit with dtype bfloat16",
}
STRAIGHT = 1.0 - 1e-15
"""Cosine from which on the two are one direction, and the interpolation is linear."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return (sin((1 - t) theta) x + sin(t theta) y) / sin theta, with the three sines fitted."""
    one, two = (r.column(each.name) for each in r.recipe.ingredients)
    base = None if r.recipe.base is None else r.column(r.recipe.base)
    dtype = "BF16" if r.recipe.arithmetic == "bfloat16" else None
    if base is not None:
        one, two = (one - base).round(dtype), (two - base).round(dtype)
    first, second = (r.scalar(np.nan_to_num(r.fitted(name))) for name in ("first", "second"))
    sine = r.scalar(np.nan_to_num(r.fitted("sine"), nan=1.0))
    total = ((first * one).round(dtype) + (second * two).round(dtype)).round(dtype)
    result = (total / sine).round(dtype)
    return [result if base is None else (base + result).round(dtype)]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the interpolation between any two whose span, or whose displacements' span, has it."""
    for columns, weights in span.sets(f, span.raw_fit, 0, (2,)):
        yield from _recipes(f, (columns[0], columns[1]), weights, raw=True)
    for columns, weights in span.sets(f, span.displaced_fit, 1, (2,)):
        yield from _recipes(f, (columns[0], columns[1]), weights, raw=False)


def _recipes(
    f: Findings, pair: tuple[int, int], weights: np.ndarray, *, raw: bool
) -> Iterator[Recipe]:
    for arithmetic in ARITHMETICS:
        yield _recipe(f, pair, weights, arithmetic, raw=raw)


def _recipe(
    f: Findings, pair: tuple[int, int], weights: np.ndarray, arithmetic: str, *, raw: bool
) -> Recipe:
    found, widths, known = span.located(f, pair, weights, raw=raw)
    gram = f.raw_gram if raw else f.sample.gram.total
    _, cosine = span.cosines(gram, pair)
    angle = cosine[:, 0, 1]
    t = span.interpolation(angle, np.clip(found[:, 1], -1.0, 2.0), STRAIGHT)
    known &= np.isfinite(t)
    slack = 2e-4 if f.sample.is_whole else 2e-3
    if arithmetic == "bfloat16":
        # Angles in bf16 are off by some thousandths, and the weights with them.
        known, slack = f.sample.weight >= 1024, 2e-2
    setting = f.describe(t, np.maximum(16.0 * widths, slack), known)
    values = span.setting_values(f, setting)
    theta = np.arccos(angle)
    straight = np.abs(angle) >= STRAIGHT
    sine = np.where(straight, 1.0, np.sin(theta))
    first = np.where(straight, 1.0 - values, np.sin((1.0 - values) * theta))
    second = np.where(straight, values, np.sin(values * theta))
    if isinstance(setting, float):
        shares = (round(1.0 - setting, 10), setting)
        ingredients = tuple(
            Ingredient(f.names[i], share) for i, share in zip(pair, shares, strict=True)
        )
    else:
        ingredients = tuple(Ingredient(f.names[i]) for i in pair)
    return Recipe(
        "nuslerp",
        ingredients,
        None if raw else f.base,
        {} if isinstance(setting, float) else {"t": setting},
        arithmetic,
        f.out_dtype,
        {
            "first": span.table(f, first),
            "second": span.table(f, second),
            "sine": span.table(f, sine),
        },
    )


def refine(f: Findings, recipe: Recipe) -> Recipe:
    """Move both weights of every slice to where the fewest elements mismatch."""
    return span.climb(f, recipe, ("first", "second"))


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    return configuration(recipe, paths, recipe.arithmetic)


METHOD = Method(
    name="nuslerp",
    formula="[sin((1 - t) theta) x_1 + sin(t theta) x_2] / sin theta, t = w_2 / (w_1 + w_2), of "
    "whole checkpoints, or b plus that of displacements",
    source="Shoemake 1985; mergekit merge_methods/nuslerp.py, nuslerp_flatten true",
    parameters={"t": "w_2 / (w_1 + w_2) where it is not one number for all"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    refine=refine,
)
