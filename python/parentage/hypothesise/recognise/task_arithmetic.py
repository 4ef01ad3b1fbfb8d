"""The base plus weighted displacements."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from math import log2
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.linear import MOST_ORDERED, doubt
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.written_weights import BF16_WEIGHT_ERROR, NEGLIGIBLE, NOISE, candidates
from parentage.methods import task_arithmetic
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.hypothesise.estimates import SampleEstimates, WrittenWeights
    from parentage.recipe import Setting

FACTORS = (*(round(0.1 * k, 1) for k in range(1, 21) if k != 10), 0.25, 0.75, 1.25)
"""Lambdas that are tried."""

MOST_FACTORS = 4
"""Lambdas tried for weights that are known exactly, at most."""

FACTOR_NOISE = 6e-4
"""Largest distance of weights times a lambda from what least squares finds."""

LISTED = 4
"""Weights tried with each lambda."""

MOST_COARSE = 24

LEAST_COARSE = 8
"""Weights tried for arithmetic in bf16: of all, and at least of those without a lambda."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes of all forms of the weights that sum to one with the base's."""
    for form in estimates.written_weights():
        weights = {
            name: w
            for name, w in form.weights.items()
            if name != estimates.columns.base and w != 0.0
        }
        if not form.normalized or not weights:
            continue
        if _is_ratio(form):
            yield from _normalized(estimates, form, weights)
            continue
        for arithmetic in task_arithmetic.ARITHMETICS:
            if arithmetic.startswith("bf") != form.is_coarse:
                continue
            if "fma" in arithmetic and len(weights) > 1:
                continue
            yield from _ordered(estimates, weights, form.uncertainty, {}, arithmetic)
        yield from _multiplied(estimates, form, weights)
    for arithmetic in task_arithmetic.ARITHMETICS:
        if arithmetic.startswith("bf"):
            yield from _coarse(estimates, arithmetic)


def _is_ratio(form: WrittenWeights) -> bool:
    """Return whether weights are numbers that have to be divided by their sum."""
    values = list(form.weights.values())
    plain = [x for x in values if not isinstance(x, Mapping)]
    return len(plain) == len(values) and abs(sum(plain) - 1.0) > NEGLIGIBLE


def _ordered(
    estimates: SampleEstimates,
    weights: Mapping[str, Setting],
    uncertainty: Mapping[str, float],
    parameters: Mapping[str, Setting | bool],
    arithmetic: str,
) -> Iterator[Recipe]:
    """Yield a recipe in every order of summation that could matter."""
    # Sums of two commute; of more, they do not.
    names = list(weights)
    all_orders = 2 < len(names) <= MOST_ORDERED
    for order in permutations(names) if all_orders else [tuple(names)]:
        yield Recipe(
            "task_arithmetic",
            tuple(Ingredient(name, weights[name], uncertainty.get(name)) for name in order),
            estimates.columns.base,
            parameters,
            arithmetic,
            estimates.out_dtype,
        )


def _normalized(
    estimates: SampleEstimates, form: WrittenWeights, weights: Mapping[str, Setting]
) -> Iterator[Recipe]:
    """Yield sums that are divided by the sum of weights: a ratio, of whole numbers or of tenths."""
    plain = {name: w for name, w in weights.items() if not isinstance(w, Mapping)}
    if form.weights.get(estimates.columns.base, 0.0) != 0.0 or len(plain) < 2:
        return
    for unit in (0.1, 1.0):
        written = {name: round(w * unit, 6) for name, w in plain.items()}
        yield from _ordered(estimates, written, form.uncertainty, {"normalize": True}, "float32")


def _multiplied(
    estimates: SampleEstimates, form: WrittenWeights, weights: Mapping[str, Setting]
) -> Iterator[Recipe]:
    """Yield short weights that, times a lambda, come to those found in float32."""
    plain = {name: w for name, w in weights.items() if not isinstance(w, Mapping)}
    if form.is_coarse or len(plain) < len(weights):
        return
    products = []
    for factor in FACTORS:
        written = {name: round(w / factor, 2) for name, w in plain.items()}
        if all(abs(written[name] * factor - w) <= 1e-9 for name, w in plain.items()):
            length = sum(len(f"{w:g}") for w in written.values())
            products.append((length, factor, written))
    for _, factor, written in sorted(products, key=lambda product: product[:2])[:MOST_FACTORS]:
        yield from _ordered(estimates, written, form.uncertainty, {"lambda": factor}, "float32")


def _coarse(estimates: SampleEstimates, arithmetic: str) -> Iterator[Recipe]:
    """Yield recipes in arithmetic in bf16, times a lambda or not, from least-squares weights."""
    effective_weights = estimates.effective
    if effective_weights is None:
        return
    aims = {
        name: w
        for name, w in effective_weights.items()
        if name != estimates.columns.base and abs(w) > BF16_WEIGHT_ERROR
    }
    # The base is added whole: what it weighs follows from the others.
    if (
        not aims
        or abs(sum(aims.values()) + effective_weights[estimates.columns.base] - 1.0)
        > BF16_WEIGHT_ERROR
    ):
        return
    grid = arithmetic == "bfloat16"

    def comes_to(weights: Sequence[float]) -> list[float]:
        """Return the effective weights of written ones."""
        return [float(x) for x in to_bf16(np.array(weights))] if grid else list(weights)

    tried: list[tuple[float, int, float, float, tuple[float, ...]]] = []
    for factor in (1.0, *FACTORS) if grid else (1.0,):
        effective = [w / factor for w in aims.values()]
        digits = 3 if factor == 1.0 else 2
        for candidate in candidates(effective, comes_to, digits=digits)[:LISTED]:
            distance = candidate.distance * factor
            if factor == 1.0 or distance <= FACTOR_NOISE:
                # Twice the lambda and half the weights are the same: nearer to one comes first.
                extra = 0 if factor == 1.0 else 2 + round(4 * abs(log2(factor)))
                length = candidate.digits + extra
                noisy = max(distance, NOISE)
                tried.append((noisy, length, distance, factor, candidate.weights))
    tried.sort()
    chosen = tried[:MOST_COARSE]
    chosen += [trial for trial in tried[MOST_COARSE:] if trial[3] == 1.0][:LEAST_COARSE]
    as_found = (0.0, 0, 0.0, 1.0, tuple(aims.values()))
    for _, _, _, factor, weights in [*chosen, as_found]:
        parameters = {} if factor == 1.0 else {"lambda": factor}
        written = dict(zip(aims, weights, strict=True))
        uncertainty = {name: doubt(weight, arithmetic) for name, weight in written.items()}
        yield from _ordered(estimates, written, uncertainty, parameters, arithmetic)


RECOGNISER = Recogniser(estimate)
