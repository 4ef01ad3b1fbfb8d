"""A merge of a merge: two checkpoints blended, rounded and stored, then blended with a third."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.blends import BF16_LEAST_SHARE, FLOAT32_LEAST_SHARE
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import nested
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.hypothesise.estimates import SampleEstimates

NEAR = 3e-3
"""Largest distance of a short decimal from the weight that cells admit, which the inner rounding
moves."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield every nesting of three checkpoints whose weights are short decimals in both stages."""
    blend = estimates.constant
    if not BF16_LEAST_SHARE <= blend.share < FLOAT32_LEAST_SHARE or np.any(
        blend.weights[:, 0] != 0.0
    ):
        return
    weights = {name: float(blend.weights[0, i]) for i, name in enumerate(estimates.columns.names)}
    weights[estimates.columns.base] = 1.0 - sum(weights[name] for name in estimates.columns.parents)
    held = [name for name, weight in weights.items() if abs(weight) > NEAR]
    if len(held) != 3:
        return
    for one, two in combinations(held, 2):
        (third,) = (name for name in held if name not in (one, two))
        for outer in _decimals(weights[one] + weights[two]):
            # Blends in between, in both stages: anything is a nesting of what lies far outside.
            if not 0.0 < outer < 1.0 or not 0.0 < weights[one] / outer < 1.0:
                continue
            for share in _decimals(weights[one] / outer):
                for first, second in ((one, two), (two, one)):
                    mine = share if first == one else round(1.0 - share, 4)
                    for arithmetic in nested.ARITHMETICS:
                        yield Recipe(
                            "nested",
                            (
                                Ingredient(first, mine),
                                Ingredient(second, round(1.0 - mine, 4)),
                                Ingredient(third, round(1.0 - outer, 4)),
                            ),
                            None,
                            {"outer": outer},
                            arithmetic,
                            estimates.out_dtype,
                        )


def _decimals(value: float) -> list[float]:
    """Return short decimals near a weight, the shortest first."""
    rounded = [round(value, digits) for digits in (1, 2, 3)]
    near = [x for x in dict.fromkeys(rounded) if abs(x - value) <= NEAR and abs(x) > NEAR]
    return near or [value]


RECOGNISER = Recogniser(estimate)
