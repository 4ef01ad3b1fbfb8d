"""The base and the mean of its fine-tunes, weighted by the angle between them."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "t, 1 - t, the sum of parents, its mean, both products and their sum, each rounded",
    "bfloat16": "the same rounded to bf16: mergekit with dtype bfloat16",
}


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return t mean + (1 - t) b with t fitted by slice, or by row."""
    dtype = replaying.dtype
    columns = replaying.parents()
    total = reduce(lambda a, b: (a + b).round(dtype), columns)
    mean = (total / replaying.scalar(float(len(columns)))).round(dtype)
    base = replaying.base()
    if replaying.recipe.parameters.get("filter_wise"):
        t = replaying.program.low_rank(
            [replaying.recipe.matrices.get(each.name) for each in replaying.slices]
        ).round(dtype)
    else:
        t = replaying.scalar(np.nan_to_num(replaying.fitted("t"))).round(dtype)
    rest = (replaying.scalar(1.0) - t).round(dtype)
    return [((mean * t).round(dtype) + (base * rest).round(dtype)).round(dtype)]


METHOD = Method(
    name="model_stock",
    formula="t mean(p_i) + (1 - t) b, t = n c / (1 + (n - 1) c), c the mean cosine between d_i "
    "and d_j of a tensor, or of a row if filter_wise",
    source="Jang et al. 2024, Model Stock, arXiv:2403.19522; mergekit merge_methods/model_stock.py",
    parameters={"filter_wise": Parameter("t by row and not by tensor", bool, default=False)},
    arithmetics=ARITHMETICS,
    replay=replay,
    fitted={"t": "t of a tensor, where it is not by row"},
    mergekit=configuration,
    needs_base=True,
)
