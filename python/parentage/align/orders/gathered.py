"""Tensors whose rows or columns are read in another order than they are stored in."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from parentage.align.slices import UNPAIRED
from parentage.checkpoint import Coding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.checkpoint import Checkpoint, Tensor


class Gather(NamedTuple):
    """Which rows, and which columns, of a tensor are read, in order; ``None`` for all in place.

    Rows are along its first dimension, columns along its last.
    """

    rows: tuple[int, ...] | None = None
    columns: tuple[int, ...] | None = None


def can_gather(checkpoint: Checkpoint, tensor: Tensor) -> bool:
    """Return whether a tensor is read in another order: if it lies in a file, or is of files alone.

    What is computed of what is computed, as a product added to decoded codes, stays as it is.
    """
    files = len(checkpoint.shards)
    place = tensor.shard - files
    return place < 0 or all(each.shard < files for each in checkpoint.codings[place].windows)


def gathered(checkpoint: Checkpoint, gathers: Mapping[str, Gather]) -> Checkpoint:
    """Return a view where some tensors, by name, are read in another order. Bytes are only moved.

    Rows and columns that are read nowhere are a tensor of their own, so that nothing is lost.
    """
    if not gathers:
        return checkpoint
    codings: list[Coding] = []
    tensors: list[Tensor] = []

    def add(tensor: Tensor, name: str, gather: Gather) -> None:
        """Add what a gather gives of a tensor, under a name."""
        rows, columns = gather
        shape = tensor.shape
        # What has no columns to choose is rows of all that they hold.
        width = prod(shape[1:]) if columns is None else shape[-1]
        if rows is not None:
            shape = (len(rows), *shape[1:])
        if columns is not None:
            shape = (*shape[:-1], len(columns))
        size = (tensor.end - tensor.begin) // tensor.elements
        codings.append(Coding.gather(tensor.window, width, rows or (), columns or ()))
        place = checkpoint.places + len(codings) - 1
        end = prod(shape) * size
        tensors.append(tensor._replace(name=name, shape=shape, shard=place, begin=0, end=end))

    for tensor in checkpoint.tensors.values():
        gather = gathers.get(tensor.name)
        if gather is None:
            tensors.append(tensor)
            continue
        add(tensor, tensor.name, gather)
        rest = _rest(tensor, gather)
        if rest is not None:
            add(tensor, f"{UNPAIRED}{tensor.name}", rest)
    return checkpoint.seen_as(tensors, codings)


def _rest(tensor: Tensor, gather: Gather) -> Gather | None:
    """Return a gather of what another leaves out; ``None`` if it leaves out nothing.

    Of a gather of rows and columns it is the rows, with all of their columns.
    """
    for axis, chosen in ((0, gather.rows), (-1, gather.columns)):
        left = () if chosen is None else sorted(set(range(tensor.shape[axis])) - set(chosen))
        if left:
            return Gather(rows=tuple(left)) if axis == 0 else Gather(columns=tuple(left))
    return None
