"""Which elements a sketch holds: runs at places that names and shapes alone decide.

Any two sketches of one architecture hold the same elements, whoever made them and of whatever
dtype; of two sizes, the smaller one's are nearly all the larger one's. Nothing is drawn at random.

A *template* is a name with its numbers left out; its tensors share what it may have of the size.
Templates share evenly, as far as they have enough, and vectors take an eighth of what matrices do.
A tensor has an *anchor* every :data:`LONGEST` elements, at the beginning of a row where rows are no
longer; a run begins at an anchor. Which anchor comes first, second and so on is an order that a
hash of the end of the name and of the shape decides, the same in all layers; which tensors of a
template come first is the order that spreads them most evenly. Names that begin otherwise give the
same places.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.checkpoint import common_name, context_of, dtype_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from parentage.checkpoint import Tensor

LONGEST = 1 << 15
"""Elements of the longest runs, 64 KiB of two bytes each: what a content-addressed store sends for
any smaller one as well."""

SHORTEST = 1 << 12
"""Elements of the shortest."""

RUNS = 2
"""Runs that a template is to have at least, for them to be long."""

OF_VECTORS = 0.125
"""What a template of vectors may take, as a share of that of matrices: norms tell little."""

_NUMBERS = re.compile(r"\d+")


class Outline(NamedTuple):
    """A tensor of the whole checkpoint: its name, dtype and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class Place:
    """Rows of a tensor that a sketch holds, of all its elements cut into rows of ``width``."""

    shape: tuple[int, ...]
    """Of the whole tensor."""
    width: int
    rows: tuple[int, ...]
    """Ascending."""

    @property
    def elements(self) -> int:
        """Elements of those rows."""
        return self.width * len(self.rows)

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the tensor."""
        return self.elements == prod(self.shape)

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """The shape of what is held: that of the tensor, or rows by ``width``; one of vectors."""
        if self.is_whole:
            return self.shape
        return (self.elements,) if is_vector(self.shape) else (len(self.rows), self.width)

    @property
    def runs(self) -> list[tuple[int, int]]:
        """The first and the one past the last of rows that follow each other.

        >>> Place((8, 2), 2, (1, 2, 5)).runs
        [(1, 3), (5, 6)]
        """
        groups = groupby(enumerate(self.rows), key=lambda each: each[1] - each[0])
        spans = [[row for _, row in group] for _, group in groups]
        return [(span[0], span[-1] + 1) for span in spans]

    def finer(self, width: int) -> Place:
        """Return the same elements in rows of ``width``, which divides its own."""
        if width == self.width:
            return self
        parts = self.width // width
        rows = (row * parts + part for row in self.rows for part in range(parts))
        return Place(self.shape, width, tuple(rows))

    def common(self, other: Place) -> Place | None:
        """Return what both hold; ``None`` if that is nothing.

        >>> Place((8, 2), 2, (1, 2, 5)).common(Place((8, 2), 2, (2, 5, 7)))
        Place(shape=(8, 2), width=2, rows=(2, 5))
        """
        if self.shape != other.shape:
            return None
        width = min(self.width, other.width)
        if max(self.width, other.width) % width:
            return None
        mine, theirs = self.finer(width), other.finer(width)
        both = sorted(set(mine.rows) & set(theirs.rows))
        return Place(self.shape, width, tuple(both)) if both else None


def is_vector(shape: Sequence[int]) -> bool:
    """Return whether fewer than two dimensions have more than one element."""
    return sum(size > 1 for size in shape) < 2


def outlines(tensors: Iterable[Tensor]) -> list[Outline]:
    """Return tensors as a sketch lists them."""
    return [Outline(each.name, each.dtype, tuple(each.shape)) for each in tensors]


def places_of_sketch(tensors: Sequence[Outline], elements: int, seed: str = "") -> dict[str, Place]:
    """Return what a sketch of about so many elements holds of tensors, by name.

    With a ``seed``, anchors come in an order that it draws, and nobody knows which without it.

    Tensors without a fraction are left out: integers are copies or differ, and are mostly computed.
    """
    context = context_of([each.name for each in tensors])
    templates: dict[str, list[tuple[str, Outline]]] = {}
    for each in tensors:
        if each.elements and dtype_class(each.dtype) == "float" and each.dtype != "F8_E8M0":
            common = common_name(each.name, context)
            key = f"{_NUMBERS.sub('#', common)} {each.shape}"
            templates.setdefault(key, []).append((common, each))
    if not templates:
        return {}
    members = [
        sorted(found, key=lambda each: natural_order(each[0])) for found in templates.values()
    ]
    sizes = [sum(each.elements for _, each in found) for found in members]
    weights = [OF_VECTORS if is_vector(found[0][1].shape) else 1.0 for found in members]
    shares = _shared(sizes, weights, elements)
    full = [
        share
        for share, size, weight in zip(shares, sizes, weights, strict=True)
        if share < size and weight == 1.0
    ]
    length = LONGEST
    while length > SHORTEST and full and min(full) < RUNS * length:
        length //= 2
    out: dict[str, Place] = {}
    for found, share in zip(members, shares, strict=True):
        out |= _of_template(found, share, length, seed)
    return out


def natural_order(name: str) -> tuple[object, ...]:
    """Return what sorts names by their numbers."""
    return (tuple(map(int, _NUMBERS.findall(name))), name)


def _shared(sizes: Sequence[int], weights: Sequence[float], total: int) -> list[int]:
    """Return what each takes of a total, by weight, and none more than its size.

    >>> _shared([10, 100, 100], [1.0, 1.0, 1.0], 90), _shared([10, 10], [1.0, 1.0], 90)
    ([10, 40, 40], [10, 10])
    """
    out = [0] * len(sizes)
    left, heavy = float(total), sum(weights)
    for index in sorted(range(len(sizes)), key=lambda i: sizes[i] / weights[i]):
        out[index] = min(sizes[index], int(left * weights[index] / heavy + 1e-9))
        left -= out[index]
        heavy -= weights[index]
    return out


def _of_template(
    members: Sequence[tuple[str, Outline]], share: int, length: int, seed: str
) -> dict[str, Place]:
    """Return what is held of the tensors of one template, all of one shape."""
    shape = members[0][1].shape
    size = prod(shape)
    if share >= size * len(members) or not shape:
        width = _width(shape, length)
        rows = tuple(range(size // width)) if size % width == 0 else (0,)
        whole = Place(shape, width if size % width == 0 else size, rows)
        return {each.name: whole for _, each in members}
    width, per_anchor, per_run, anchors = _cut(shape, length)
    cost = min(width * per_run, size)
    wanted = max(1, share // cost)
    # Templates begin at different layers, so that few runs are in many of them.
    first = _seed(_NUMBERS.sub("#", members[0][0]), shape, seed) % len(members)
    order = [(index + first) % len(members) for index in spread(len(members))]
    out: dict[str, Place] = {}
    for rank, index in enumerate(order):
        count = min(anchors, -(-(wanted - rank) // len(members)))
        if count <= 0:
            continue
        common, each = members[index]
        taken = [
            anchor * per_anchor + row
            for anchor in _order(common, shape, anchors, seed)[:count].tolist()
            for row in range(per_run)
        ]
        last = size // width
        out[each.name] = Place(shape, width, tuple(sorted(row for row in taken if row < last)))
    return out


def _width(shape: tuple[int, ...], length: int) -> int:
    """Return elements of a row that is read by itself: one of the tensor, unless that is long."""
    return shape[-1] if shape and shape[-1] <= LONGEST else length


def _cut(shape: tuple[int, ...], length: int) -> tuple[int, int, int, int]:
    """Return the width of a row, rows from anchor to anchor, rows of a run, and anchors.

    >>> _cut((4096, 4096), 8192), _cut((100, 65536), 8192)
    ((4096, 8, 2, 512), (8192, 4, 1, 200))
    """
    width, size = _width(shape, length), prod(shape)
    per_anchor = max(1, LONGEST // width)
    per_run = max(1, length // width)
    return width, per_anchor, per_run, max(1, -(-(size // width) // per_anchor))


def spread(count: int) -> list[int]:
    """Return 0 to ``count`` - 1 in an order of which any beginning is spread evenly.

    Van der Corput's sequence in base 2, of which what is too large is left out.

    >>> spread(6)
    [0, 4, 2, 1, 5, 3]
    """
    bits = max(1, (count - 1).bit_length())
    order = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [index for index in order if index < count]


def _order(common: str, shape: tuple[int, ...], anchors: int, seed: str = "") -> NDArray[np.intp]:
    """Return the order in which anchors are taken: by a hash of the name's end and the shape.

    The finaliser of SplitMix64 (Steele et al. 2014) of their numbers, from a seed of SHA-256.
    """
    begin = np.uint64(_seed(common, shape, seed))
    state = (np.arange(anchors, dtype=np.uint64) ^ begin) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(state ^ (state >> np.uint64(31)), kind="stable")


def _seed(common: str, shape: tuple[int, ...], seed: str = "") -> int:
    """Return a number from 0 to 2^64 - 1 of the end of a name without numbers, and a shape.

    Layers hold the same rows, so that one can be told to be another one.
    """
    end = ".".join(common.split(".")[-2:])
    said = f"{_NUMBERS.sub('#', end)} {list(shape)}{seed and f' {seed}'}".encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "little")


def first_anchor(common: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return elements of a row of a tensor, and the row of the anchor that comes first."""
    width, per_anchor, _, anchors = _cut(shape, SHORTEST)
    return width, int(_order(common, shape, anchors)[0]) * per_anchor
