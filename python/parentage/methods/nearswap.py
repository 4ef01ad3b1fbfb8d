"""The base moved towards a parent by a fixed distance, all the way where they are nearer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "1 / max(|b - p|, 1e-6), t times that, w p, 1 - w, (1 - w) b and the sum rounded",
    "bfloat16": "the same rounded to bf16",
}

LEAST_DISTANCE = 1e-6
"""What the distance is at least."""


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the weighted mean of base and parent."""
    dtype = replaying.dtype
    base, (parent,) = replaying.base(), replaying.parents()
    one = replaying.scalar(1.0)
    least = float(to_bf16(np.array([LEAST_DISTANCE]))[0]) if dtype else LEAST_DISTANCE
    distance = replaying.program.maximum(abs((base - parent).round(dtype)), replaying.scalar(least))
    t = replaying.scalar(replaying.parameter("t"))
    weight = ((one / distance).round(dtype) * t).round(dtype)
    weight = replaying.program.minimum(
        replaying.program.maximum(weight, replaying.scalar(0.0)), one
    )
    rest = ((one - weight).round(dtype) * base).round(dtype)
    return [((weight * parent).round(dtype) + rest).round(dtype)]


METHOD = Method(
    name="nearswap",
    formula="w p + (1 - w) b; w = min(1, t / |p - b|)",
    source="QuartetAnemoi-70B-t0.0001 by alchemonaut; mergekit merge_methods/nearswap.py",
    parameters={"t": Parameter("how far the base is moved", required=True)},
    arithmetics=ARITHMETICS,
    replay=replay,
    mergekit=configuration,
    parents=1,
    needs_base=True,
)
