"""Sampled values of every checkpoint and of the child, with the rounding that each of them has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import digits_of, half_cells, narrowest, to_bf16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise import SampleEstimates
    from parentage.support import Floats

MOST = 1 << 15
"""Elements that are looked at: shares are known to a percent, and better near 0 and 1."""


@dataclass(frozen=True)
class Points:
    """n sampled elements of N checkpoints and the child, all finite."""

    values: Floats
    """(n, N + 1), the child's last."""
    owner: NDArray[np.intp]
    """(n,) the slice of each element."""
    dtypes: tuple[NDArray[np.str_], ...]
    """N + 1 arrays (S,): the dtype whose rounding each slice has, of every checkpoint, the child's
    last. It is narrower than the one it is stored in where all sampled values fit in it."""

    def cells(self, column: int, rows: NDArray[np.bool_] | None = None) -> tuple[Floats, Floats]:
        """Return how far the rounding cells of a checkpoint's values reach, down and up, (n,).

        ``rows`` (n,) are the elements that are asked for, if not all.
        """
        values, owner = self.values[:, column], self.owner
        if rows is not None:
            values, owner = values[rows], owner[rows]
        below, above = np.zeros(len(values)), np.zeros(len(values))
        kinds = self.dtypes[column][owner]
        for dtype in np.unique(kinds):
            chosen = kinds == dtype
            below[chosen], above[chosen] = half_cells(values[chosen], str(dtype))
        return below, above

    def digits(self, column: int) -> int:
        """Return the bits of the significand that most of a checkpoint's elements are rounded to.

        0 where there are no elements.
        """
        kinds, counts = np.unique(self.dtypes[column][self.owner], return_counts=True)
        return (digits_of(str(kinds[counts.argmax()])) or 0) if len(kinds) else 0


def points_of(estimates: SampleEstimates) -> Points:
    """Return the elements of a search sample that are finite in every checkpoint."""
    sample = estimates.small
    values, owner = sample.elements, sample.element_owner
    if len(values) > MOST:
        kept = np.arange(MOST) * len(values) // MOST
        values, owner = values[kept], owner[kept]
    finite = np.isfinite(values).all(axis=1)
    values, owner = values[finite], owner[finite]
    stored = estimates.stored_dtypes
    dtypes = tuple(
        _rounded(values[:, column], owner, stored[column]) for column in range(values.shape[1])
    )
    return Points(values, owner, dtypes)


def _rounded(values: Floats, owner: NDArray[np.intp], stored: Sequence[str]) -> NDArray[np.str_]:
    """Return (S,) the dtypes that a checkpoint's slices are rounded to.

    All slices stored in one dtype are taken together: one of ones alone does not tell.
    """
    names = np.array(stored)
    for dtype in ("F32", "F64"):
        held = values[(names == dtype)[owner]]
        if len(held):
            names = np.where(names == dtype, _narrowest(held, dtype), names)
    return names


def _narrowest(values: Floats, stored: str) -> str:
    """Return the narrowest dtype that holds all values, of those that are wide enough to matter."""
    if bool((to_bf16(values) == values).all()):
        return narrowest(7)
    with np.errstate(over="ignore"):
        if bool((values.astype(np.float16).astype(np.float64) == values).all()):
            return narrowest(10)
        if bool((values.astype(np.float32).astype(np.float64) == values).all()):
            return narrowest(23)
    return stored
