"""Which of several things another's are: by the cosines of what is read of each.

A pair is taken only where values decide it: the likest is alike, and clearly more so than the next.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.support import Floats

    Indices = NDArray[np.intp]
    Rows = NDArray[np.float32]

LEAST_LIKE = 0.5
"""Least cosine, or correlation, of two things of one origin, be they layers, tensors or rows:
continued training keeps 0.9, strangers have 0.01."""

CHANCE = 7.0
"""Standard deviations of the cosine of independent values that a pair has to exceed: the best of a
million by chance reaches five."""

CLEAR = 0.75
"""Most that the distance (1 - likeness) to the likest is of that to the next that is not its twin.
Strangers have the likest and the next about as far."""

TIE = 1e-5
"""Difference of cosines in float32 up to which two are as like as one another: twins."""

NONE = -1
"""The index of no partner."""

EQUAL = 0.999
"""Least cosine of what several things may be at once: copies. What is merely alike is one's."""

FEW = 0.1
"""Share of things that change places below which each has to be where another came from."""

AT_ONCE = 1 << 22
"""Cosines that are held at once."""

MOST_WORK = 1 << 39
"""Products, at most, that one matching may take: some seconds."""


class Likest(NamedTuple):
    """The likest of T vectors for each of M others."""

    best: Rows
    """(M,) the largest cosine."""
    following: Rows
    """(M,) that of the next that is no twin of it."""
    twins: list[Indices]
    """By row, the columns that are as like as the best."""


def least_alike(elements: int) -> float:
    """Return the least cosine of a pair, where so many elements of each are looked at.

    >>> least_alike(1024), least_alike(64)
    (0.5, 0.875)
    """
    return max(LEAST_LIKE, CHANCE / math.sqrt(max(elements, 1)))


def units(rows: Floats | Rows) -> Rows:
    """Return rows as float32, of length one; of zeros where there is none.

    >>> units(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    wide = np.asarray(rows, dtype=np.float64)
    largest = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(wide, largest, out=np.zeros_like(wide), where=largest > 0.0)
    lengths = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    found: Rows = np.divide(scaled, lengths, out=scaled, where=lengths > 0.0).astype(np.float32)
    return found


def matched(
    mine: Floats | Rows, theirs: Floats | Rows, least: float, home: Indices | None = None
) -> Indices:
    """Return (M,) which of the rows of ``theirs`` each of ``mine`` pairs with.

    It is :data:`NONE` for none. What is at ``home``, (M,) the number of each among ``theirs``,
    stays there unless another is more alike. Of twins, which are as like as one another, what no
    other row has is taken first. Several rows may have one partner: a copy has been made.

    >>> one = np.eye(3)
    >>> matched(one, one[[1, 0]], 0.5).tolist()
    [1, 0, -1]
    >>> matched(one[[0, 0]], one[[0, 0]], 0.5, home=np.arange(2)).tolist()
    [0, 1]
    """
    one, two = units(mine), units(theirs)
    rows, columns = len(one), len(two)
    out = np.full(rows, NONE, dtype=np.intp)
    if not rows or not columns or rows * columns * one.shape[1] > MOST_WORK:
        return out
    found = likest(one, two, least)
    clear = (found.best >= least) & (1.0 - found.best <= CLEAR * (1.0 - found.following))
    taken = np.zeros(columns, dtype=bool)
    for row, among in enumerate(found.twins):
        is_home = home is not None and found.best[row] >= least and home[row] in among
        if home is not None and is_home:
            out[row] = home[row]
            taken[out[row]] = True
        elif clear[row] and len(among) == 1:
            out[row] = among[0]
            taken[out[row]] = True
    for row in np.flatnonzero(clear & (out < 0)).tolist():
        among = found.twins[row]
        free = among[~taken[among]]
        out[row] = free[0] if len(free) else among[0]
        taken[out[row]] = True
    return out


def exchanged(found: Indices, mine: Floats | Rows, theirs: Floats | Rows) -> Indices:
    """Return (M,) partners without those that no change of places explains.

    ``found`` are those of :func:`matched` where each has a place of its own, the same number. Two
    that are alike within a checkpoint may be alike across checkpoints, whatever became of each: so
    one partner is had by several only if they are equal, and what took another's place, where few
    did, has to have left its own to one that is known.

    >>> rows = np.eye(4)
    >>> exchanged(np.array([1, 1, 2, 3]), rows, rows).tolist()
    [-1, 1, 2, 3]
    >>> exchanged(np.array([1, 0, 2, -1]), rows, rows).tolist()
    [1, 0, 2, -1]
    """
    out, home = found.copy(), np.arange(len(found))
    known = np.flatnonzero(out != NONE)
    shared = known[np.bincount(out[known], minlength=1)[out[known]] > 1]
    one, two = units(mine[shared]), units(theirs[out[shared]])
    is_equal = (np.einsum("rn,rn->r", one, two) >= EQUAL) | ~(one.any(axis=1) | two.any(axis=1))
    out[shared[~is_equal & (out[shared] != shared)]] = NONE
    while True:
        moved = np.flatnonzero((out != NONE) & (out != home))
        if not len(moved) or len(moved) >= FEW * len(out):
            return out
        inside = moved[out[moved] < len(out)]
        gone = inside[out[out[inside]] == NONE]
        if not len(gone):
            return out
        out[gone] = NONE


def likest(one: Rows, two: Rows, least: float) -> Likest:
    """Return the likest of the rows of ``two`` for each of ``one``; all are of length one or 0.

    Of what is less like than ``least``, twins are not told.
    """
    best, following = np.zeros(len(one), np.float32), np.zeros(len(one), np.float32)
    twins: list[Indices] = []
    step = max(AT_ONCE // max(len(two), 1), 1)
    for first in range(0, len(one), step):
        alike = one[first : first + step] @ two.T
        top = alike.max(axis=1, initial=-1.0)
        best[first : first + step] = top
        near = alike >= top[:, None] - TIE
        near &= (top >= least)[:, None]
        twins += [np.flatnonzero(row) for row in near]
        alike[near] = -1.0
        following[first : first + step] = alike.max(axis=1, initial=-1.0)
    return Likest(best, following, twins)
