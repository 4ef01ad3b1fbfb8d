"""The mean of whole checkpoints on a sphere."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from parentage.methods.mergekit import configuration
from parentage.recipe import Method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the sum of checkpoints with a weight each per slice, fitted."""
    columns = replaying.parents()
    weights = [
        replaying.scalar(np.nan_to_num(replaying.fitted(f"weight_{i}")))
        for i in range(len(columns))
    ]
    return [reduce(lambda a, b: a + b, [c * w for c, w in zip(columns, weights, strict=True)])]


METHOD = Method(
    name="karcher",
    formula="the Riemannian mean of x_i / |x_i| on the sphere, times the mean of |x_i|",
    source="Karcher 1977, Riemannian center of mass; mergekit merge_methods/karcher.py",
    parameters={},
    arithmetics={"float32": "each weight, product and sum rounded; the tool's own order has more"},
    replay=replay,
    fitted={"weight_i": "the weight that p_i has in the end, i from 0"},
    mergekit=configuration,
)
