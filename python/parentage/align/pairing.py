"""Pairs every tensor of a child with those of the other checkpoints."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING

from parentage import _core
from parentage.align.layouts.by_layer import pair_by_layer
from parentage.align.layouts.by_name import pair_by_name, scale_of, shape_text
from parentage.align.slices import Alignment, Extent, Slice, Unaligned, tables
from parentage.checkpoint import dtype_class, places_of
from parentage.support import PlanError, collection_paused, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from parentage.checkpoint import Checkpoint, Place, Tensor

LEAST_SHARE = 0.01
"""Share of the child's elements up to which pairing is a coincidence of names."""


def align(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    pairing: Callable[[Tensor, Checkpoint], Extent | str] = pair_by_name,
    layers: Mapping[int, int] | None = None,
) -> Alignment:
    """Pair every tensor of ``child`` with all ``others``: the base, then parents and controls.

    ``pairing`` is the seam for layout rules: it says where a tensor of the child lies in another
    checkpoint, or why it does not. A slice takes part if every checkpoint has it. ``layers`` says
    which layers of the child are paired with which of the others, where that is not the same
    number.

    Raises
    ------
    PlanError
        If nothing pairs, or no more than :data:`LEAST_SHARE` of the child.
    """
    with collection_paused():
        return _align(child, others, pair_by_layer(layers) if layers else pairing, layers or {})


def _align(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    pairing: Callable[[Tensor, Checkpoint], Extent | str],
    layers: Mapping[int, int],
) -> Alignment:
    cores = (*(other.core for other in others), child.core)
    slices: list[Slice] = []
    unaligned: list[Unaligned] = []
    paired: list[set[int]] = [set() for _ in others]
    places = places_of(child.core)
    # The positions of relatives are mostly the same, so that one object does for all of them.
    whole = [Extent(tensor, 0) for tensor in range(max(map(len, cores)))]
    mates = zip(*(_mates(child, other, pairing) for other in others), strict=True)
    found = [None if min(each) < 0 else [whole[mate] for mate in each] for each in mates]
    for tensor in sorted(child.tensors.values(), key=attrgetter("shard", "begin")):
        extents = found[tensor.index] or _pair(tensor, child, others, pairing)
        if isinstance(extents, str):
            unaligned.append(Unaligned(child.name, tensor.name, extents, tensor.elements))
            continue
        for used, extent in zip(paired, extents, strict=True):
            used.add(extent.tensor)
        extents.append(whole[tensor.index])
        _add_slices(slices, tensor, places[tensor.index], tuple(extents), layers)
    for other, used in zip(others, paired, strict=True):
        unused = (other.tensors.at(i) for i in range(len(other.tensors)) if i not in used)
        unaligned.extend(
            Unaligned(other.name, tensor.name, _reason_unused(tensor, child), tensor.elements)
            for tensor in unused
        )
    paired_elements = sum(each.elements for each in slices)
    if paired_elements <= LEAST_SHARE * child.elements:
        raise PlanError(_nothing_pairs(child, others, unaligned, paired_elements))
    return Alignment(tuple(slices), tuple(unaligned), cores, _plan(cores, slices))


def _mates(
    child: Checkpoint,
    other: Checkpoint,
    pairing: Callable[[Tensor, Checkpoint], Extent | str],
) -> list[int]:
    """Return the partner's index in ``other`` for every tensor of the child.

    It is -1 where :func:`_pair` must decide.
    """
    if pairing is not pair_by_name:
        return [-1] * len(child.tensors)
    found = child.core.mates(other.core)
    for checkpoint in (child, other):
        scaled = (child.core.find(name) for name in checkpoint.scales)
        found[[index for index in scaled if index is not None]] = -1
    mates: list[int] = found.tolist()
    return mates


def _pair(
    tensor: Tensor,
    child: Checkpoint,
    others: Sequence[Checkpoint],
    pairing: Callable[[Tensor, Checkpoint], Extent | str],
) -> list[Extent] | str:
    """Return where a tensor of the child lies in the others, or why it takes no part."""
    if dtype_class(tensor.dtype) is None:
        return f"dtype {tensor.dtype} has no arithmetic"
    if tensor.elements == 0:
        return "no elements"
    if (scale := scale_of(tensor, child)) is not None:
        return f"quantised with {scale}, and not decoded"
    found: list[Extent] = []
    reasons: list[str] = []
    for other in others:
        extent = pairing(tensor, other)
        if isinstance(extent, str):
            reasons.append(extent)
        else:
            found.append(extent)
    return "; ".join(reasons) if reasons else found


def _add_slices(
    slices: list[Slice],
    tensor: Tensor,
    place: Place,
    extents: tuple[Extent, ...],
    layers: Mapping[int, int],
) -> None:
    name, shape, dtype, elements = tensor.name, tensor.shape, tensor.dtype, tensor.elements
    component, layer, expert = place
    source = None if layer is None else layers.get(layer, layer)
    stacked = len(shape) == 3 and shape[0] > 1 and ".experts" in name
    if not stacked:
        whole = (component, layer, expert, shape, dtype, elements, extents, source)
        slices.append(Slice(name, *whole))
        return
    each = elements // shape[0]
    part = ("experts" if component == "other" else component, layer)
    slices.extend(
        Slice(
            f"{name}[{expert}]",
            *part,
            expert,
            shape[1:],
            dtype,
            each,
            tuple(Extent(extent.tensor, extent.start + expert * each) for extent in extents),
            source,
        )
        for expert in range(shape[0])
    )


def _plan(checkpoints: Sequence[_core.Checkpoint], slices: list[Slice]) -> _core.Plan:
    return _core.Plan(list(checkpoints), *tables(slices))


def _reason_unused(tensor: Tensor, child: Checkpoint) -> str:
    found = child.tensors.get(tensor.name)
    if found is None:
        return f"not in the child {child.name}"
    if dtype_class(tensor.dtype) is None:
        return f"dtype {tensor.dtype} has no arithmetic"
    if tensor.elements == 0:
        return "no elements"
    if found.shape == tensor.shape and dtype_class(found.dtype) == dtype_class(tensor.dtype):
        return f"the one of the child {child.name} takes no part"
    return f"the child {child.name} has shape {shape_text(found)} and dtype {found.dtype}"


def _nothing_pairs(
    child: Checkpoint, others: Sequence[Checkpoint], unaligned: list[Unaligned], elements: int
) -> str:
    mine = [each for each in unaligned if each.checkpoint == child.name]
    names = " and ".join(printable(other.name) for other in others)
    if not mine:
        return f"{printable(child.name)} has no tensors"
    reason, count = Counter(each.reason for each in mine).most_common(1)[0]
    example = next(each.tensor for each in mine if each.reason == reason)
    share = f"only {elements / child.elements:.2%} of" if elements else "no tensor of"
    return (
        f"{share} {printable(child.name)} pairs with {names}, so there is nothing to compare; for "
        f"{count} of {len(mine)} the reason is: {printable(reason)} "
        f"(as for {printable(example)}). Are they of one architecture?"
    )
