"""Families on spheres that are not planes, and merges whose weights are angles.

Merges are made in float32 as their tools make them, on whole tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
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


def slerp(x: Array, y: Array, t: float) -> Array:
    cosine = float(dot(F32(x / norm(x)), F32(y / norm(y))))
    if abs(cosine) > 0.9995:
        return F32(F32(F32(1.0 - t) * x) + F32(F32(t) * y))
    theta = np.arccos(cosine)
    one = F32(np.sin((1.0 - t) * theta) / np.sin(theta))
    two = F32(np.sin(t * theta) / np.sin(theta))
    return F32(F32(one * x) + F32(two * y))


def nuslerp(x: Array, y: Array, t: float) -> Array:
    cosine = np.clip(dot(F32(x / norm(x)), F32(y / norm(y))), -1, 1)
    theta = F32(np.arccos(F32(cosine)))
    one, two = F32(np.sin(F32(F32(1.0 - t) * theta))), F32(np.sin(F32(F32(t) * theta)))
    return F32(F32(F32(one * x) + F32(two * y)) / F32(np.sin(theta)))


def multislerp(parts: Sequence[Array], weights: Sequence[float]) -> Array:
    shares = [F32(w) for w in weights]
    total = reduce(lambda a, b: F32(a + b), shares)
    shares = [F32(w / total) for w in shares]

    def mixed(values: Sequence[Array]) -> Array:
        products = [F32(v * w) for v, w in zip(values, shares, strict=True)]
        return reduce(lambda a, b: F32(a + b), products)

    norms = [F32(norm(x) + F32(1e-8)) for x in parts]
    units = [F32(x / n) for x, n in zip(parts, norms, strict=True)]
    mean = mixed(units)
    mean = F32(mean / norm(mean))
    tangent = mixed([F32(u - F32(dot(u, mean) * mean)) for u in units])
    length = F32(norm(tangent) + F32(1e-8))
    along = F32(tangent * F32(np.sin(length) / length))
    size = reduce(lambda a, b: F32(a + b), [F32(n * w) for n, w in zip(norms, shares, strict=True)])
    return F32(F32(F32(mean * F32(np.cos(length))) + along) * size)


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


def stock(base: Array, parts: Sequence[Array]) -> Array:
    deltas = [F32(x - base) for x in parts]
    count = len(parts)
    found = [
        dot(deltas[i], deltas[j]) / F32(norm(deltas[i]) * norm(deltas[j]))
        for i in range(count)
        for j in range(i)
    ]
    cosine = F32(np.mean(found))
    t = F32(F32(count * cosine) / F32(F32(1) + F32((count - 1) * cosine)))
    mean = F32(reduce(lambda a, b: F32(a + b), parts) / F32(count))
    return F32(F32(mean * t) + F32(base * F32(F32(1) - t)))


def displaced(merge: Callable[..., Array], names: Sequence[str], *rest: Any) -> Any:
    def merged(x: Callable[[str], Array]) -> Array:
        base = x("base")
        parts = [F32(x(name) - base) for name in names]
        inner = merge(*parts, *rest) if merge is nuslerp else merge(parts, *rest)
        return F32(inner + base)

    return merged


def summed(values: Array) -> Array:
    return F32(values.sum(axis=-1, keepdims=True, dtype=F32))


def units(x: Array) -> Array:
    return F32(x / np.maximum(np.sqrt(summed(x * x)), F32(1e-7)))


def turned(x: Array, y: Array, t: float, axis: int) -> Array:
    """Turn every row (axis -1) or column (0) of x towards that of y; along a line, step."""
    if axis == 0:
        return np.ascontiguousarray(turned(x.T, y.T, t, -1).T)
    theta = F32(np.arccos(np.clip(summed(F32(units(x) * units(y))), -1, 1)))
    one, two = F32(np.sin(F32(F32(1.0 - t) * theta))), F32(np.sin(F32(F32(t) * theta)))
    sine = F32(np.sin(theta))
    is_line = np.abs(sine) < 1e-8
    arc = F32(F32(F32(one * x) + F32(two * y)) / np.where(is_line, F32(1.0), sine))
    line = F32(F32(F32(1.0 - t) * x) + F32(F32(t) * y))
    return np.where(is_line, line, arc)


def turned_from(base: str | None, names: Sequence[str], t: float, axis: int) -> Any:
    def merged(x: Callable[[str], Array]) -> Array:
        if base is None:
            return turned(x(names[0]), x(names[1]), t, axis)
        one, two = (F32(x(name) - x(base)) for name in names)
        return F32(x(base) + turned(one, two, t, axis))

    return merged


def stock_by_row(base: Array, parts: Sequence[Array]) -> Array:
    deltas = [F32(x - base) for x in parts]
    count = len(parts)
    found = []
    for i in range(count):
        for j in range(i + 1, count):
            norms = np.sqrt(summed(deltas[i] * deltas[i])) * np.sqrt(summed(deltas[j] * deltas[j]))
            cosine = summed(F32(deltas[i] * deltas[j])) / np.maximum(F32(norms), F32(1e-6))
            found.append(np.clip(F32(cosine), -1, 1))
    cosine = np.mean(found, axis=0, dtype=F32)
    t = F32(F32(count * cosine) / F32(F32(1) + F32((count - 1) * cosine)))
    mean = F32(reduce(lambda a, b: F32(a + b), parts) / F32(count))
    return F32(F32(mean * t) + F32(base * F32(F32(1) - t)))


def child_of(merge: Callable[[Callable[[str], Array]], Array], family: Any) -> Tensors:
    """Return what ``merge`` makes of every tensor, given a function from names to arrays."""
    return {
        tensor: np.asarray(merge(lambda name, at=tensor: family[name][at])).astype(BF16)
        for tensor in family["base"]
    }
