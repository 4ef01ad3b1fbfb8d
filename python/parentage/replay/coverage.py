"""What a comparison leaves out, both ways: of the child, and of what the recipe makes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import Unaligned, pair_by_name, renamed_for
from parentage.checkpoint import dtype_class, place_of
from parentage.replay.layers import layer_maps, made_of
from parentage.replay.raw import is_nan, same_bytes, tensor_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.align import LayerMap, Slice
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.recipe import Recipe

LACKING = "the recipe makes it, and the child lacks it"

LEFT_ALONE = "the recipe says nothing about it, and the child lacks it"

OTHER_SHAPE = "the recipe makes it of shape {}, and the child's is {}"

NOT_THE_COPY = "the recipe says nothing about it, and it is not that of {}"
"""Said of a tensor that would be the reference's, byte for byte, if the recipe were written."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a comparison says nothing of, or finds by other means than the recipe."""

    missing: tuple[Unaligned, ...]
    """Tensors of what the recipe gives that the child lacks, or has in another shape."""
    copied: tuple[Tensor, ...]
    """Tensors of the child that the recipe says nothing about, and that are the reference's byte
    for byte, as they would be if it were written."""
    left: tuple[Unaligned, ...]
    """Tensors of the child that were not compared, and are no such copies."""
    other_dtypes: tuple[tuple[str, str], ...]
    """Slices of another dtype than the recipe writes, and theirs."""

    @property
    def missing_elements(self) -> int:
        """Elements that the recipe makes and the child lacks."""
        return sum(each.elements for each in self.missing if each.reason != LEFT_ALONE)

    @property
    def copied_elements(self) -> int:
        """Elements of the child that are copies."""
        return sum(each.elements for each in self.copied)

    @property
    def is_whole(self) -> bool:
        """Whether all of the child was compared with all that the recipe makes, in its dtype."""
        return not (self.missing or self.left or self.other_dtypes)


def coverage(
    recipe: Recipe,
    child: Checkpoint,
    parents: Sequence[Checkpoint],
    slices: Sequence[Slice],
    reasons: Sequence[str | None],
    unaligned: Iterable[Unaligned],
    silent: Callable[[], Collection[str]],
) -> Coverage:
    """Return what is left out where ``slices`` of a child are compared with what a recipe gives.

    ``parents`` are in the order of the recipe's; the first is the one whose tensors the recipe's
    result has. ``reasons`` say why a slice is not compared, ``None`` where it is; ``silent`` gives
    the tensors of the reference that the recipe gives no numbers for, where that has to be known.
    """
    reference = parents[0]
    maps = layer_maps(recipe, [each.name for each in parents], child) or [{} for _ in parents]
    told = {each.tensor: each for each in unaligned if each.checkpoint == child.name}
    why: dict[int, list[str]] = defaultdict(list)
    whole: set[int] = set()
    for each, reason in zip(slices, reasons, strict=True):
        index = each.extents[-1].tensor
        whole.add(index)
        if reason is not None:
            why[index].append(reason)
    copied: list[Tensor] = []
    left: list[Unaligned] = []
    for tensor in child.tensors.values():
        if tensor.index in whole and tensor.index not in why:
            continue
        # What the recipe says nothing about stays what it was in the reference.
        is_told = tensor.index not in whole and dtype_class(tensor.dtype) == "float"
        twin = None if is_told else _twin(tensor, reference, maps[0])
        if twin is not None and same_bytes(child, tensor, reference, twin):
            copied.append(tensor)
        elif tensor.name in told:
            left.append(told[tensor.name])
        else:
            reason = why[tensor.index][0]
            if twin is not None:
                reason = NOT_THE_COPY.format(reference.name)
            left.append(Unaligned(child.name, tensor.name, reason, tensor.elements))
    return Coverage(
        missing=tuple(_missing(recipe, child, parents, maps, slices, silent)),
        copied=tuple(copied),
        left=tuple(left),
        other_dtypes=tuple(
            (each.name, each.dtype)
            for each, reason in zip(slices, reasons, strict=True)
            if reason is None and each.dtype != recipe.dtype_of(each.name)
        ),
    )


def _twin(tensor: Tensor, reference: Checkpoint, layers: LayerMap) -> Tensor | None:
    """Return the tensor of the reference that stands for one of the child's, if there is one."""
    name = renamed_for(tensor.name, layers)
    if name is None:
        return None
    tensor = tensor._replace(name=name)
    found = pair_by_name(tensor, reference)
    if not isinstance(found, str):
        return reference.tensors.at(found.tensor)
    return reference.tensors.get(tensor.name)


def _missing(
    recipe: Recipe,
    child: Checkpoint,
    parents: Sequence[Checkpoint],
    maps: Sequence[LayerMap],
    slices: Sequence[Slice],
    silent: Callable[[], Collection[str]],
) -> list[Unaligned]:
    """Return the tensors that a recipe makes and the child has not, under the result's names."""
    reference = parents[0]
    used = {each.extents[0].tensor for each in slices}
    compared = {each.extents[-1].tensor for each in slices}
    open_: list[tuple[str, Tensor]] = []
    for name, tensor in made_of(recipe, reference):
        theirs = child.tensors.get(name)
        # A head may be there as the embedding it is tied to; of a layer that is taken twice, one
        # may be there and the other not.
        is_used = tensor.index in used and place_of(name).layer is None
        if is_used or (theirs is not None and theirs.index in compared) or not tensor.elements:
            continue
        if dtype_class(tensor.dtype) == "float" and not all(
            _has(other, name, tensor, layers)
            for other, layers in zip(parents[1:], maps[1:], strict=True)
        ):
            continue  # no recipe makes what is not in all parents
        open_.append((name, tensor))
    untold = silent() if open_ else ()
    found = []
    for name, tensor in open_:
        theirs = child.tensors.get(name)
        if theirs is not None and (theirs.shape == tensor.shape or name in untold):
            continue  # told among the child's
        is_made = dtype_class(tensor.dtype) == "float" and name not in untold
        reason = LACKING if is_made else LEFT_ALONE
        if theirs is not None and is_made:
            reason = OTHER_SHAPE.format(list(tensor.shape), list(theirs.shape))
        found.append(Unaligned(reference.name, name, reason, tensor.elements))
    return found


def _has(other: Checkpoint, name: str, tensor: Tensor, layers: LayerMap) -> bool:
    """Return whether a checkpoint has what a tensor of the result, like ``tensor``, is made of."""
    there = renamed_for(name, layers)
    return there is not None and not isinstance(
        pair_by_name(tensor._replace(name=there), other), str
    )


def nan_of(
    child: Checkpoint,
    slices: Sequence[Slice],
    rows: Iterable[int],
    counts: Mapping[str, NDArray[np.generic]],
) -> dict[int, int]:
    """Return the child's NaN in the slices that mismatch by more than any unit, by row."""
    found = {}
    for row in rows:
        if not counts["ulps"][row, -1]:
            continue
        extent = slices[row].extents[-1]
        tensor = child.tensors.at(extent.tensor)
        raw = tensor_pieces(child, tensor, extent.start, slices[row].elements)
        found[row] = sum(int(np.count_nonzero(is_nan(piece, tensor.dtype))) for piece in raw)
    return found
