"""A merge of a merge: two checkpoints blended, rounded and stored, then blended with a third."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.findings import COARSE, SHARP
from parentage.methods.method import Method, Replaying
from parentage.recipe import Ingredient, Recipe, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.findings import Findings
    from parentage.replay import Value

NEAR = 3e-3
"""Most distance of a short decimal from what the cells show, which the inner rounding moves."""
ARITHMETICS = {
    "float32-fma": "both sums as fma chains from 0: mergekit from 0.1.5, twice",
    "float32": "both sums with every product and sum rounded: plain scripts",
}


def replay(r: Replaying) -> Sequence[Value]:
    """Return the outer blend of the inner one, rounded to the output dtype, and the third."""
    one, two, three = (r.column(each.name) for each in r.recipe.ingredients)
    first, second, third = (r.scalar(weight) for weight in r.weights())
    outer = r.scalar(r.resolve(_outer(r.recipe)))

    def blend(x: Value, a: Value, y: Value, b: Value) -> Value:
        if r.recipe.arithmetic == "float32-fma":
            return r.program.fma(y, b, r.program.fma(x, a, r.scalar(0.0)))
        return x * a + y * b

    inner = blend(one, first, two, second).round(r.recipe.out_dtype)
    return [blend(inner, outer, three, third)]


def _outer(recipe: Recipe) -> Setting:
    outer = recipe.parameters["outer"]
    assert not isinstance(outer, bool | str), "a recipe that was read has numbers here"
    return outer


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield every nesting of three checkpoints whose weights are short decimals in both stages."""
    blend = f.constant
    if not COARSE <= blend.share < SHARP or np.any(blend.weights[:, 0] != 0.0):
        return
    weights = {name: float(blend.weights[0, i]) for i, name in enumerate(f.names)}
    weights[f.base] = 1.0 - sum(weights[name] for name in f.parents)
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
                    for arithmetic in ARITHMETICS:
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
                            f.out_dtype,
                        )


def _decimals(value: float) -> list[float]:
    """Return short decimals near a weight, the shortest first."""
    found = [round(value, digits) for digits in (1, 2, 3)]
    near = [x for x in dict.fromkeys(found) if abs(x - value) <= NEAR and abs(x) > NEAR]
    return near or [value]


METHOD = Method(
    name="nested",
    formula="o round(u p_1 + (1 - u) p_2) + (1 - o) p_3, the inner blend rounded as the outer one",
    source="mergekit scripts/multimerge.py (mergekit-multi), and merges of published merges",
    parameters={"outer": "the weight of the inner blend in the outer one"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
)
