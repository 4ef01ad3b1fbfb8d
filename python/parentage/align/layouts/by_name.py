"""Tensors that have one name and shape in both checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.align.layouts.tied import tied_to
from parentage.align.slices import Extent
from parentage.checkpoint import dtype_class

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint, Tensor


def pair_by_name(tensor: Tensor, other: Checkpoint) -> Extent | str:
    """Pair a tensor of the child with the one of the same name and shape.

    An embedding stands in for a head that is tied to it.
    """
    found = other.tensors.get(tensor.name) or tied_to(tensor, other)
    if found is None:
        return f"not in {other.name}"
    scale = scale_of(found, other)
    if scale is not None:
        return f"quantised in {other.name} with {scale}, and not decoded"
    encoding = other.encodings.get(found.name)
    if encoding is not None:
        return f"{encoding} in {other.name}, and not decoded"
    if found.shape != tensor.shape:
        return f"shape {shape_text(tensor)} in the child, {shape_text(found)} in {other.name}"
    if found.dtype != tensor.dtype and dtype_class(found.dtype) != dtype_class(tensor.dtype):
        return f"dtype {tensor.dtype} in the child, {found.dtype} in {other.name}"
    return Extent(found.index, 0)


def scale_of(tensor: Tensor, checkpoint: Checkpoint) -> str | None:
    """Return the name of the tensor that scales this one, if the checkpoint holds one.

    The stored numbers of such a tensor are codes: as weights they mean nothing without the scales.
    """
    return checkpoint.scales.get(tensor.name)


def is_readable(tensor: Tensor, checkpoint: Checkpoint) -> bool:
    """Return whether a tensor holds numbers with a fraction, and no codes."""
    return dtype_class(tensor.dtype) == "float" and scale_of(tensor, checkpoint) is None


def shape_text(tensor: Tensor) -> str:
    """Return a tensor's shape as messages have it."""
    return str(list(tensor.shape))
