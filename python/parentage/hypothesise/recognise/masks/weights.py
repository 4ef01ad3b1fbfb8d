"""Weights of masked sums as they may have been written: short decimals near to what cells admit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.mixture import is_bf16
from parentage.hypothesise.recognise.masks.trials import best_of, mismatches
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.recipe import Setting
    from parentage.support import Floats


def short_decimal(value: float, tolerance: float, most: int = 4) -> float:
    """Return the shortest decimal within ``tolerance``, or the value to six digits.

    >>> short_decimal(0.5996, 0.001), short_decimal(0.123456, 1e-5)
    (0.6, 0.12346)
    """
    for digits in range(1, most + 2):
        if abs(round(value, digits) - value) <= tolerance:
            return round(value, digits)
    return float(f"{value:.6g}")


def unscaled_recipe(estimates: SampleEstimates, mixture: Mixture) -> Recipe:
    """Return a recipe with random masks and no scales, its weights as they may be written."""
    names = [estimates.columns.parents[axis] for axis in mixture.axes]
    method = "della" if mixture.elected else "dare_linear"
    coefficients = np.median(mixture.coefficients, axis=1)

    def recipe(weights: Sequence[float], **parameters: Setting | bool) -> Recipe:
        """Return the recipe with some weights."""
        return Recipe(
            method,
            tuple(Ingredient(name, w) for name, w in zip(names, weights, strict=True)),
            estimates.columns.base,
            {"normalize": mixture.normalized, **parameters},
            mixture.view.arithmetic,
            estimates.out_dtype,
        )

    if not mixture.normalized:
        weights = [short_decimal(float(x), 3e-6) for x in coefficients]
        if is_bf16(mixture):
            weights = _bf16_weights(estimates, weights, recipe)
        return recipe(weights)
    tolerance = 4e-3 if is_bf16(mixture) else 3e-6
    candidates = []
    for factor in _factors(float(np.mean(coefficients)), tolerance, is_coarse=is_bf16(mixture)):
        extra: dict[str, Setting | bool] = {} if factor == 1.0 else {"lambda": factor}
        candidates += [recipe(weights, **extra) for weights in ratios(mixture.shares, tolerance)]
    return best_of(estimates, candidates)


def _factors(mean: float, tolerance: float, *, is_coarse: bool) -> list[float]:
    """Return what a weighted mean may have been multiplied by: 1, or a number of few digits.

    Arithmetic in bf16 (``is_coarse``) tells the factor less well, so more than one is tried.
    """
    factors = [1.0] if abs(mean - 1.0) <= tolerance else []
    if is_coarse:
        near = [short_decimal(mean, t) for t in (4e-3, 1e-3)] + [mean]
        factors += [x for x in dict.fromkeys([*near, round(mean, 2)]) if x not in factors]
    elif not factors:
        factors = [short_decimal(mean, tolerance)]
    return factors


def ratios(shares: Floats, tolerance: float) -> list[list[float]]:
    """Return weights in the ratio of ``shares``, short decimals, those that sum to 1 first.

    >>> ratios(np.array([2 / 3, 1 / 3]), 1e-6)[:2]
    [[0.66666667, 0.33333333], [0.7, 0.35]]
    """
    if len(shares) == 1:
        return [[1.0]]
    near = []
    for k in range(1, 61):
        weights = [round(float(x), 2) for x in shares * k / 20.0]
        total = sum(weights)
        if all(weights) and all(
            abs(w / total - share) <= tolerance for w, share in zip(weights, shares, strict=True)
        ):
            near.append((round(abs(total - 1.0), 6), weights))
    near.sort(key=lambda pair: pair[0])
    written = [weights for _, weights in near][:16]
    if not near or near[0][0] > 0.0:
        written.insert(0, [round(float(x), 8) for x in shares])
    return written


def _bf16_weights(
    estimates: SampleEstimates,
    starts: Sequence[float],
    recipe: Callable[[Sequence[float]], Recipe],
) -> list[float]:
    """Return the weights near to ``starts`` with which ``recipe`` has the fewest mismatches.

    They are numbers of bf16, written as short as can be, and moved one at a time.
    """
    weights = [near_bf16(start, 0)[0] for start in starts]
    for _ in range(2):
        before = list(weights)
        for i, start in enumerate(starts):
            options = near_bf16(start, 2)
            trials = [recipe([*weights[:i], option, *weights[i + 1 :]]) for option in options]
            weights[i] = options[int(mismatches(estimates, trials).sum(axis=0).argmin())]
        if weights == before:
            break
    return weights


def near_bf16(value: float, steps: int) -> list[float]:
    """Return bf16 numbers up to some steps from ``value``, nearest first, written short.

    >>> near_bf16(0.601, 1)
    [0.6, 0.598, 0.605]
    """
    middle = float(to_bf16(np.array([value]))[0])
    step = float(np.ldexp(1.0, int(np.frexp(middle)[1]) - 8))
    offsets = sorted(range(-steps, steps + 1), key=lambda k: abs(middle + k * step - value))
    return [_written_bf16(middle + k * step) for k in offsets]


def _written_bf16(value: float) -> float:
    """Return the shortest decimal that rounds to a number of bf16, or the number."""
    decimals = (round(value, digits) for digits in range(1, 6))
    return next((x for x in decimals if float(to_bf16(np.array([x]))[0]) == value), value)
