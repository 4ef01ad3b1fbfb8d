"""Elements of many places of checkpoints at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.checkpoint import Checkpoint
    from parentage.stream import Options
    from parentage.support import Floats

    Places = Sequence[tuple[int, int]]

AT_ONCE = 1 << 22
"""Elements of a checkpoint that are read at once."""


def runs(
    checkpoint: Checkpoint, places: Places, count: int, options: Options, *, as_is: bool = False
) -> Floats:
    """Return (P, count) elements of P places of a checkpoint: tensor, and first element.

    What is not finite is 0, unless all are asked for as they are.
    """
    # A plan is of two checkpoints at least: half of the places are read as the other's.
    half = (len(places) + 1) // 2
    if not half:
        return np.zeros((0, count))
    rest = [*places[half:], *places[: 2 * half - len(places)]]
    two_of_it = (checkpoint, checkpoint)
    one, two = pairs_of_runs(two_of_it, (places[:half], rest), count, options, as_is=as_is)
    return np.concatenate([one, two[: len(places) - half]])


def pairs_of_runs(
    checkpoints: tuple[Checkpoint, Checkpoint],
    places: tuple[Places, Places],
    count: int,
    options: Options,
    *,
    as_is: bool = False,
) -> tuple[Floats, Floats]:
    """Return (P, count) elements of P places of each of two checkpoints, as :func:`runs` does."""
    total = len(places[0])
    out = np.zeros((total, count)), np.zeros((total, count))
    step = max(AT_ONCE // max(count, 1), 1)
    few = options.for_runs()
    for first in range(0, total, step):
        table = np.array([each[first : first + step] for each in places], dtype=np.uint64)
        plan = _core.Plan(
            [each.core for each in checkpoints],
            np.full(table.shape[1], count, dtype=np.uint64),
            np.ascontiguousarray(table[:, :, 0].T),
            np.ascontiguousarray(table[:, :, 1].T),
        )
        found = few.backend.elements(plan, 0, plan.slices, threads=few.threads, io=few.io)
        for column, each in enumerate(out):
            values = found[:, column].reshape(-1, count)
            each[first : first + step] = (
                values if as_is else np.nan_to_num(values, posinf=0.0, neginf=0.0)
            )
    return out
