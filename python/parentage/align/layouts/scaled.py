"""Codes that are multiplied by scales: which elements each scale is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import DTYPES

if TYPE_CHECKING:
    from parentage.checkpoint import Tensor
    from parentage.support import Floats

    Shape = tuple[int, ...]

BLOCK = 128
"""Rows and columns of a block where they do not follow from the shapes: DeepSeek-V3's, and those of
transformers' ``finegrained_fp8``."""


def block_of(shape: Shape, scales: Shape) -> tuple[int, int] | None:
    """Return rows and columns of a matrix that one of its scales is for; ``None`` if none fit.

    Scales are one for all, one for each row, or one for each block, of which those at the edges may
    be smaller.

    >>> block_of((300, 256), (3, 2)), block_of((300, 256), (300, 1)), block_of((300, 256), ())
    ((128, 128), (1, 256), (300, 256))
    """
    if len(shape) != 2:
        return None
    rows, columns = shape
    if all(size == 1 for size in scales):
        return rows, columns
    if scales in ((rows,), (rows, 1)):
        return 1, columns
    if len(scales) != 2:
        return None
    for block in (BLOCK, *(2**power for power in range(4, 11))):
        if scales == (-(-rows // block), -(-columns // block)):
            return block, block
    return None


def can_requantise(codes: Tensor, scales: Tensor) -> bool:
    """Return whether it is known how numbers become these codes, given the scales."""
    kind = DTYPES.get(codes.dtype)
    is_code = kind is not None and kind.largest is not None
    return is_code and block_of(codes.shape, scales.shape) is not None


def spread(scales: Floats, block: tuple[int, int], first: int, last: int, width: int) -> Floats:
    """Return (last - first, width) the scale of every element of rows ``first`` to ``last``.

    ``scales`` are (blocks down, blocks across).
    """
    down = np.arange(first, last) // block[0]
    across = np.arange(width) // block[1]
    chosen: Floats = scales[np.ix_(down, across)]
    return chosen
