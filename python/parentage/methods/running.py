"""Averages that are carried on: every checkpoint moves what came of those before it.

An exponential moving average, a running mean, Welford's mean, ``lerp`` in place and chains of
two-way merges are the same sum with other roundings. With weights ``w_1, ..., w_n`` and sums
``W_k = w_1 + ... + w_k``, step k gives ``p_k`` the share ``s_k = w_k / W_k``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value
    from parentage.support import Floats

PREFIXES = {"float32": None, "bfloat16": "BF16", "float16": "F16"}
"""What names of such arithmetics begin with, and the dtype that operations are rounded to beside
float32."""

FORMS = {
    "decay": "from p_1 on, acc = (1 - s_k) acc + s_k p_k, each operation rounded: an exponential "
    "moving average",
    "decay-fma": "from p_1 on, acc = fma(p_k, s_k, (1 - s_k) acc): torch's mul_ and add_ with "
    "alpha",
    "step": "from p_1 on, acc = acc + s_k (p_k - acc), each operation rounded: Welford, and moving "
    "averages as diffusers has them",
    "step-divided": "from p_1 on, acc = acc + (p_k - acc) / (W_k / w_k), each operation rounded: "
    "torch's AveragedModel",
    "lerp": "from p_1 on, acc = lerp(acc, p_k, s_k), fused as torch has it",
    "running": "from p_1 on, acc = (W_(k-1) acc + w_k p_k) / W_k, each operation rounded: a "
    "running mean",
}
"""What each form computes; s_k = w_k / W_k, W_k = w_1 + ... + w_k."""

ARITHMETICS = {
    f"{prefix}-{form}": text if prefix == "float32" else f"the same in {prefix}"
    for form, text in FORMS.items()
    for prefix in PREFIXES
}
"""Which operations are rounded to what, by the name of the arithmetic."""


def split(arithmetic: str) -> tuple[str | None, str]:
    """Return the dtype that an arithmetic rounds to beside float32, and its form.

    >>> split("bfloat16-decay-fma"), split("float32-step")
    (('BF16', 'decay-fma'), (None, 'step'))
    """
    prefix, _, form = arithmetic.partition("-")
    return PREFIXES[prefix], form


def carried_on(replaying: Replaying) -> Value:
    """Return the average of a recipe's checkpoints, carried on in the recipe's order."""
    dtype, form = split(replaying.recipe.arithmetic)
    step = _STEPS[form]
    total, *rest = (column.round(dtype) for column in replaying.parents())
    weights = replaying.weights()
    before = weights[0]
    for column, weight in zip(rest, weights[1:], strict=True):
        total = step(replaying, total, column, (before, weight), dtype)
        before = before + weight
    return total


def shares(weights: Sequence[float]) -> list[float]:
    """Return the shares of all steps but the first, s_2 on.

    >>> shares([0.81, 0.09, 0.1])
    [0.1, 0.1]
    """
    sums = np.cumsum(weights)
    return [round(float(w / total), 12) for w, total in zip(weights[1:], sums[1:], strict=True)]


def weights_of(shares_: Sequence[float]) -> tuple[float, ...]:
    """Return the weights, which sum to one, whose steps have these shares.

    >>> weights_of([0.1, 0.1])
    (0.81, 0.09, 0.1)
    """
    weights = [1.0]
    for share in shares_:
        weights = [*(weight * (1.0 - share) for weight in weights), share]
    return tuple(round(weight, 12) for weight in weights)


def _share(weights: tuple[Floats, Floats]) -> Floats:
    """Return (S,) the share of a step, from the sum of weights before it and its own."""
    before, own = weights
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = own / (before + own)
    return share


def _decay(
    replaying: Replaying, acc: Value, new: Value, weights: tuple[Floats, Floats], dtype: str | None
) -> Value:
    share = _share(weights)
    kept = (acc * replaying.scalar(1.0 - share)).round(dtype)
    return (kept + (new * replaying.scalar(share)).round(dtype)).round(dtype)


def _decay_fma(
    replaying: Replaying, acc: Value, new: Value, weights: tuple[Floats, Floats], dtype: str | None
) -> Value:
    share = _share(weights)
    kept = (acc * replaying.scalar(1.0 - share)).round(dtype)
    return replaying.program.fma(new, replaying.scalar(share), kept).round(dtype)


def _step(
    replaying: Replaying, acc: Value, new: Value, weights: tuple[Floats, Floats], dtype: str | None
) -> Value:
    moved = ((new - acc).round(dtype) * replaying.scalar(_share(weights))).round(dtype)
    return (acc + moved).round(dtype)


def _step_divided(
    replaying: Replaying, acc: Value, new: Value, weights: tuple[Floats, Floats], dtype: str | None
) -> Value:
    with np.errstate(divide="ignore"):
        # A step of no share moves nothing, and is divided by infinity.
        divisor = replaying.scalar(1.0 / _share(weights))
    return (acc + ((new - acc).round(dtype) / divisor).round(dtype)).round(dtype)


def _lerp(
    replaying: Replaying, acc: Value, new: Value, weights: tuple[Floats, Floats], dtype: str | None
) -> Value:
    share = _share(weights).astype(np.float32).astype(np.float64)
    program, delta = replaying.program, new - acc
    near = program.fma(delta, replaying.scalar(share), acc)
    far = program.fma(delta, replaying.scalar(share - 1.0), new)
    is_far = np.abs(share) >= 0.5
    return program.select(replaying.scalar(is_far.astype(np.float64)), far, near).round(dtype)


def _running(
    replaying: Replaying, acc: Value, new: Value, weights: tuple[Floats, Floats], dtype: str | None
) -> Value:
    before, own = weights
    total = (acc * replaying.scalar(before)).round(dtype)
    total = (total + (new * replaying.scalar(own)).round(dtype)).round(dtype)
    return (total / replaying.scalar(before + own)).round(dtype)


_STEPS: dict[
    str,
    Callable[[Replaying, Value, Value, tuple[Floats, Floats], str | None], Value],
] = {
    "decay": _decay,
    "decay-fma": _decay_fma,
    "step": _step,
    "step-divided": _step_divided,
    "lerp": _lerp,
    "running": _running,
}
