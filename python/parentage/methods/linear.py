"""A weighted sum of whole checkpoints."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.methods import running
from parentage.methods.double import sum64
from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Recipe, Replaying, Setting
    from parentage.stream import Value

PLAIN = {
    "float32-fma": "acc = fma(p_i, w_i, acc) in order from 0, then acc / sum w_i: mergekit from "
    "0.1.5",
    "float32": "the sum of w_i p_i in order, each product and each sum rounded, then / sum w_i: "
    "mergekit before 0.1.5 with dtype float32, and plain scripts",
    "float64": "the sum of w_i p_i in float64, rounded to float32, which other dtypes are rounded "
    "from: scripts that convert to double",
}
"""Arithmetic that rounds to float32 at least, in which cells tell weights exactly."""

COARSE = {
    "bfloat16": "weights, products, the sum, the sum of weights and the quotient each rounded to "
    "bf16: mergekit before 0.1.5 with dtype bfloat16",
    "bfloat16-script": "each product and each sum rounded to bf16, then / sum w_i if that is not "
    "1, weights float32: a plain script on bf16 tensors",
    "float16-script": "the same in f16",
}
"""Arithmetic that rounds products and sums to 16 bits."""

DIFFERENCE = {
    "float32-difference": "p_1 + w_2 (p_2 - p_3), each operation rounded, w_1 = 1 and w_3 = -w_2: "
    "add difference",
    "bfloat16-difference": "the same in bfloat16",
    "float16-difference": "the same in float16",
}
"""A difference of two checkpoints added to a third."""

ARITHMETICS = {**PLAIN, **COARSE, **running.ARITHMETICS, **DIFFERENCE}

SUMS_TO_ONE = 1e-6
"""How far from one a sum of weights is that scripts divide by."""


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the weighted sum in the recipe's arithmetic."""
    columns = replaying.parents()
    weights = replaying.weights()
    normalize = replaying.recipe.parameters.get("normalize", True)
    match replaying.recipe.arithmetic:
        case "float32-fma":
            total = replaying.scalar(0.0)
            for column, weight in zip(columns, weights, strict=True):
                total = replaying.program.fma(column, replaying.scalar(weight), total)
            return [divided(replaying, total, sum32(weights)) if normalize else total]
        case "float32":
            total = summed(columns, [replaying.scalar(weight) for weight in weights])
            return [divided(replaying, total, sum32(weights)) if normalize else total]
        case "bfloat16":
            narrow = [to_bf16(weight) for weight in weights]
            products = [
                (column * replaying.scalar(weight)).round("BF16")
                for column, weight in zip(columns, narrow, strict=True)
            ]
            total = reduce(lambda a, b: a + b, products).round("BF16")
            divisor = replaying.scalar(to_bf16(sum32(narrow)))
            return [(total / divisor).round("BF16") if normalize else total]
        case "float64":
            if normalize:
                weights = [weight / np.sum(weights, axis=0) for weight in weights]
            return [sum64(replaying, columns, weights)]
    if replaying.recipe.arithmetic in running.ARITHMETICS:
        return [running.carried_on(replaying)]
    dtype, form = running.split(replaying.recipe.arithmetic)
    columns = [column.round(dtype) for column in columns]
    if form == "difference":
        delta = (columns[1] - columns[2]).round(dtype) * replaying.scalar(weights[1])
        return [(columns[0] + delta.round(dtype)).round(dtype)]
    terms = [
        (column * replaying.scalar(weight)).round(dtype)
        for column, weight in zip(columns, weights, strict=True)
    ]
    total = reduce(lambda a, b: (a + b).round(dtype), terms)
    is_mean = np.abs(sum32(weights) - 1.0) <= SUMS_TO_ONE
    if not normalize or np.all(is_mean):
        return [total]
    divisor = replaying.scalar(np.where(is_mean, 1.0, sum32(weights)))
    return [(total / divisor).round(dtype)]


def summed(columns: Sequence[Value], weights: Sequence[Value]) -> Value:
    """Return the sum of products in order, each operation rounded."""
    products = [column * weight for column, weight in zip(columns, weights, strict=True)]
    return reduce(lambda a, b: a + b, products)


def divided(replaying: Replaying, total: Value, divisor: np.ndarray) -> Value:
    """Return a quotient; dividing by one, which most weights come to, changes nothing."""
    return total if np.all(divisor == 1.0) else total / replaying.scalar(divisor)


def sum32(weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the float32 sum of float32 weights in order, as float64."""
    total = np.zeros_like(weights[0], dtype=np.float32)
    for weight in weights:
        total = (total + weight.astype(np.float32)).astype(np.float32)
    return total.astype(np.float64)


def objection(recipe: Recipe) -> str | None:
    """Return why a recipe can not be carried out: its weights sum to 0, which they are divided by.

    Weights that vary are not looked at.
    """
    weights = [each.weight for each in recipe.ingredients]
    if recipe.arithmetic in DIFFERENCE:
        return _no_difference(weights)
    plain = [np.array([weight]) for weight in weights if isinstance(weight, int | float)]
    is_zero = len(plain) == len(weights) and sum32(plain)[0] == 0.0
    if is_zero and recipe.parameters.get("normalize", True):
        return "weights that sum to 0 in float32 can not be divided by their sum"
    return None


def _no_difference(weights: Sequence[Setting | None]) -> str | None:
    """Return why weights are not those of one checkpoint and the difference of two others."""
    if len(weights) != 3 or weights[0] != 1.0:
        return "a difference is added to a checkpoint of weight 1, and is that of two others"
    one, two = weights[1:]
    if isinstance(one, int | float) and isinstance(two, int | float) and one == -two:
        return None
    return "the two checkpoints of a difference have opposite weights"


METHOD = Method(
    name="linear",
    formula="sum_i w_i p_i, divided by sum_i w_i if normalize",
    source="Wortsman et al. 2022, Model soups, arXiv:2203.05482; mergekit merge_methods/linear.py",
    parameters={"normalize": Parameter("divide by the sum of weights", bool, default=True)},
    arithmetics=ARITHMETICS,
    replay=replay,
    mergekit=configuration,
    objection=objection,
)
