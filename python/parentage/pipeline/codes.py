"""Codes and numbers: whether one checkpoint's numbers lie in the cells of another's codes.

Whoever quantises rounds to the nearest code. The numbers that are nearest to a code, given the
scales that are stored beside it, are its *cell*; numbers that were quantised to these codes lie in
the cells of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint import cells_of
from parentage.stream import Program
from parentage.verdict import Requantised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options, Value
    from parentage.support import Counts

CELLS = 3
"""Columns that a plan ends with: of the codes, what they stand for and the ends of their cells."""


def requantised(
    coded: Checkpoint,
    codes: Sequence[Tensor],
    other: Checkpoint,
    mates: Sequence[Tensor],
    options: Options,
    most: int | None = None,
) -> list[Requantised]:
    """Return what another checkpoint's numbers give in place of encoded tensors.

    Of ``most`` elements of each, the first, or all.
    """
    if not codes:
        return []
    cells, places = cells_of(coded, codes)
    limit = max(each.elements for each in codes) if most is None else most
    elements = [min(each.elements, limit) for each in codes]
    rows = [[mate.index, *places[each.index]] for each, mate in zip(codes, mates, strict=True)]
    tensors = np.array(rows, dtype=np.uint64)
    plan = _core.Plan(
        [other.core, *[cells.core] * CELLS],
        np.array(elements, dtype=np.uint64),
        tensors,
        np.zeros_like(tensors),
    )
    program = Program(len(codes))
    room = [room_of(coded, each) for each in codes]
    found = in_cells(plan, room, [(program, [program.column(0)], "F32")], options)[:, 0]
    return [
        Requantised(count, *counts) for count, counts in zip(elements, found.tolist(), strict=True)
    ]


def in_cells(
    plan: _core.Plan,
    room: Sequence[tuple[float, float]],
    tries: Sequence[tuple[Program, Sequence[Value], str]],
    options: Options,
) -> Counts:
    """Return (S, R, 3), by slice: results in cells, codes that tell, and results in their middle.

    Each of R programs has its results rounded to a dtype before; all are carried out in one pass.
    The plan ends with :data:`CELLS` columns.
    """
    owner = np.arange(plan.slices)
    return options.backend.replay_in_cells(
        plan, [program.replay(results, owner) for program, results, _ in tries],
        [dtype for _, _, dtype in tries], room,
        threads=options.threads, tile_bytes=options.tile_bytes, io=options.io, level=options.level,
    )  # fmt: skip


def room_of(checkpoint: Checkpoint, tensor: Tensor) -> tuple[float, float]:
    """Return how far beyond a cell a number may lie: as a share of it, and of so many steps."""
    coding = checkpoint.encoding_of(tensor)
    return (0.0, 0.0) if coding is None else (coding.rounding, float(coding.shifted_codes))
