"""Barycentric interpolation on a sphere, of checkpoints or of displacements."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.methods.linear import objection
from parentage.methods.mergekit import configuration
from parentage.recipe import Method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "every operation on elements rounded to float32",
    "bfloat16": "the same rounded to bf16, numbers of a slice too: mergekit with dtype bfloat16",
}


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the interpolation with its norms and inner products fitted by slice."""
    columns = replaying.parents()
    base = None if replaying.recipe.base is None else replaying.base()
    dtype = replaying.dtype
    if base is not None:
        columns = [(column - base).round(dtype) for column in columns]

    def number(name: str) -> Value:
        return replaying.scalar(np.nan_to_num(replaying.fitted(name), nan=1.0))

    def sum_of(values: Sequence[Value]) -> Value:
        products = [(v * w).round(dtype) for v, w in zip(values, weights, strict=True)]
        return reduce(lambda a, b: a + b, products).round(dtype)

    shares = [weight.astype(np.float32) for weight in replaying.weights()]
    if dtype is not None:
        shares = [to_bf16(share).astype(np.float32) for share in shares]
    total = reduce(lambda a, b: a + b, shares)
    total = to_bf16(total).astype(np.float32) if dtype is not None else total
    weights = [
        replaying.scalar((share / total).astype(np.float64)).round(dtype) for share in shares
    ]
    units = [(column / number(f"norm_{i}")).round(dtype) for i, column in enumerate(columns)]
    mean = (sum_of(units) / number("mean")).round(dtype)
    tangents = [
        (unit - (number(f"dot_{i}") * mean).round(dtype)).round(dtype)
        for i, unit in enumerate(units)
    ]
    outward = (mean * number("cosine")).round(dtype)
    along = (sum_of(tangents) * number("sine")).round(dtype)
    result = ((outward + along).round(dtype) * number("length")).round(dtype)
    return [result if base is None else (result + base).round(dtype)]


METHOD = Method(
    name="multislerp",
    formula="units u_i = x_i / |x_i|, m = sum w_i u_i normalised, r = sum w_i (u_i - <u_i, m> m); "
    "(m cos |r| + r sin |r| / |r|) sum w_i |x_i|, of checkpoints, or b plus that of displacements",
    source="mergekit merge_methods/multislerp.py",
    parameters={},
    arithmetics=ARITHMETICS,
    replay=replay,
    fitted={
        "norm_i": "|x_i|, i from 0",
        "mean": "the norm of sum w_i u_i",
        "dot_i": "<u_i, m>",
        "cosine": "cos |r|",
        "sine": "sin |r| / |r|",
        "length": "sum w_i |x_i|",
    },
    mergekit=configuration,
    objection=objection,
)
