"""Orders of elements that strides say: transposed, every other, head by head."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from parentage.checkpoint import Coding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.checkpoint import Checkpoint, Tensor

    Shape = tuple[int, ...]


class Piece(NamedTuple):
    """Elements of a tensor that are a tensor of their own elsewhere."""

    name: str
    first: int
    """First element."""
    shape: Shape
    sizes: Shape = ()
    """How many there are along each stride, the slowest first; empty if they are consecutive."""
    strides: Shape = ()
    """Elements from one to the next, of each."""
    rows: Shape = ()
    """Which row each row is, if strides do not say it."""
    shift: float = 0.0
    """What is added to each; only to all elements of a tensor, in order."""

    @property
    def is_consecutive(self) -> bool:
        """Whether its elements follow one another.

        >>> Piece("a", 0, (4,), (2, 2), (2, 1)).is_consecutive
        True
        >>> Piece("a", 0, (4,), (2, 2), (1, 2)).is_consecutive
        False
        """
        if self.rows or self.shift:
            return False
        step = 1
        for size, stride in zip(reversed(self.sizes), reversed(self.strides), strict=True):
            if size != 1 and stride != step:
                return False
            step *= size
        return True

    @property
    def simplest(self) -> Piece:
        """The same without strides, if its elements follow one another."""
        return self._replace(sizes=(), strides=()) if self.is_consecutive else self


class Reading(NamedTuple):
    """One way to take a tensor apart, or to read it in another order."""

    pieces: tuple[Piece, ...]
    order: str = ""
    """What is said of it; empty if pieces lie one behind the other."""


def seen(tensor: Tensor, piece: Piece, name: str, place: int) -> tuple[Tensor, Coding | None]:
    """Return a piece as a tensor, and what computes it if its elements do not follow one another.

    ``place`` is what that coding will be called.
    """
    count = prod(piece.shape)
    if count == tensor.elements and piece.is_consecutive:
        # Elements of less than a byte as well.
        return tensor._replace(name=name, shape=piece.shape), None
    width = (tensor.end - tensor.begin) // tensor.elements
    if not (piece.sizes or piece.rows or piece.shift) or piece.is_consecutive:
        begin = tensor.begin + piece.first * width
        end = begin + count * width
        return tensor._replace(name=name, shape=piece.shape, begin=begin, end=end), None
    if piece.shift:
        shifted = Coding.shift(tensor.window, piece.shift)
        return tensor._replace(
            name=name, dtype="F32", shape=piece.shape, shard=place, begin=0, end=4 * count
        ), shifted
    coding = (
        Coding.gather(tensor.window, prod(piece.shape[1:]), piece.rows)
        if piece.rows
        else Coding.strided(tensor.window, piece.sizes, piece.strides, piece.first)
    )
    said = tensor._replace(name=name, shape=piece.shape, shard=place, begin=0, end=count * width)
    return said, coding


class Composed:
    """The tensors of a view of a checkpoint, as they are put together of pieces."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Begin a view of ``checkpoint`` without tensors."""
        self._checkpoint = checkpoint
        self._tensors: list[Tensor] = []
        self._codings: list[Coding] = []

    def keep(self, tensor: Tensor) -> None:
        """Add a tensor as it lies."""
        self._tensors.append(tensor)

    def add(self, tensor: Tensor, piece: Piece, name: str) -> None:
        """Add a piece of a tensor, under a name."""
        place = self._checkpoint.places + len(self._codings)
        found, coding = seen(tensor, piece, name, place)
        self._tensors.append(found)
        if coding is not None:
            self._codings.append(coding)

    def view(self) -> Checkpoint:
        """Return the view of what was added.

        Raises
        ------
        CheckpointError
            As :meth:`parentage.checkpoint.Checkpoint.seen_as`.
        """
        return self._checkpoint.seen_as(self._tensors, self._codings)


def strides_of(shape: Shape) -> Shape:
    """Return elements from one index to the next, of every dimension.

    >>> strides_of((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def transposed(name: str, shape: Shape) -> Piece:
    """Return all of a matrix, or of a stack of them, with its last two dimensions exchanged.

    >>> transposed("a", (2, 3))
    Piece(name='a', first=0, shape=(3, 2), sizes=(3, 2), strides=(1, 3), rows=(), shift=0.0)
    """
    order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    strides = strides_of(shape)
    sizes = tuple(shape[axis] for axis in order)
    return Piece(name, 0, sizes, sizes, tuple(strides[axis] for axis in order)).simplest


def heads_of(rows: int) -> Iterator[int]:
    """Yield the sizes that heads of a projection of so many rows may have.

    >>> list(heads_of(24))
    [2, 4, 6, 8, 12, 24]
    """
    for size in range(2, min(rows, MOST_HEAD) + 1, 2):
        if rows % size == 0 and (size <= SMALL_HEAD or size % 8 == 0):
            yield size


SMALL_HEAD = 32
"""Sizes up to which heads may have any even one; larger ones are multiples of 8."""

MOST_HEAD = 512
"""The size of the largest heads that are known."""


def rotary(name: str, shape: Shape) -> Iterator[Reading]:
    """Yield how rows of a query's or key's projection lie in the other order of rotary pairs.

    Meta and ggml rotate neighbours, (head, pair, which of two); transformers rotates halves, (head,
    which of two, pair): ``convert_llama_weights_to_hf.py`` permutes the one to the other, and
    ``LlamaModel.permute`` of ``convert_hf_to_gguf.py`` back.
    """
    width = prod(shape[1:])
    for head in heads_of(shape[0]):
        half, count = head // 2, shape[0] // head
        if half == 1:
            continue
        for sizes, strides in (
            ((count, 2, half, width), (head, 1, 2)),
            ((count, half, 2, width), (head, 1, half)),
        ):
            steps = (*(each * width for each in strides), 1)
            piece = Piece(name, 0, shape, sizes, steps)
            yield Reading((piece,), f"rotary pairs of heads of {head} in the other order")


def halves_exchanged(name: str, shape: Shape) -> Reading:
    """Return how rows lie whose halves have changed places.

    >>> halves_exchanged("a", (4, 3)).pieces[0].rows
    (2, 3, 0, 1)
    """
    half = shape[0] // 2
    rows = (*range(half, shape[0]), *range(half))
    return Reading((Piece(name, 0, shape, rows=rows),), "halves exchanged")
