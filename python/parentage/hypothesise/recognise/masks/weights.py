"""Weights as they may have been written: short decimals near to what the sample says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.mixture import is_bf16
from parentage.hypothesise.recognise.masks.trials import best_of, mismatches
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.mixture import Mixture
    from parentage.recipe import Setting
    from parentage.support import Floats


def short(value: float, tolerance: float, most: int = 4) -> float:
    """Return the shortest decimal within ``tolerance``, or the value to six digits.

    >>> short(0.5996, 0.001), short(0.123456, 1e-5)
    (0.6, 0.12346)
    """
    for digits in range(1, most + 2):
        if abs(round(value, digits) - value) <= tolerance:
            return round(value, digits)
    return float(f"{value:.6g}")


def spelled(estimates: SampleEstimates, found: Mixture) -> Recipe:
    """Return a recipe with random masks and no scales, its weights as they may be written."""
    names = [estimates.columns.parents[axis] for axis in found.axes]
    method = "della" if found.elected else "dare_linear"
    values = np.median(found.coefficients, axis=1)

    def recipe(weights: Sequence[float], **parameters: Setting | bool) -> Recipe:
        return Recipe(
            method,
            tuple(Ingredient(name, w) for name, w in zip(names, weights, strict=True)),
            estimates.columns.base,
            {"normalize": found.normalized, **parameters},
            found.view.arithmetic,
            estimates.out_dtype,
        )

    if not found.normalized:
        chosen = [short(float(value), 3e-6) for value in values]
        if is_bf16(found):
            chosen = _descended(estimates, chosen, lambda weights: recipe(weights))
        return recipe(chosen)
    scale = float(np.mean(values))
    # What multiplies the mean is written with few digits, or is 1.
    tolerance = 4e-3 if is_bf16(found) else 3e-6
    scales = [1.0] if abs(scale - 1.0) <= tolerance else []
    if is_bf16(found):
        near = [short(scale, t) for t in (4e-3, 1e-3)] + [scale]
        scales += [x for x in dict.fromkeys([*near, round(scale, 2)]) if x not in scales]
    elif not scales:
        scales = [short(scale, tolerance)]
    candidates = []
    for factor in scales:
        extra: dict[str, Setting | bool] = {} if factor == 1.0 else {"lambda": factor}
        candidates += [recipe(weights, **extra) for weights in ratios(found.shares, tolerance)]
    return best_of(estimates, candidates)


def ratios(shares: Floats, tolerance: float) -> list[list[float]]:
    """Return weights in the ratio of ``shares``, short decimals, those that sum to 1 first.

    >>> ratios(np.array([2 / 3, 1 / 3]), 1e-6)[:2]
    [[0.66666667, 0.33333333], [0.7, 0.35]]
    """
    found = []
    if len(shares) == 1:
        return [[1.0]]
    for k in range(1, 61):
        scaled = shares * k / 20.0
        weights = [round(float(x), 2) for x in scaled]
        sum_ = sum(weights)
        if all(weights) and all(
            abs(w / sum_ - s) <= tolerance for w, s in zip(weights, shares, strict=True)
        ):
            found.append((round(abs(sum_ - 1.0), 6), weights))
    found.sort(key=lambda each: each[0])
    out = [each[1] for each in found][:16]
    if not found or found[0][0] > 0.0:
        out.insert(0, [round(float(x), 8) for x in shares])
    return out


def _descended(estimates: SampleEstimates, weights: list[float], recipe: Any) -> list[float]:
    """Return weights, each the shortest decimal of a bf16 number near to its start, by replay."""
    starts = list(weights)
    weights = [near_bf16(start, 0)[0] for start in starts]
    for _ in range(2):
        before = list(weights)
        for i, start in enumerate(starts):
            options = near_bf16(start, 2)
            tries = [recipe([*weights[:i], option, *weights[i + 1 :]]) for option in options]
            weights[i] = options[int(mismatches(estimates, tries).sum(axis=0).argmin())]
        if weights == before:
            break
    return weights


def near_bf16(value: float, steps: int) -> list[float]:
    """Return bf16 numbers near ``value``, nearest first, as short as they may be written.

    >>> near_bf16(0.601, 1)
    [0.6, 0.598, 0.605]
    """
    middle = float(to_bf16(np.array([value]))[0])
    step = float(np.ldexp(1.0, int(np.frexp(middle)[1]) - 8))
    offsets = sorted(range(-steps, steps + 1), key=lambda k: abs(middle + k * step - value))
    out = []
    for k in offsets:
        at = middle + k * step
        out.append(
            next(
                (
                    round(at, digits)
                    for digits in range(1, 6)
                    if float(to_bf16(np.array([round(at, digits)]))[0]) == at
                ),
                at,
            )
        )
    return out
