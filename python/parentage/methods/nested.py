"""A merge of a merge: two checkpoints blended, rounded and stored, then blended with a third."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32-fma": "both sums as fma chains from 0: mergekit from 0.1.5, twice",
    "float32": "both sums with every product and sum rounded: plain scripts",
}


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the outer blend of the inner one, rounded to the output dtype, and the third."""
    one, two, three = replaying.parents()
    first, second, third = (replaying.scalar(weight) for weight in replaying.weights())
    outer = replaying.scalar(replaying.parameter("outer"))

    def blend(x: Value, a: Value, y: Value, b: Value) -> Value:
        if replaying.recipe.arithmetic == "float32-fma":
            return replaying.program.fma(y, b, replaying.program.fma(x, a, replaying.scalar(0.0)))
        return x * a + y * b

    inner = replaying.written(blend(one, first, two, second))
    return [blend(inner, outer, three, third)]


METHOD = Method(
    name="nested",
    formula="o round(u p_1 + (1 - u) p_2) + (1 - o) p_3, the inner blend rounded as the outer one",
    source="mergekit scripts/multimerge.py (mergekit-multi), and merges of published merges",
    parameters={
        "outer": Parameter("the weight of the inner blend in the outer one", required=True),
    },
    arithmetics=ARITHMETICS,
    replay=replay,
    parents=3,
)
