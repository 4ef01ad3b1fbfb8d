"""Slices: the unit of results, and where their elements lie in every checkpoint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.checkpoint import dtype_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage import _core


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
    source_layer: int | None = None
    """The layer of the other checkpoints that it is paired with, where it is in one."""


@dataclass(frozen=True, slots=True)
class Unaligned:
    """A tensor that takes no part, and why."""

    checkpoint: str
    tensor: str
    reason: str
    elements: int


@dataclass(frozen=True, slots=True)
class Alignment:
    """All slices that pair, in the order of the child's files, and all tensors that do not."""

    slices: tuple[Slice, ...]
    unaligned: tuple[Unaligned, ...]
    checkpoints: tuple[_core.Checkpoint, ...]
    """Base, parents and controls, child."""
    plan: _core.Plan

    @property
    def elements(self) -> NDArray[np.uint64]:
        """(S,) elements of each slice."""
        return np.array([each.elements for each in self.slices], dtype=np.uint64)

    @property
    def applies(self) -> NDArray[np.bool_]:
        """(S,) whether each slice holds numbers that a replay can round to."""
        return np.array([is_replayed(each) for each in self.slices], dtype=bool)

    @property
    def digest(self) -> str:
        """SHA-256 of which elements are compared, as positions in the checkpoints' tensors."""
        out = hashlib.sha256()
        for table in tables(self.slices):
            out.update(table.tobytes())
        return out.hexdigest()


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
