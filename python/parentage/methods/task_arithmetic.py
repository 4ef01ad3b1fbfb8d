"""The base plus weighted displacements."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.methods.linear import sum32
from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Recipe, Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "d_i, w_i d_i, their sum in order, lambda times it, and b plus that, each rounded",
    "float32-fma": "fma(d, w, b) with d rounded: torch.lerp, torch.add with alpha; one parent",
    "float32-fma-far": "fma(d, -(1 - w), p): torch.lerp from w = 0.5 on; one parent",
    "bfloat16": "d_i, w_i d_i, their sum, lambda times it and b plus that each rounded to bf16; "
    "weights rounded to bf16, lambda not: mergekit with dtype bfloat16",
    "bfloat16-script": "the same with float32 weights: a plain script on bf16 tensors",
    "float16-script": "the same in f16",
}


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the base and what is added to it."""
    arithmetic, dtype = replaying.recipe.arithmetic, replaying.dtype
    base = replaying.base()
    weights = replaying.weights()
    if arithmetic == "bfloat16":
        weights = [to_bf16(weight) for weight in weights]
    columns = replaying.parents()
    deltas = [(column - base).round(dtype) for column in columns]
    if arithmetic == "float32-fma":
        return [replaying.program.fma(deltas[0], replaying.scalar(weights[0]), base)]
    if arithmetic == "float32-fma-far":
        return [replaying.program.fma(deltas[0], replaying.scalar(weights[0] - 1.0), columns[0])]
    terms = [
        (delta * replaying.scalar(weight)).round(dtype)
        for delta, weight in zip(deltas, weights, strict=True)
    ]
    total = reduce(lambda a, b: a + b, terms).round(dtype)
    if replaying.recipe.parameters.get("normalize"):
        divisor = sum32(weights)
        total = (total / replaying.scalar(np.where(np.abs(divisor) < 1e-8, 1.0, divisor))).round(
            dtype
        )
    if "lambda" in replaying.recipe.parameters:
        total = (total * replaying.scalar(replaying.parameter("lambda"))).round(dtype)
    return [(base + total).round(dtype)]


def objection(recipe: Recipe) -> str | None:
    """Return why a recipe can not be carried out: one fused operation adds one displacement."""
    if not recipe.arithmetic.startswith("float32-fma"):
        return None
    if len(recipe.ingredients) != 1:
        return f"{recipe.arithmetic} takes one parent, and here are {len(recipe.ingredients)}"
    if recipe.parameters.get("normalize") or "lambda" in recipe.parameters:
        return f"{recipe.arithmetic} neither divides by weights nor multiplies by lambda"
    return None


METHOD = Method(
    name="task_arithmetic",
    formula="b + lambda sum_i w_i d_i, the sum divided by sum_i w_i if normalize",
    source="Ilharco et al. 2023, Editing models with task arithmetic, arXiv:2212.04089; mergekit "
    "merge_methods/generalized_task_arithmetic.py",
    parameters={
        "lambda": Parameter("what the sum is multiplied by", default=1.0),
        "normalize": Parameter("divide by the sum of weights", bool, default=False),
    },
    arithmetics=ARITHMETICS,
    replay=replay,
    needs_base=True,
    objection=objection,
    mergekit=configuration,
)
