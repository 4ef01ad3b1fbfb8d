"""Matrices and kernels that take more inputs than another's: some of their columns are common.

A model that is given more channels, as those that paint within a mask are, has its first layer
widened: ``input_blocks.0.0.weight`` has nine channels for four, of which the first four are those
of the model that it was made of (stable-diffusion, ``inpainting``; eight in instruct-pix2pix).
Where the common ones lie, values say.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from parentage.align.layouts.strides import Piece, Reading, strides_of

if TYPE_CHECKING:
    Shape = tuple[int, ...]


def is_widened(shape: Shape, other: Shape) -> bool:
    """Return whether a tensor has more columns than another, and is like it else.

    >>> is_widened((16, 9, 3, 3), (16, 4, 3, 3)), is_widened((16, 4), (8, 4))
    (True, False)
    """
    return (
        len(shape) == len(other) > 1
        and shape[1] > other[1] > 0
        and shape[0] == other[0]
        and shape[2:] == other[2:]
    )


def columns(key: str, label: str, shape: Shape, other: Shape) -> tuple[Reading, ...]:
    """Return how the columns of ``other`` may lie in a tensor that is widened: first, or last.

    The first piece of each reading is what both have, called ``key``; the other is the rest, which
    is called by ``label``.

    >>> [[piece.name for piece in each.pieces] for each in columns("w", "w", (8, 9), (8, 4))]
    [['w', 'w[:, 4:9]'], ['w', 'w[:, :5]']]
    """
    common, most = other[1], shape[1]
    inner, step = prod(shape[2:]), strides_of(shape)[0]

    def piece(name: str, first: int, last: int) -> Piece:
        size = (shape[0], last - first, *shape[2:])
        sizes = (shape[0], (last - first) * inner)
        return Piece(name, first * inner, size, sizes, (step, 1)).simplest

    rest = most - common
    first = (piece(key, 0, common), piece(f"{label}[:, {common}:{most}]", common, most))
    last = (piece(key, rest, most), piece(f"{label}[:, :{rest}]", 0, rest))
    return Reading(first), Reading(last)
