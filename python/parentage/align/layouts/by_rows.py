"""Embeddings and heads that differ in their number of rows: the first rows are common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.align.layouts.by_name import pair_by_name
from parentage.align.slices import Extent
from parentage.checkpoint import component_of, dtype_class

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint, Tensor


def common_rows(tensor: Tensor, other: Checkpoint) -> tuple[Extent, int] | None:
    """Return where the common rows of an embedding or head lie in ``other``, and their elements.

    A row stands for a word of the vocabulary, and vocabularies are extended, padded and cut at
    their end. ``None`` if it is no such tensor, or has as many rows, or none of one width.
    """
    if len(tensor.shape) != 2 or component_of(tensor.name) not in ("embed", "head"):
        return None
    found = other.tensors.get(tensor.name)
    if (
        found is None
        or len(found.shape) != 2
        or found.shape[1] != tensor.shape[1]
        or found.shape[0] == tensor.shape[0]
        or dtype_class(found.dtype) != dtype_class(tensor.dtype)
        or dtype_class(found.dtype) is None
    ):
        return None
    rows = min(found.shape[0], tensor.shape[0])
    same = pair_by_name(tensor._replace(shape=found.shape), other)
    return None if isinstance(same, str) or not rows else (same, rows * tensor.shape[1])
