"""Families made here, the arithmetic that blends them, and what a sample shows of a child."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import BF16, opened
from parentage.align import align
from parentage.checkpoint import Columns
from parentage.hypothesise import SampleEstimates, WrittenWeights
from parentage.stream import Options

F16, F32, F64 = np.float16, np.float32, np.float64
Array = np.ndarray
Tensors = dict[str, Array]
LAYERS = 4
SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (128, 64),
    **{
        f"model.layers.{layer}.{name}.weight": shape
        for layer in range(LAYERS)
        for name, shape in {
            "input_layernorm": (64,),
            "self_attn.q_proj": (128, 64),
            "mlp.down_proj": (64, 128),
        }.items()
    },
    "model.norm.weight": (64,),
}
FAR = {"one": 0.004, "two": 0.003, "three": 0.005, "other": 0.004}
"""Displacements of some tens of units in the last place."""


def made(
    scales: Mapping[str, float], seed: int = 7, shapes: Any = None, norms: float = 1.0
) -> dict[str, Tensors]:
    """Return a base and what is displaced from it, as float32 numbers that bf16 holds.

    ``norms`` is the mean of the weights of norms.
    """
    rng = np.random.default_rng(seed)
    family: dict[str, Tensors] = {"base": {}} | {name: {} for name in scales}
    for tensor, shape in (shapes or SHAPES).items():
        center = norms if "norm" in tensor else 0.0
        base = bf16(rng.normal(center, 0.03, shape))
        family["base"][tensor] = base
        for name, scale in scales.items():
            family[name][tensor] = bf16(base + rng.normal(0, scale, shape))
    return family


def bf16(values: Any) -> Array:
    """Round to float32 and then to bf16, as float32."""
    return np.asarray(values, dtype=F32).astype(BF16).astype(F32)


def f16(values: Any) -> Array:
    """Round to float32 and then to float16, as float32."""
    return np.asarray(values, dtype=F32).astype(F16).astype(F32)


def fma(a: Any, b: Any, c: Any) -> Array:
    """Return a b + c rounded once to float32.

    The product is exact in float64; the sum is rounded to odd, which rounding to float32 forgives.
    """
    product, c = np.asarray(a, F64) * np.asarray(b, F64), np.asarray(c, F64)
    total = product + c
    part = total - product
    error = (product - (total - part)) + (c - part)
    bits = np.atleast_1d(total).view(np.int64)
    outward = np.where((error > 0) == (total > 0), 1, -1)
    odd = bits + np.where((error != 0) & (bits % 2 == 0), outward, 0)
    return odd.view(F64).reshape(np.shape(total)).astype(F32)


def weighted(parts: Sequence[Array], weights: Sequence[float]) -> Array:
    """Return the weighted sum in float64: for bf16 numbers, that is the exact one but for 2^-53."""
    total = np.zeros(parts[0].shape)
    for part, weight in zip(parts, weights, strict=True):
        total += part.astype(F64) * weight
    return total


def blend(family: Mapping[str, Tensors], weights: Mapping[str, float]) -> Tensors:
    """Return base plus weighted displacements, rounded once to bf16."""
    out = {}
    for tensor, base in family["base"].items():
        deltas = [family[name][tensor].astype(F64) - base for name in weights]
        out[tensor] = (base + weighted(deltas, list(weights.values()))).astype(F32).astype(BF16)
    return out


def stored(tensors: Mapping[str, Array]) -> Tensors:
    """Return tensors as bf16, unless they are of another dtype than float32."""
    return {
        name: np.asarray(each).astype(BF16) if each.dtype == F32 else np.asarray(each)
        for name, each in tensors.items()
    }


def found_in(
    folder: Path,
    family: Mapping[str, Tensors],
    child: Tensors,
    parents: Sequence[str],
    controls: Iterable[str] = (),
    **options: Any,
) -> SampleEstimates:
    """Write the family and a child of it, and return what a sample shows of them."""
    names = ("base", *parents, *controls)
    others = [opened(folder, name, stored(family[name])) for name in names]
    alignment = align(opened(folder, "child", child), others)
    return SampleEstimates(
        alignment,
        Columns(names[0], tuple(parents), names[1 + len(parents) :]),
        Options(**({"threads": 2} | options)),
    )


FAMILY = made(FAR)


def plain_weights(spellings: list[WrittenWeights]) -> list[dict[str, float]]:
    return [dict(each.weights) for each in spellings]
