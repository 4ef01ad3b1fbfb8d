"""Averages that are carried on, in numpy, one rounding at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conftest import BF16

from common.families import F16, F32, Array, Tensors, bf16, f16, fma

Rounding = Callable[[Any], Array]
ROUNDINGS: dict[str, tuple[Rounding, Any]] = {
    "float32": (F32, F32),
    "bfloat16": (bf16, BF16),
    "float16": (f16, F16),
}
"""How an arithmetic rounds, and what such children are stored in."""


def decay(r: Rounding, acc: Array, new: Array, before: float, own: float) -> Array:
    share = own / (before + own)
    return r(r(acc * F32(1.0 - share)) + r(new * F32(share)))


def decay_fma(r: Rounding, acc: Array, new: Array, before: float, own: float) -> Array:
    share = own / (before + own)
    return r(fma(new, F32(share), r(acc * F32(1.0 - share))))


def step(r: Rounding, acc: Array, new: Array, before: float, own: float) -> Array:
    return r(acc + r(r(new - acc) * F32(own / (before + own))))


def step_divided(r: Rounding, acc: Array, new: Array, before: float, own: float) -> Array:
    return r(acc + r(r(new - acc) / F32((before + own) / own)))


def lerp(r: Rounding, acc: Array, new: Array, before: float, own: float) -> Array:
    share = F32(own / (before + own))
    if share < 0.5:
        return r(fma(F32(new - acc), share, acc))
    return r(fma(F32(new - acc), F32(share - F32(1.0)), new))


def running(r: Rounding, acc: Array, new: Array, before: float, own: float) -> Array:
    return r(r(r(acc * F32(before)) + r(new * F32(own))) / F32(before + own))


FORMS = {
    "decay": decay,
    "decay-fma": decay_fma,
    "step": step,
    "step-divided": step_divided,
    "lerp": lerp,
    "running": running,
}


def averaged(columns: Sequence[Array], weights: Sequence[float], arithmetic: str) -> Array:
    """Return the average of columns in an arithmetic, as float32 numbers."""
    prefix, _, form = arithmetic.partition("-")
    rounding = ROUNDINGS[prefix][0]
    total, before = rounding(columns[0]), weights[0]
    for column, weight in zip(columns[1:], weights[1:], strict=True):
        total = FORMS[form](rounding, total, rounding(column), before, weight)
        before += weight
    return total


def child_of(
    family: Mapping[str, Tensors], weights: Mapping[str, float], arithmetic: str
) -> Tensors:
    """Return the average of checkpoints in the order of ``weights``, stored as it was computed."""
    dtype = ROUNDINGS[arithmetic.partition("-")[0]][1]
    return {
        tensor: averaged(
            [family[name][tensor] for name in weights], list(weights.values()), arithmetic
        ).astype(dtype)
        for tensor in family["base"]
    }
