"""Spherical interpolation between two whole checkpoints, an angle per tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value
    from parentage.support import Floats


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return a p_1 + b p_2, each product and the sum rounded; a and b are fitted by slice."""
    one, two = replaying.parents()
    t = replaying.parameter("t")
    rest = (np.float32(1.0) - t.astype(np.float32)).astype(np.float64)
    a = _known(replaying.fitted("first"), rest)
    b = _known(replaying.fitted("second"), t)
    return [one * replaying.scalar(a) + two * replaying.scalar(b)]


def _known(values: Floats, default: Floats) -> Floats:
    return np.where(np.isnan(values), default, values)


METHOD = Method(
    name="slerp",
    formula="[sin((1 - t) theta) p_1 + sin(t theta) p_2] / sin theta, theta the angle between the "
    "two tensors; (1 - t) p_1 + t p_2 where |cos theta| > 0.9995",
    source="Shoemake 1985, Animating rotation with quaternion curves; mergekit "
    "merge_methods/slerp.py",
    parameters={"t": Parameter("how far from the first to the second", required=True)},
    arithmetics={"float32": "both weights, both products and the sum rounded to float32"},
    replay=replay,
    fitted={"first": "the weight of p_1 (1 - t if absent)", "second": "that of p_2 (t if absent)"},
    mergekit=configuration,
    parents=2,
)
