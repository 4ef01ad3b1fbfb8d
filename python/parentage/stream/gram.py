"""Sufficient statistics of slices: what a pass returns, and how it adds up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.stream.backend import SliceSums
    from parentage.support import Counts, Floats

MEMBERS = 8
"""Slices of a group from which on it is quicker to add them up as a table of their own."""


@dataclass(frozen=True, slots=True)
class Gram:
    """Gram matrices and counters of S slices, or of S groups of slices.

    C columns: the base, parents and controls as displacements from it, and the child's
    displacement. Everything adds up over slices.
    """

    n: Counts
    """(S,) elements."""
    blocks: Floats
    """(S, B, C, C) Gram matrices of B equal blocks of each slice, in squared weight units."""
    energy: Floats
    """(S,) rounding energy: the sum of ulp(c)^2 / 12 over the child, in squared weight units."""
    excluded: Counts
    """(S,) elements not finite in some column; they take no part in ``blocks``."""
    moved: Counts
    """(S,) elements where a parent or control differs from the base."""
    stray: Counts
    """(S,) elements where none does, and the child differs from the base."""
    equal: Counts
    """(S, C - 1) elements whose value, cast to the child's dtype, has the child's bits."""
    nan: Counts
    """(S, C) NaN values."""
    inf: Counts
    """(S, C) infinite values."""
    histogram: Counts
    """(S, C - 2, BINS) sampled displacements in units of the child's last place."""
    precision: Counts
    """(S,) most significand bits of a sampled value of the child, the first not counted. The one
    field that does not add up: groups have the largest of their slices."""
    bias: Floats
    """(S, C - 2, WEIGHTS + 1) over sampled elements, what rounding adds to the inner product of a
    blend with its parent for each simulated weight, and last the parent's energy."""
    squares: Floats
    """(S, C - 2) squared inner products of displacements with the child's, summed over blocks."""
    used: Floats
    """(S,) elements that ``blocks`` and ``energy`` stand for: those that are finite, and of a
    sample as many as there are for each that was read."""

    @classmethod
    def from_core(cls, n: Counts, statistics: SliceSums) -> Gram:
        """Take over what the core returned for slices of ``n`` elements each."""
        blocks = unpack(statistics.gram)
        return cls(
            n,
            blocks,
            statistics.energy,
            statistics.excluded,
            statistics.moved,
            statistics.stray,
            statistics.equal,
            statistics.nan,
            statistics.inf,
            statistics.histogram,
            statistics.precision,
            statistics.bias,
            squares_of(blocks),
            (n - statistics.excluded).astype(np.float64),
        )

    @classmethod
    def zeros(cls, groups: int, columns: int) -> Gram:
        """Return sums over no slices at all, for :meth:`add`."""
        shapes: dict[str, tuple[int, ...]] = {
            "blocks": (_core.BLOCKS, columns, columns),
            "equal": (columns - 1,),
            "nan": (columns,),
            "inf": (columns,),
            "histogram": (columns - 2, _core.BINS),
            "bias": (columns - 2, _core.WEIGHTS + 1),
            "squares": (columns - 2,),
        }
        floats = ("blocks", "energy", "bias", "squares", "used")
        zeros: dict[str, Any] = {
            each.name: np.zeros(
                (groups, *shapes.get(each.name, ())),
                np.float64 if each.name in floats else np.uint64,
            )
            for each in fields(cls)
        }
        return cls(**zeros)

    def select(self, rows: slice) -> Gram:
        """Return some of the slices or groups."""
        return Gram(*(getattr(self, each.name)[rows] for each in fields(self)))

    def add(self, part: Gram, labels: Sequence[int] | NDArray[np.intp]) -> None:
        """Add the slices of ``part``, in order, each to the group that ``labels`` names."""
        index = np.asarray(labels, dtype=np.intp)
        groups = np.unique(index)
        is_scattered = MEMBERS * len(groups) > len(index)
        for each in fields(self):
            ufunc = np.maximum if each.name == "precision" else np.add
            total, added = getattr(self, each.name), getattr(part, each.name)
            if added.ndim == 1 or is_scattered:
                ufunc.at(total, index, added)
                continue
            for group in groups:
                # One after the other, from the sum so far: the order that the bits depend on.
                rows = added[index == group]
                rows = rows.reshape(len(rows), added[0].size)
                first = total[group].reshape(1, -1)
                total[group] = _last(np.concatenate([first, rows])).reshape(total[group].shape)

    @property
    def total(self) -> Floats:
        """(S, C, C) Gram matrices of whole slices: the blocks, added in order."""
        total = np.zeros_like(self.blocks[:, 0])
        for block in range(self.blocks.shape[1]):
            total += self.blocks[:, block]
        return total


def _last(terms: NDArray[Any]) -> NDArray[Any]:
    """Return the sum of (n, m) terms along the first axis, one after the other."""
    # Counts are exact in any order.
    is_exact = terms.dtype == np.uint64
    out: NDArray[Any] = terms.sum(axis=0) if is_exact else np.add.accumulate(terms, axis=0)[-1]
    return out


def squares_of(blocks: Floats) -> Floats:
    """Return :attr:`Gram.squares` of (S, B, C, C) ``blocks``."""
    with np.errstate(over="ignore"):
        squares: Floats = np.sum(blocks[:, :, 1:-1, -1] ** 2, axis=1)
    return squares


def unpack(packed: Floats) -> Floats:
    """Return symmetric (..., C, C) matrices of upper triangles (..., C (C + 1) / 2) by rows.

    >>> unpack(np.array([1.0, 2.0, 3.0])).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    columns = int((2 * packed.shape[-1] + 0.25) ** 0.5)
    rows, cols = np.triu_indices(columns)
    full = np.empty((*packed.shape[:-1], columns, columns))
    full[..., rows, cols] = packed
    full[..., cols, rows] = packed
    return full


def diagonal(a: Floats) -> Floats:
    """Return (..., C) the diagonals of (..., C, C) matrices."""
    return np.diagonal(a, axis1=-2, axis2=-1)


def cosines(gram: Floats) -> Floats:
    """Return (S, C - 1) cosines of columns 0 .. C - 2 with the child's displacement."""
    norms = np.sqrt(diagonal(gram))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = gram[:, :-1, -1] / (norms[:, :-1] * norms[:, -1:])
    out: Floats = np.clip(value, -1.0, 1.0)
    return out


def likeness(gram: Floats) -> Floats:
    """Return (S, C - 1) cosines of base, parents and controls with the child, as weights."""
    change = np.eye(gram.shape[-1])
    change[1:, 0] = 1.0
    return cosines(change @ gram @ change.T)
