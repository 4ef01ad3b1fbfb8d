"""Slices: the unit of results, and where their elements lie in every checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage import _core
from parentage.checkpoint import dtype_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


UNPAIRED = "unpaired."
"""What is put before names that are paired with none, where the child has them for another."""


class Extent(NamedTuple):
    """Consecutive elements of one tensor of one checkpoint."""

    tensor: int
    start: int
    """First element."""


class Slice(NamedTuple):
    """The unit of results: a tensor, or one leading index (one expert) of a stacked tensor."""

    name: str
    component: str
    layer: int | None
    expert: int | None
    shape: tuple[int, ...]
    dtype: str
    """The child's dtype, by its safetensors name."""
    elements: int
    extents: tuple[Extent, ...]
    """Where the elements lie: base, parents and controls, child."""
    source_layers: tuple[int | None, ...] = ()
    """The layers of base, parents and controls that it is paired with, where it is in one."""


@dataclass(frozen=True, slots=True)
class Unaligned:
    """A tensor that takes no part, and why."""

    checkpoint: str
    tensor: str
    reason: str
    elements: int


@dataclass(frozen=True)
class Alignment:
    """All slices that pair, in the order of the child's files, and all tensors that do not."""

    slices: tuple[Slice, ...]
    unaligned: tuple[Unaligned, ...]
    checkpoints: tuple[_core.Checkpoint, ...]
    """Base, parents and controls, child."""
    plan: _core.Plan
    layers: tuple[tuple[int | None, ...] | None, ...] = ()
    """By checkpoint, but for the child, which layer each layer of the child is paired with, from 0
    on; ``None`` where all are the same."""

    @cached_property
    def _tables(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """See :func:`tables`."""
        return tables(self.slices)

    @property
    def elements(self) -> NDArray[np.uint64]:
        """(S,) elements of each slice."""
        return self._tables[0]

    @cached_property
    def applies(self) -> NDArray[np.bool_]:
        """(S,) whether each slice holds numbers that a replay can round to."""
        return np.array([is_replayed(each) for each in self.slices], dtype=bool)

    @cached_property
    def dtypes(self) -> tuple[tuple[str, ...], ...]:
        """For each checkpoint and the child, the dtype that each slice is stored in."""
        tensors = [[each[2] for each in core.tensors()] for core in self.checkpoints]
        return tuple(
            tuple(dtypes[each.extents[column].tensor] for each in self.slices)
            for column, dtypes in enumerate(tensors)
        )

    @property
    def digest(self) -> str:
        """SHA-256 of which elements are compared, as positions in the checkpoints' tensors."""
        out = hashlib.sha256()
        for table in self._tables:
            out.update(table.tobytes())
        return out.hexdigest()

    def part(
        self,
        owner: NDArray[np.intp],
        starts: NDArray[np.uint64] | None = None,
        counts: NDArray[np.uint64] | None = None,
        columns: Sequence[int] | None = None,
    ) -> _core.Plan:
        """Return a plan of parts of slices.

        Parameters
        ----------
        owner
            (R,) the slice of each part.
        starts
            (R,) its first element in the slice; 0 by default.
        counts
            (R,) its elements; all of the slice by default.
        columns
            The checkpoints that are read, the child last; all by default.
        """
        chosen = list(range(len(self.checkpoints)) if columns is None else columns)
        elements, tensors, firsts = self._tables
        begins = firsts[owner][:, chosen]
        if starts is not None:
            begins = begins + starts[:, None]
        return _core.Plan(
            [self.checkpoints[column] for column in chosen],
            elements[owner] if counts is None else counts,
            np.ascontiguousarray(tensors[owner][:, chosen]),
            np.ascontiguousarray(begins),
        )


def tables(
    slices: Sequence[Slice],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the elements of S slices, (S,), and their tensors and first elements, (S, C)."""
    extents = chain.from_iterable(each.extents for each in slices)
    table = np.fromiter(chain.from_iterable(extents), dtype=np.uint64)
    table = table.reshape(len(slices), -1, 2)
    return (
        np.array([each.elements for each in slices], dtype=np.uint64),
        np.ascontiguousarray(table[:, :, 0]),
        np.ascontiguousarray(table[:, :, 1]),
    )


def is_replayed(each: Slice) -> bool:
    """Return whether a slice holds numbers that a replay can round to."""
    return dtype_class(each.dtype) == "float" and each.dtype != "F8_E8M0"


def is_matrix(slices: Sequence[Slice]) -> NDArray[np.bool_]:
    """Return (S,) whether a slice has at least two rows and two columns.

    Vectors say little about descent: norm weights of unrelated models are all near one.
    """
    return np.array([sum(size > 1 for size in each.shape) >= 2 for each in slices], dtype=bool)
