"""A family on spheres that are not planes, one with something in common, and Karcher means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from conftest import BF16

from common.families import F32, Array, Tensors, bf16, made

SMALL = {
    "model.embed_tokens.weight": (96, 64),
    **{
        f"model.layers.{layer}.{name}.weight": (64, 80)
        for layer in range(2)
        for name in ("self_attn.q_proj", "mlp.down_proj")
    },
    "model.norm.weight": (64,),
}


FAMILY = made({"one": 0.02, "two": 0.02, "three": 0.02}, 13, SMALL)
"""Displacements as large as the weights: here spheres are not planes."""


def related(seed: int = 17) -> dict[str, Tensors]:
    """Return a family whose displacements have something in common."""
    rng = np.random.default_rng(seed)
    family: dict[str, Tensors] = {name: {} for name in ("base", "one", "two", "three")}
    for tensor, shape in SMALL.items():
        base = bf16(rng.normal(1.0 if "norm" in tensor else 0.0, 0.03, shape))
        common = rng.normal(0, 0.004, shape)
        family["base"][tensor] = base
        for name in ("one", "two", "three"):
            family[name][tensor] = bf16(base + common + rng.normal(0, 0.003, shape))
    return family


RELATED = related()


def norm(x: Array) -> Any:
    return np.sqrt(F32((x * x).sum(dtype=F32)))


def dot(x: Array, y: Array) -> Any:
    return F32((x * y).sum(dtype=F32))


def karcher(parts: Sequence[Array]) -> Array:
    share = F32(1.0 / len(parts))
    norms = [norm(x) for x in parts]
    units = [F32(x / n) for x, n in zip(parts, norms, strict=True)]
    mean = F32(sum(F32(share * u) for u in units))
    mean = F32(mean / norm(mean))
    for _ in range(10):
        tangent = np.zeros_like(mean)
        for unit in units:
            cosine = np.clip(dot(unit, mean), -1, 1)
            theta = np.arccos(cosine)
            if theta >= 1e-5:
                factor = F32(share * F32(theta / np.sin(theta)))
                tangent = F32(tangent + F32(factor * F32(unit - F32(cosine * mean))))
        length = norm(tangent)
        if length < 1e-5:
            break
        mean = F32(F32(np.cos(length) * mean) + F32(F32(np.sin(length) / length) * tangent))
        mean = F32(mean / norm(mean))
    return F32(F32(sum(F32(share * n) for n in norms)) * mean)


def child_of(merge: Callable[[Callable[[str], Array]], Array], family: Any) -> Tensors:
    """Return what ``merge`` makes of every tensor, given a function from names to arrays."""
    return {
        tensor: np.asarray(merge(lambda name, at=tensor: family[name][at])).astype(BF16)
        for tensor in family["base"]
    }
