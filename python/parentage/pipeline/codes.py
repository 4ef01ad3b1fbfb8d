"""Codes and numbers: whether one checkpoint's numbers lie in the cells of another's codes.

Whoever quantises rounds to the nearest code. The numbers that are nearest to a code, given the
scales that are stored beside it, are its *cell*; numbers that were quantised to these codes lie in
the cells of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint import cells_of
from parentage.stream import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options

CELLS = ("value", "low", "high")
"""What a plan ends with: of the codes, what they stand for and the ends of their cells."""

MADE_OF_CODES = 0.6
"""Share of numbers in the middle of their codes' cells, an eighth of a step to either side, from
which on they may have been made of the codes: a quarter where numbers were quantised."""


@dataclass(frozen=True, slots=True)
class Requantised:
    """What a candidate's numbers give, quantised with stored scales."""

    elements: int
    """Codes compared."""
    equal: int
    """Of them, those that the candidate's numbers round to."""
    telling: int
    """Of the codes, those that are neither zero nor the last on their side: with scales out of all
    proportion, anything gives the others."""
    centred: int = 0
    """Of the telling ones, those whose number is within an eighth of a step of what the code stands
    for."""

    @property
    def is_copy(self) -> bool:
        """Whether all codes are those stored, and most of them tell anything."""
        return self.equal == self.elements and self.is_mostly

    @property
    def is_mostly(self) -> bool:
        """Whether most codes are those stored, and most of them tell anything."""
        return 2 * self.equal > self.elements and 2 * self.telling >= self.elements


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
    cells = cells_of(coded, codes)
    limit = max(each.elements for each in codes) if most is None else most
    elements = [min(each.elements, limit) for each in codes]
    rows = [
        [mate.index, *(cells.tensors[f"{each.index:09}.{end}"].index for end in CELLS)]
        for each, mate in zip(codes, mates, strict=True)
    ]
    tensors = np.array(rows, dtype=np.uint64)
    plan = _core.Plan(
        [other.core, *[cells.core] * len(CELLS)],
        np.array(elements, dtype=np.uint64),
        tensors,
        np.zeros_like(tensors),
    )
    program = Program(len(codes))
    replay = program.replay([program.column(0)], np.arange(len(codes)))
    found = _core.replay_in_cells(
        plan, replay, "F32", [room_of(coded, each) for each in codes],
        threads=options.threads, tile_bytes=options.tile_bytes, io=options.io, level=options.level,
    )  # fmt: skip
    return [
        Requantised(count, *counts) for count, counts in zip(elements, found.tolist(), strict=True)
    ]


def room_of(checkpoint: Checkpoint, tensor: Tensor) -> tuple[float, float]:
    """Return how far beyond a cell a number may lie: as a share of it, and of so many steps."""
    coding = checkpoint.encoding_of(tensor)
    return (0.0, 0.0) if coding is None else (coding.rounding, float(coding.shifted_codes))
