"""Codes of the child: whether another checkpoint's numbers lie in their cells.

Whoever quantises rounds to the nearest code. The numbers that are nearest to a code, given the
scales that the child stores, are its *cell*; what was quantised to the child lies in the cells of
all its codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import cells_of
from parentage.stream import read_elements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

AT_ONCE = 1 << 20
"""Elements that are looked at together."""


@dataclass(frozen=True, slots=True)
class Requantised:
    """What a candidate's numbers give, quantised with the child's scales."""

    elements: int
    """Codes compared."""
    equal: int
    """Of them, those that the candidate's numbers round to."""
    telling: int
    """Of the child's codes, those that are neither zero nor the last on their side: with scales out
    of all proportion, anything gives the others."""

    @property
    def is_copy(self) -> bool:
        """Whether all codes are the child's, and most of them tell anything."""
        return self.equal == self.elements and self.is_mostly

    @property
    def is_mostly(self) -> bool:
        """Whether most codes are the child's, and most of them tell anything."""
        return 2 * self.equal > self.elements and 2 * self.telling >= self.elements


def requantised(
    child: Checkpoint,
    codes: Sequence[Tensor],
    other: Checkpoint,
    mates: Sequence[Tensor],
    options: Options,
    most: int | None = None,
) -> list[Requantised]:
    """Return what a candidate's numbers give in place of each of the child's encoded tensors.

    Of ``most`` elements of each, or all.
    """
    cells = cells_of(child, codes)
    out = []
    for tensor, mate in zip(codes, mates, strict=True):
        encoding = child.encoding_of(tensor)
        slack = 0.0 if encoding is None else encoding.rounding
        shifted = 0 if encoding is None else encoding.shifted_codes
        ends = [cells.tensors[f"{tensor.index:09}.{end}"] for end in ("value", "low", "high")]
        last = tensor.elements if most is None else min(tensor.elements, most)
        equal = telling = 0
        for theirs, value, low, high in _pieces(cells, ends, other, mate, last, options):
            step = 2.0 * np.minimum(high - value, value - low)
            room = slack * (np.abs(value) + shifted * step)
            equal += int(((theirs >= low - room) & (theirs <= high + room)).sum())
            telling += int(((value != 0.0) & np.isfinite(low) & np.isfinite(high)).sum())
        out.append(Requantised(last, equal, telling))
    return out


def _pieces(
    cells: Checkpoint,
    ends: Sequence[Tensor],
    other: Checkpoint,
    mate: Tensor,
    last: int,
    options: Options,
) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
    """Yield the other's numbers, with what the child's codes stand for and the ends of cells."""
    cores = [other.core, *[cells.core] * len(ends)]
    row = [[mate.index, *(each.index for each in ends)]]
    for first in range(0, last, AT_ONCE):
        found = read_elements(cores, row, first, min(AT_ONCE, last - first), options)
        yield found[:, 0], found[:, 1], found[:, 2], found[:, 3]
