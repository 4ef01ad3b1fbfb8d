"""Small symmetric systems, solved to the same bits on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.stream import diagonal

if TYPE_CHECKING:
    from parentage.support import Floats

SINGULAR = 1e-10
"""Share of a displacement's energy outside the others' span below which they are one parent."""


def solve(a: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Solve S symmetric systems (S, m, m) x = (S, m) by Cholesky, skipping what is dependent.

    Returns the solutions, NaN for a column that is zero or in the span of those before it (its
    share outside is below :data:`SINGULAR`), and the ranks.
    """
    systems, m = right.shape
    scale = np.sqrt(diagonal(a))
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(scale > 0, 1.0 / scale, 0.0)
    a = a * inverse[:, :, None] * inverse[:, None, :]
    lower = np.zeros((systems, m, m))
    forward = np.zeros((systems, m))
    used = np.zeros((systems, m), dtype=bool)
    for j in range(m):
        pivot = a[:, j, j] - summed(lower[:, j, :j] ** 2)
        used[:, j] = pivot > SINGULAR
        root = np.where(used[:, j], np.sqrt(np.clip(pivot, SINGULAR, None)), 1.0)
        lower[:, j, j] = root
        for i in range(j + 1, m):
            below = a[:, i, j] - summed(lower[:, i, :j] * lower[:, j, :j])
            lower[:, i, j] = np.where(used[:, j], below / root, 0.0)
        value = right[:, j] * inverse[:, j] - summed(lower[:, j, :j] * forward[:, :j])
        forward[:, j] = np.where(used[:, j], value / root, 0.0)
    x = np.zeros((systems, m))
    for j in reversed(range(m)):
        value = forward[:, j] - summed(lower[:, j + 1 :, j] * x[:, j + 1 :])
        x[:, j] = np.where(used[:, j], value / lower[:, j, j], 0.0)
    return np.where(used, x * inverse, np.nan), used.sum(axis=1).astype(np.float64)


def inverse_of(a: Floats) -> Floats:
    """Return the inverses (S, m, m) of symmetric matrices, 0 in rows of columns that are skipped.

    >>> inverse_of(np.array([[[4.0, 0.0], [0.0, 16.0]]])).tolist()
    [[[0.25, 0.0], [0.0, 0.0625]]]
    """
    systems, m = a.shape[:2]
    units = [np.tile(unit, (systems, 1)) for unit in np.eye(m)]
    if not units:
        return np.zeros(a.shape)
    return np.stack([np.nan_to_num(solve(a, unit)[0]) for unit in units], axis=2)


def summed(terms: Floats) -> Floats:
    """Sum the last axis term by term, in order."""
    total = np.zeros(terms.shape[:-1])
    for i in range(terms.shape[-1]):
        total = total + terms[..., i]
    return total
