"""One checkpoint plus a matrix of low rank in each of some tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.recipe import Method, Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value

ARITHMETICS = {
    "float32": "the product of the factors, and what it is added to, each rounded to float32",
    "bfloat16": "the product rounded to bf16, and the sum again: peft on bf16 weights",
}


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return the checkpoint plus the product of the factors, where a slice has some."""
    (origin,) = replaying.parents()
    found = replaying.recipe.matrices
    matrices = [
        (np.asarray(found[each.name][0], np.float64), np.asarray(found[each.name][1], np.float64))
        if each.name in found
        else None
        for each in replaying.slices
    ]
    dtype = replaying.dtype
    has = replaying.scalar(np.array([float(each is not None) for each in matrices]))
    total = (origin + replaying.program.low_rank(matrices).round(dtype)).round(dtype)
    # What has no matrix is a copy: -0 + 0 would be another zero.
    return [replaying.program.select(has, total, origin)]


METHOD = Method(
    name="lora",
    formula="p + B A, B (rows, rank) and A (rank, columns) by tensor",
    source="Hu et al. 2021, LoRA, arXiv:2106.09685; peft merge_and_unload",
    parameters={"rank": Parameter("the largest rank of a tensor's matrix")},
    arithmetics=ARITHMETICS,
    replay=replay,
    parents=1,
    kind="fine-tune",
)
