"""Quantised copies: a checkpoint's numbers quantised anew, with the scales that the child stores.

Every tool that quantises divides by a scale, or multiplies by its reciprocal, in float32, and
rounds to the nearest code. Which codes that gives of a candidate's numbers is computed here and
compared with the child's, code for code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import block_of, spread
from parentage.checkpoint import DTYPES
from parentage.places import cast
from parentage.stream import read_elements

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """Of them, those that are the child's."""
    telling: int
    """Of the child's codes, those that are neither zero nor the largest: with scales out of all
    proportion, anything gives the others."""

    @property
    def is_copy(self) -> bool:
        """Whether all codes are the child's, and most of them tell anything."""
        return self.equal == self.elements and self.is_mostly

    @property
    def is_mostly(self) -> bool:
        """Whether most codes are the child's, and most of them tell anything."""
        return 2 * self.equal > self.elements and 2 * self.telling >= self.elements


def requantised(
    child: Checkpoint, codes: Tensor, scales: Tensor, other: Checkpoint, mate: Tensor,
    options: Options, most: int | None = None,
) -> Requantised:  # fmt: skip
    """Quantise a candidate's matrix with the child's scales, and count equal codes.

    Of ``most`` elements, or all, whole rows are read.

    Raises
    ------
    ValueError
        If the scales are of a shape that no rule is known for.
    """
    block = block_of(codes.shape, scales.shape)
    if block is None:
        raise ValueError(f"scales of shape {scales.shape} for codes of shape {codes.shape}")
    rows, width = codes.shape
    last = rows if most is None else max(min(rows, most // max(width, 1)), 1)
    known = read_elements([child.core], [[scales.index]], 0, scales.elements, options)
    grid = known.reshape(-(-rows // block[0]), -(-width // block[1]))
    if not np.isfinite(grid).all():
        return Requantised(last * width, 0, 0)
    largest = DTYPES[codes.dtype].largest
    counts, telling = np.zeros(2, dtype=np.int64), 0
    for first, after, stored, plain in _pieces(child, codes, other, mate, last, options):
        scale = spread(grid, block, first, after, width).astype(np.float32).ravel()
        telling += int(((stored != 0.0) & (np.abs(stored) != largest)).sum())
        given = plain.astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ways = given / scale, given * (np.float32(1.0) / scale)
        for way, values in enumerate(ways):
            rounded = cast(values.astype(np.float64), codes.dtype)
            counts[way] += int(((rounded == stored) | (np.isnan(rounded) & np.isnan(stored))).sum())
    return Requantised(last * width, int(counts.max()), telling)


def _pieces(
    child: Checkpoint, codes: Tensor, other: Checkpoint, mate: Tensor, last: int, options: Options
) -> Iterator[tuple[int, int, Floats, Floats]]:
    """Yield rows, from one to another, with the child's codes and the other's numbers."""
    width = codes.shape[1]
    step = max(AT_ONCE // max(width, 1), 1)
    cores, pair = [other.core, child.core], [[mate.index, codes.index]]
    for first in range(0, last, step):
        after = min(first + step, last)
        found = read_elements(cores, pair, first * width, (after - first) * width, options)
        yield first, after, found[:, 1], found[:, 0]
