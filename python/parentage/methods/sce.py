"""The base plus a mean, weighted by energy, of displacements where those differ the most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.methods.masked_sums import LARGEST, sum_in_order
from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "d_i, variance, weights, products, sums in order and quotient rounded to float32",
    "bfloat16": "the same rounded to bf16, sums once",
}

LEAST_DIVISOR = 1e-6
"""What the sum of weights is at least."""


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the mean where the variance is above its threshold, else the base; free at it."""
    base = replaying.base()
    dtype = replaying.dtype
    names = [each.name for each in replaying.recipe.ingredients]
    deltas = [(parent - base).round(dtype) for parent in replaying.parents()]
    zero = replaying.scalar(0.0)
    is_positive = sum_in_order(deltas) >= zero
    weights = []
    for name, delta in zip(names, deltas, strict=True):
        weight = replaying.scalar(replaying.fitted(f"weight:{name}", 1.0 / len(names)))
        over = replaying.program.select(delta > zero, weight, zero)
        under = replaying.program.select(zero > delta, weight, zero)
        weights.append(replaying.program.select(is_positive, over, under))
    products = [(d * w).round(dtype) for d, w in zip(deltas, weights, strict=True)]
    least = float(to_bf16(np.array([LEAST_DIVISOR]))[0]) if dtype else LEAST_DIVISOR
    divisor = replaying.program.maximum(sum_in_order(weights).round(dtype), replaying.scalar(least))
    change = (sum_in_order(products).round(dtype) / divisor).round(dtype)
    merged = (base + change).round(dtype)
    if "low:variance" not in replaying.recipe.fitted:
        return [merged]
    count = replaying.scalar(float(len(deltas)))
    mean = sum_in_order(deltas) / count
    variance = (sum_in_order([(d - mean) * (d - mean) for d in deltas]) / count).round(dtype)
    low = replaying.scalar(replaying.fitted("low:variance", 0.0))
    high = replaying.scalar(replaying.fitted("high:variance", LARGEST))
    return [
        replaying.program.select(variance > high, merged, base),
        replaying.program.select(variance >= low, merged, base),
    ]


METHOD = Method(
    name="sce",
    formula="b + sum_i w_i d_i m_i / sum_i w_i m_i where var(d) is among the largest, else b; "
    "w_i: share of the mean squares, m_i: sign is that of sum_i d_i",
    source="Wan et al. 2024, FuseChat, arXiv:2408.07990; mergekit merge_methods/sce.py",
    parameters={
        "select_topk": Parameter("share of the elements whose variance is not 0 that change"),
    },
    arithmetics=ARITHMETICS,
    replay=replay,
    fitted={
        "weight:NAME": "w_i (the same for all if absent)",
        "low:variance": "var(d) below which nothing changes; all changes if absent",
        "high:variance": "var(d) above which all changes",
    },
    mergekit=configuration,
    needs_base=True,
)
