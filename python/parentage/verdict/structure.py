"""Whether what blends leave of a child has the structure that training leaves, and noise does not.

A gradient of a matrix is a sum of outer products, so what training adds has rows that agree with
one another in sign. What noise adds, or rounding to coarser numbers, has signs that are independent
from row to row, however sizes differ between elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_matrix, is_replayed
from parentage.places import every, units

if TYPE_CHECKING:
    from collections.abc import Callable

    from parentage.hypothesise import SampleEstimates
    from parentage.support import Floats

MATRICES = 16
"""Matrices that are looked at, spread evenly."""

ROWS, COLUMNS = 384, 1024
"""Rows and columns of a matrix whose signs are compared, at most."""

MOST_ELEMENTS = 1 << 20
"""Elements of a matrix that are read, by whole rows."""

LEAST_SIDE = 16
"""Rows and columns from which on a matrix says something."""

RESOLVED = 0.125
"""Units in the last place from which on a residual has a sign: where a child did not move, less is
what a fit of others leaves, and says nothing of the child."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What the difference from the base looks like, beyond what blends by slice explain of it."""

    matrices: int
    """Matrices that were looked at."""
    deviations: float
    """How many standard deviations the agreement of rows in sign is above that of independent
    signs; NaN where no element has one."""
    moved_r2: float
    """Share that the parents' displacements explain of the difference, over the elements where
    there is any: rounding leaves many without, of a blend of little weight. NaN without parents."""


def agreement(values: Floats) -> tuple[float, float]:
    """Return by how much rows of a matrix agree in sign beyond chance, and the variance of that.

    The sum over pairs of rows of the squared inner product of their signs, zeros having none, less
    its mean. Of independent signs, o of which two rows both have, a squared product has mean o and
    variance 2 o (o - 1), and products of different pairs are uncorrelated.

    >>> rng = np.random.default_rng(0)
    >>> beyond, variance = agreement(rng.normal(size=(64, 96)))
    >>> bool(abs(beyond) < 4 * np.sqrt(variance))
    True
    >>> noise = 3 * rng.normal(size=(64, 96))
    >>> beyond, variance = agreement(np.outer(np.ones(64), rng.normal(size=96)) + noise)
    >>> bool(beyond > 8 * np.sqrt(variance))
    True
    """
    signs = np.sign(values)
    products, held = signs @ signs.T, np.abs(signs) @ np.abs(signs).T
    pairs = np.triu_indices(len(signs), 1)
    both = held[pairs]
    beyond = float((products[pairs] ** 2 - both).sum())
    return beyond, float((2.0 * both * (both - 1.0)).sum())


def structure_of(view: SampleEstimates, weights: Floats) -> Callable[[], Structure | None]:
    """Return what finds the structure of what blends leave; ``None`` without matrices.

    ``weights`` (S, parents) are those of the blend of every slice; NaN counts as none.
    """
    telling = is_matrix(view.slices)
    chosen = [
        i
        for i, each in enumerate(view.slices)
        if telling[i] and is_replayed(each) and _side(each.shape) >= LEAST_SIDE
    ]

    def found() -> Structure | None:
        if not chosen:
            return None
        count = weights.shape[1]
        beyond = variance = 0.0
        gram, size = np.zeros((count + 1, count + 1)), 0
        for place in every(len(chosen), MATRICES):
            index = chosen[int(place)]
            moves, unit = _displacements(view, index, count)
            parents, mine = moves[:-1], moves[-1]
            is_moved = mine != 0.0
            cut = moves[:, is_moved]
            gram += cut @ cut.T
            size += cut.shape[1]
            left = mine - np.tensordot(np.nan_to_num(weights[index]), parents, axes=1)
            left = np.where(np.abs(left) < RESOLVED * unit, 0.0, left)
            part = agreement(left)
            beyond, variance = beyond + part[0], variance + part[1]
        deviations = beyond / np.sqrt(variance) if variance > 0 else np.nan
        explained = np.nan
        if count and gram[-1, -1] > 0:
            fitted = np.linalg.lstsq(gram[:-1, :-1], gram[:-1, -1], rcond=None)[0]
            explained = float(fitted @ gram[:-1, -1]) / float(gram[-1, -1])
        looked_at = min(len(chosen), MATRICES)
        return Structure(looked_at, float(deviations), float(explained))

    return cache(found)


def _side(shape: tuple[int, ...]) -> int:
    """Return the smaller side of a slice as a matrix of rows."""
    return min(shape[0], int(np.prod(shape[1:])))


def _displacements(view: SampleEstimates, index: int, count: int) -> tuple[Floats, Floats]:
    """Return (parents + 1, rows, columns) displacements, the child's last, and the base's units.

    Of rows and columns that are spread evenly; what is not finite did not move.
    """
    each = view.slices[index]
    columns = each.elements // each.shape[0]
    rows = min(each.shape[0], ROWS, max(MOST_ELEMENTS // columns, 1))
    values = view.whole(index, range(1 + count), rows * columns)
    table = np.ascontiguousarray(values.T).reshape(count + 2, rows, columns)
    table = table[:, :, every(columns, COLUMNS)]
    moves = table[1:] - table[0]
    moves = np.where(np.isfinite(moves).all(axis=0), moves, 0.0)
    return moves, units(np.nan_to_num(table[0]), each.dtype)
