"""Elements of many places of one checkpoint at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.checkpoint import Checkpoint
    from parentage.stream import Options
    from parentage.support import Floats


def runs(
    checkpoint: Checkpoint, places: Sequence[tuple[int, int]], count: int, options: Options
) -> Floats:
    """Return (P, count) elements of P places of a checkpoint: tensor, and first element.

    What is not finite is 0.
    """
    if not places:
        return np.zeros((0, count))
    table = np.array(places, dtype=np.uint64).reshape(-1, 2)
    # A plan is of two checkpoints at least.
    twice = np.repeat(table[:, None, :], 2, axis=1)
    plan = _core.Plan(
        [checkpoint.core, checkpoint.core],
        np.full(len(table), count, dtype=np.uint64),
        np.ascontiguousarray(twice[:, :, 0]),
        np.ascontiguousarray(twice[:, :, 1]),
    )
    few = options.for_runs()
    found = few.backend.elements(plan, 0, plan.slices, threads=few.threads, io=few.io)
    values: Floats = np.nan_to_num(found[:, 0].reshape(len(table), count), posinf=0.0, neginf=0.0)
    return values
