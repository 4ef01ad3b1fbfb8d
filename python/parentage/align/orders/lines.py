"""Rows and columns of matrices in another order: which of another's each of the child's is."""

from __future__ import annotations

from math import gcd, prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.orders.matching import NONE, exchanged, least_alike, matched
from parentage.align.orders.reading import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

ELEMENTS = 256
"""Elements of each row that are looked at, the first; and of each column, in rows evenly spread."""

DECIDED = 0.9
"""Least share of rows or columns that values have to decide on, for an order to be one: what
changes half of them, as signs do, is no order."""

PROBES = 16
"""Rows that are looked for among all before all are."""

FOUND = 4
"""Of these, those that have to be found."""


class Lines(NamedTuple):
    """The order of rows or columns of a matrix, where it is not that of the child."""

    is_rows: bool
    sources: tuple[int | None, ...]
    """By row or column of the child, that of the other; ``None`` where values do not decide."""
    there: int
    """Rows or columns that the other has."""

    @property
    def filled(self) -> tuple[int, ...]:
        """The order with something everywhere.

        What values do not decide is compared with its own number if no other is that, and else with
        those that none is, in their order.
        """
        taken = {each for each in self.sources if each is not None}
        at_home = {i for i, each in enumerate(self.sources) if each is None and i < self.there}
        free = iter([i for i in range(self.there) if i not in taken | at_home])
        return tuple(
            each
            if each is not None
            else (i if i in at_home and i not in taken else next(free, min(i, self.there - 1)))
            for i, each in enumerate(self.sources)
        )


def row_width(tensor: Tensor) -> int:
    """Return the elements of one index of the first dimension."""
    return prod(tensor.shape[1:])


def rows_read(
    checkpoint: Checkpoint, tensor: Tensor, rows: Sequence[int], count: int, options: Options
) -> Floats:
    """Return (rows, count) the first elements of some rows of a matrix."""
    width = row_width(tensor)
    return runs(checkpoint, [(tensor.index, row * width) for row in rows], count, options)


def lines_of(
    child: Checkpoint, other: Checkpoint, mine: Tensor, theirs: Tensor, options: Options
) -> Lines | None:
    """Return the order of the rows of a matrix, or else of its columns, if there is one to tell."""
    rows = _row_order(child, other, mine, theirs, options)
    if rows is not None or len(mine.shape) != 2 or mine.shape[0] != theirs.shape[0]:
        return rows
    return _column_order(child, other, mine, theirs, options)


def _row_order(
    child: Checkpoint, other: Checkpoint, mine: Tensor, theirs: Tensor, options: Options
) -> Lines | None:
    """Return the order of rows, each matched by its first elements."""
    width = min(row_width(mine), ELEMENTS)
    least = least_alike(width)
    if least > 1.0:
        return None
    yours = rows_read(other, theirs, range(theirs.shape[0]), width, options)
    probed = spread(mine.shape[0], PROBES)
    probes = rows_read(child, mine, probed, width, options)
    if (matched(probes, yours, least) != NONE).sum() < min(FOUND, len(probed)):
        return None
    values = rows_read(child, mine, range(mine.shape[0]), width, options)
    return _order(values, yours, least, is_rows=True)


def _column_order(
    child: Checkpoint, other: Checkpoint, mine: Tensor, theirs: Tensor, options: Options
) -> Lines | None:
    """Return the order of columns, each matched by its elements in some rows."""
    rows = spread(mine.shape[0], ELEMENTS)
    least = least_alike(len(rows))
    if least > 1.0:
        return None
    one = rows_read(child, mine, rows, mine.shape[1], options).T
    two = rows_read(other, theirs, rows, theirs.shape[1], options).T
    probed = spread(len(one), PROBES)
    found = matched(one[probed], two, least)
    if (found != NONE).sum() < min(FOUND, len(probed)):
        return None
    return _order(one, two, least, is_rows=False)


def _order(mine: Floats, theirs: Floats, least: float, *, is_rows: bool) -> Lines | None:
    """Return an order if values decide on enough of it, and it is not the plain one."""
    home, count = np.arange(len(mine)), len(theirs)
    found = exchanged(matched(mine, theirs, least, home), mine, theirs)
    decided = found != NONE
    is_plain = len(found) == count and (found[decided] == home[decided]).all()
    if is_plain or decided.mean() < DECIDED:
        return None
    sources = tuple(None if each == NONE else each for each in found.tolist())
    return Lines(is_rows, sources, count)


def spread(count: int, most: int) -> list[int]:
    """Return numbers below ``count``, evenly spread, at most so many.

    >>> spread(10, 4), spread(3, 8)
    ([0, 2, 5, 7], [0, 1, 2])
    """
    if count <= most:
        return list(range(count))
    return [number * count // most for number in range(most)]


def block_of_order(sources: Sequence[int | None]) -> int:
    """Return how many lines at least stay together, in blocks of one size that begin at multiples.

    >>> block_of_order((4, 5, 6, 7, 0, 1, 2, 3)), block_of_order((1, 0, 2, 3))
    (4, 1)
    """
    size = len(sources)
    block = size
    for i, each in enumerate(sources):
        if each is None:
            continue
        following = sources[i + 1] if i + 1 < size else None
        if following is not None and following != each + 1:
            block = gcd(block, i + 1)
        # A block that begins at i begins there at a multiple as well.
        block = gcd(block, abs(each - i)) if each != i else block
    return max(block, 1)


def blocks_of(sources: Sequence[int | None], block: int) -> tuple[int | None, ...]:
    """Return the order of blocks of lines.

    >>> blocks_of((4, 5, 6, 7, 0, 1, 2, 3), 2)
    (2, 3, 0, 1)
    """
    out: list[int | None] = []
    for first in range(0, len(sources), block):
        known = [
            (each - i) // block
            for i, each in enumerate(sources[first : first + block])
            if each is not None
        ]
        out.append(known[0] if known else None)
    return tuple(out)
