"""A weighted sum of whole checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.running import carried_on
from parentage.hypothesise.written_weights import BF16_WEIGHT_ERROR, NOISE, candidates, whole_ratio
from parentage.methods import linear
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from parentage.hypothesise.estimates import SampleEstimates, WrittenWeights

MOST_ORDERED = 4
"""Ingredients up to which every order of summation is tried."""

MOST_COARSE = 48

LEAST_COARSE = 4
"""Weights tried for arithmetic that rounds more than once, the fewer the more orders there are."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes of all forms of the weights, in every arithmetic and order that could matter.

    Forms are those of :meth:`parentage.hypothesise.SampleEstimates.written_weights`.
    """
    for form in estimates.written_weights():
        yield from recipes(form, estimates.out_dtype)
    for arithmetic in linear.COARSE:
        yield from _coarse(estimates, arithmetic)
    yield from carried_on(estimates)


def effective(weights: Sequence[float], arithmetic: str, *, normalize: bool) -> list[float]:
    """Return the effective weights of written ones, before an arithmetic rounds products."""
    if arithmetic != "bfloat16":
        return list(weights)
    narrow = to_bf16(np.array(weights))
    divisor = float(to_bf16(np.array(linear.sum32(list(narrow[:, None]))[0]))) if normalize else 1.0
    return [float(weight) / (divisor or 1.0) for weight in narrow]


def doubt(weight: float, arithmetic: str) -> float:
    """Return the uncertainty of a weight: half a step of bf16 where that rounds it, else noise."""
    if arithmetic != "bfloat16":
        return NOISE
    return float(np.ldexp(1.0, int(np.frexp(weight)[1]) - 9))


def _coarse(estimates: SampleEstimates, arithmetic: str) -> Iterator[Recipe]:
    """Yield recipes in arithmetic that rounds more than once, from least-squares weights."""
    effective_weights = estimates.effective
    if effective_weights is None:
        return
    names = [name for name, weight in effective_weights.items() if abs(weight) > BF16_WEIGHT_ERROR]
    if not names:
        return
    aims = [effective_weights[name] for name in names]
    is_sum = abs(sum(aims) - 1.0) <= len(aims) * BF16_WEIGHT_ERROR
    normalize = is_sum and arithmetic == "bfloat16"

    def comes_to(weights: Sequence[float]) -> list[float]:
        """Return the effective weights of written ones."""
        return effective(weights, arithmetic, normalize=normalize)

    orders = [tuple(range(len(names)))]
    # Products that were rounded to bf16 leave float32 sums hardly anything to round.
    if arithmetic != "bfloat16" and 2 < len(names) <= MOST_ORDERED:
        orders = list(permutations(range(len(names))))
    most = max(MOST_COARSE // len(orders), LEAST_COARSE)
    listed = candidates(aims, comes_to, last_follows=is_sum and len(names) > 1)
    written = [candidate.weights for candidate in listed[:most]]
    whole = None
    if is_sum:
        whole = whole_ratio(aims, BF16_WEIGHT_ERROR)
        fractions = [float(Fraction(aim).limit_denominator(20)) for aim in aims]
        written += [tuple(aims), tuple(fractions), *([whole] if whole else [])]
    else:
        written.append(tuple(aims))
    for weights in dict.fromkeys(written):
        # Whole numbers alone are divided by their sum in a plain script.
        is_divided = is_sum and (normalize or weights == whole or abs(sum(weights) - 1.0) < 1e-9)
        for order in orders:
            yield Recipe(
                "linear",
                tuple(
                    Ingredient(names[i], weights[i], doubt(weights[i], arithmetic)) for i in order
                ),
                None,
                {} if is_divided else {"normalize": False},
                arithmetic,
                estimates.out_dtype,
            )


def recipes(form: WrittenWeights, out_dtype: str) -> Iterator[Recipe]:
    """Yield the recipes that weights in a written form stand for."""
    names = [name for name, weight in form.weights.items() if weight != 0.0]
    if not names:
        return
    normalize: dict[str, Any] = {} if form.normalized else {"normalize": False}
    # Weights by slice are fitted, not written: one order tells whether they are of any use.
    is_fitted = any(isinstance(x, Mapping) and "slices" in x for x in form.weights.values())
    ordered = len(names) <= MOST_ORDERED and not is_fitted
    orders = list(permutations(names)) if ordered else [tuple(names)]
    for arithmetic in linear.COARSE if form.is_coarse else linear.PLAIN:
        if arithmetic == "float64" and out_dtype not in ("F32", "F64"):
            # Rounded to 16 bits, it is what float32 gives, but for one element in 10,000.
            continue
        # Two products are added up alike in either order, a fused chain is not; and products that
        # were rounded to bf16 leave float32 hardly anything to round.
        commutes = arithmetic in ("bfloat16", "float64") or (
            len(names) == 2 and arithmetic != "float32-fma"
        )
        for order in orders[:1] if commutes else orders:
            yield Recipe(
                "linear",
                tuple(
                    Ingredient(name, form.weights[name], form.uncertainty.get(name))
                    for name in order
                ),
                None,
                normalize,
                arithmetic,
                out_dtype,
            )


RECOGNISER = Recogniser(estimate)
