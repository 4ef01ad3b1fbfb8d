"""Merges in every arithmetic of weighted sums, and the best hypothesis about a child.

Every arithmetic is carried out here in numpy, one rounding at a time, and by none of the code that
replays recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from conftest import BF16
from parentage.hypothesise import Hypothesis, hypothesise

from common.families import F32, FAMILY, SHAPES, Array, Tensors, bf16, f16, fma, found_in


def sum32(weights: Sequence[Any]) -> Any:
    return reduce(lambda a, b: F32(a + b), [F32(x) for x in weights])


def linear_fma(columns: list[Array], weights: list[float], normalize: bool = True) -> Array:
    total = np.zeros_like(columns[0])
    for column, weight in zip(columns, weights, strict=True):
        total = fma(column, F32(weight), total)
    return F32(total / sum32(weights)) if normalize else total


def linear_f32(columns: list[Array], weights: list[float], normalize: bool = True) -> Array:
    products = [F32(c * F32(w)) for c, w in zip(columns, weights, strict=True)]
    total = reduce(lambda a, b: F32(a + b), products)
    return F32(total / sum32(weights)) if normalize else total


def two_in_bf16(one: Tensors, other: Tensors, weight: float) -> Tensors:
    """Return two models of bf16 blended in float32 and rounded once."""
    return {
        name: linear_f32(
            [x.astype(F32) for x in (one[name], other[name])], [weight, 1.0 - weight]
        ).astype(BF16)
        for name in one
    }


def linear_mk4(columns: list[Array], weights: list[float]) -> Array:
    narrow = [bf16(w) for w in weights]
    products = [bf16(c * w) for c, w in zip(columns, narrow, strict=True)]
    total = bf16(reduce(lambda a, b: F32(a + b), products))
    return bf16(total / bf16(sum32(narrow)))


def linear_script(rounding: Callable[[Any], Array]) -> Callable[..., Array]:
    def merge(columns: list[Array], weights: list[float]) -> Array:
        products = [rounding(rounding(c) * F32(w)) for c, w in zip(columns, weights, strict=True)]
        total = reduce(lambda a, b: rounding(a + b), products)
        # A script divides where it has to.
        sums_to_one = abs(sum32(weights) - 1.0) <= 1e-6
        return total if sums_to_one else rounding(total / sum32(weights))

    return merge


def delta(rounding: Callable[[Any], Array], scalar: Callable[[Any], Any]) -> Callable[..., Array]:
    def merge(base: Array, columns: list[Array], weights: list[float]) -> Array:
        terms = [
            rounding(rounding(c - base) * scalar(w)) for c, w in zip(columns, weights, strict=True)
        ]
        return rounding(base + rounding(reduce(lambda a, b: F32(a + b), terms)))

    return merge


def lerp(base: Array, columns: list[Array], weights: list[float]) -> Array:
    return fma(F32(columns[0] - base), F32(weights[0]), base)


def lerp_far(base: Array, columns: list[Array], weights: list[float]) -> Array:
    return fma(F32(columns[0] - base), F32(F32(weights[0]) - F32(1)), columns[0])


LINEAR: dict[str, Callable[..., Array]] = {
    "float32-fma": linear_fma,
    "float32": linear_f32,
    "bfloat16": linear_mk4,
    "bfloat16-script": linear_script(bf16),
    "float16-script": linear_script(f16),
}
DELTA: dict[str, Callable[..., Array]] = {
    "float32": delta(F32, F32),
    "float32-fma": lerp,
    "float32-fma-far": lerp_far,
    "bfloat16": delta(bf16, bf16),
    "bfloat16-script": delta(bf16, F32),
}


def merged(
    method: str,
    arithmetic: str,
    weights: Mapping[str, float | Callable[[str], float]],
    family: Mapping[str, Tensors] = FAMILY,
    **options: Any,
) -> Tensors:
    """Return the merge by a method in an arithmetic, of checkpoints in the order of ``weights``."""
    out = {}
    for tensor in SHAPES:
        values = [w(tensor) if callable(w) else w for w in weights.values()]
        columns = [family[name][tensor] for name in weights]
        if method == "linear":
            whole = LINEAR[arithmetic](columns, values, **options)
        else:
            whole = DELTA[arithmetic](family["base"][tensor], columns, values)
        out[tensor] = np.asarray(whole).astype(BF16)
    return out


def best_of(
    folder: Any, child: Tensors, parents: Sequence[str], *controls: str, family: Any = FAMILY
) -> Hypothesis:
    return hypothesise(found_in(folder, family, child, parents, controls))[0]


def times(
    family: Mapping[str, Tensors],
    weights: Mapping[str, float],
    factor: float = 1.0,
    rounding: Callable[[Any], Array] = F32,
    normalize: bool = False,
) -> Tensors:
    """Return the base plus lambda times weighted displacements, divided by the sum of weights."""
    narrow = [rounding(w) for w in weights.values()]
    out = {}
    for tensor, base in family["base"].items():
        terms = [
            rounding(rounding(family[name][tensor] - base) * w)
            for name, w in zip(weights, narrow, strict=True)
        ]
        total = rounding(reduce(lambda a, b: F32(a + b), terms))
        if normalize:
            total = rounding(total / rounding(sum32(narrow)))
        if factor != 1.0:
            total = rounding(total * F32(factor))
        out[tensor] = rounding(base + total).astype(BF16)
    return out
