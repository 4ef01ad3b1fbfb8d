"""What a change of basis leaves as it is: numbers without their order, and products of rows.

Signs, an order of neurons or dimensions, or a rotation of the residual stream change every matrix
of a model and not the function. Compared element by element, nothing is alike then.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_matrix, is_replayed

if TYPE_CHECKING:
    from collections.abc import Callable

    from parentage.hypothesise import SampleEstimates
    from parentage.support import Floats

MATRICES = 6
"""Matrices of layers that are looked at, the smallest: more are like them."""

MOST_ELEMENTS = 1 << 20
"""Elements of a matrix up to which it is read."""

ROWS = 192
"""Rows, and columns, whose products are compared."""


@dataclass(frozen=True, slots=True)
class Invariants:
    """What the matrices of the child and of one checkpoint share, whatever the basis."""

    name: str
    matrices: int
    """Matrices that were looked at."""
    same_numbers: int
    """Those with the same numbers, signs and order apart, bit for bit."""
    cosine: float
    """Median, over matrices, of the larger cosine between products of rows, or of columns."""


def invariants_of(view: SampleEstimates) -> Callable[[], Invariants | None]:
    """Return what finds the checkpoint that shares the most with the child; ``None`` without."""
    telling = is_matrix(view.slices)
    chosen = [
        i
        for i, each in enumerate(view.slices)
        if telling[i]
        and is_replayed(each)
        # Rows of embeddings are alike wherever the vocabulary is.
        and (each.layer is not None or each.component not in ("embed", "head"))
        and min(each.shape) >= 16
        and each.elements <= MOST_ELEMENTS
    ]
    chosen.sort(key=lambda i: (view.slices[i].elements, i))

    def found() -> Invariants | None:
        names = view.columns.names
        same = np.zeros(len(names), dtype=int)
        cosines: list[list[float]] = []
        for index in chosen[:MATRICES]:
            values = view.whole(index, range(len(names)))
            shape = (-1, view.slices[index].shape[-1])
            child = values[:, -1]
            ordered = np.sort(np.abs(child))
            row = []
            for i in range(len(names)):
                same[i] += bool(np.array_equal(np.sort(np.abs(values[:, i])), ordered))
                row.append(_cosine(values[:, i].reshape(shape), child.reshape(shape)))
            cosines.append(row)
        if not cosines:
            return None
        middle = np.median(np.array(cosines), axis=0)
        best = max(range(len(names)), key=lambda i: (int(same[i]), float(middle[i])))
        return Invariants(names[best], len(cosines), int(same[best]), float(middle[best]))

    return cache(found)


def _cosine(one: Floats, other: Floats) -> float:
    """Return the larger cosine of the products of two matrices' rows, and of their columns."""
    found = []
    for a, b in ((one, other), (one.T, other.T)):
        a, b = np.nan_to_num(a[:ROWS]), np.nan_to_num(b[:ROWS])
        products = [x @ x.T for x in (a, b)]
        upper = np.triu_indices(len(a), 1)
        x, y = (product[upper] for product in products)
        lengths = float((x * x).sum()) * float((y * y).sum())
        found.append(float((x * y).sum()) / lengths**0.5 if lengths > 0 else 0.0)
    return max(found)
