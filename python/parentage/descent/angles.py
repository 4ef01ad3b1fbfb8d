"""Angles between checkpoints as points: where the lines between relatives meet.

Trainings that start from one checkpoint are near orthogonal to each other, and so are the legs of
trainings that follow each other, seen from the checkpoint in their middle. So of three relatives
the one at which the other two are seen at a right angle, or a wider one, is where their lines meet.
Seen from either of the others, the two lie in one direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.support import Floats


@dataclass(frozen=True)
class Angles:
    """Angles between N checkpoints and the child, over matrices."""

    names: tuple[str, ...]
    """N checkpoints, the base first; the child is called by ``child``."""
    child: str
    gram: Floats
    """(M, N, N) inner products of displacements from the base of M matrices, the child's last."""
    weights: NDArray[np.float64]
    """(M,) their elements."""

    def cosine(self, vertex: str, one: str, other: str) -> float:
        """Return the cosine of the angle at ``vertex`` between the lines to two others.

        The median over matrices, by their elements, so that a few of them decide nothing. NaN where
        two of the three are nowhere different.
        """
        product = self._product(vertex, one, other)
        lengths = self._product(vertex, one, one) * self._product(vertex, other, other)
        is_known = lengths > 0
        if not is_known.any():
            return float("nan")
        found = product[is_known] / np.sqrt(lengths[is_known])
        return weighted_median(found, self.weights[is_known])

    def excess(self, vertex: str, one: str, other: str) -> float:
        """Return by how many standard deviations the lines at ``vertex`` are no right angle.

        As if one of them were noise, independent of the other in every element. NaN without any.
        """
        product = self._product(vertex, one, other)
        lengths = self._product(vertex, one, one) * self._product(vertex, other, other)
        variance = float((lengths / np.maximum(self.weights, 1.0)).sum())
        return float(product.sum()) / variance**0.5 if variance > 0 else float("nan")

    def _product(self, vertex: str, one: str, other: str) -> Floats:
        """Return (M,) inner products of the differences of two of them from a third."""
        return (
            self._inner(one, other)
            - self._inner(vertex, one)
            - self._inner(vertex, other)
            + self._inner(vertex, vertex)
        )

    def _inner(self, one: str, other: str) -> Floats:
        """Return (M,) inner products of the displacements of two of them from the base."""
        places = []
        for name in (one, other):
            place = len(self.names) if name == self.child else self.names.index(name)
            if place == 0:
                return np.zeros(len(self.gram))
            places.append(place - 1)
        inner: Floats = self.gram[:, places[0], places[1]]
        return inner


def weighted_median(values: Floats, weights: Floats) -> float:
    """Return the least of the values (n,) up to which half of the weights (n,) lie.

    >>> weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0]))
    2.0
    """
    order = np.argsort(values, kind="stable")
    half = np.cumsum(weights[order]) >= weights.sum() / 2.0
    return float(values[order][int(half.argmax())])
