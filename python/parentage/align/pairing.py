"""Pairs every tensor of a child with those of the other checkpoints."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING

from parentage import _core
from parentage.align.held import held, slices_of
from parentage.align.layouts.by_layer import layer_list, renamed_for
from parentage.align.layouts.by_name import pair_by_name, shape_text
from parentage.align.slices import Alignment, Unaligned, tables
from parentage.checkpoint import dtype_class
from parentage.support import PlanError, collection_paused, listed, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.align.held import Held, Pairing
    from parentage.align.layouts.by_layer import LayerMap
    from parentage.checkpoint import Checkpoint, Tensor

LEAST_SHARE = 0.01
"""Share of the child's elements up to which pairing is a coincidence of names."""


def align(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    pairing: Pairing = pair_by_name,
    layers: Sequence[LayerMap] = (),
    least: float = LEAST_SHARE,
) -> Alignment:
    """Pair every tensor of ``child`` with all ``others``: the base, then parents and controls.

    ``pairing`` is the seam for layout rules: it says where a tensor of the child lies in another
    checkpoint, or why it does not. A slice takes part if every checkpoint has it. ``layers`` says
    for each of the others which of its layers those of the child are paired with, where that is not
    the same number; it names the tensor that ``pairing`` then looks for.

    Raises
    ------
    PlanError
        If nothing pairs, or no more than the share ``least`` of the child.
    """
    with collection_paused():
        return _align(child, others, pairing, layers, least)


def _align(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    pairing: Pairing,
    layers: Sequence[LayerMap],
    least: float,
) -> Alignment:
    found = held(child, others, pairing, layers)
    everywhere = range(len(others))
    parts: list[tuple[int, int, int]] = []
    left: list[Unaligned] = []
    for tensor in in_order_of_files(child):
        if (found.tensors[tensor.index] >= 0).all() and tensor.index not in found.barred:
            parts.append((tensor.index, 0, tensor.elements))
            continue
        reason = found.reason(tensor.index, everywhere)
        left.append(Unaligned(child.name, tensor.name, reason, tensor.elements))
    used = [{int(found.tensors[index, column]) for index, _, _ in parts} for column in everywhere]
    left.extend(unused(child, others, used, layers))
    paired = sum(last - first for _, first, last in parts)
    if paired <= least * child.elements:
        raise PlanError(nothing_pairs(child, others, found, left))
    return aligned(child, others, found, parts, tuple(everywhere), layers, left)


def aligned(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    found: Held,
    parts: Sequence[tuple[int, int, int]],
    columns: Sequence[int],
    layers: Sequence[LayerMap] = (),
    left: Sequence[Unaligned] = (),
) -> Alignment:
    """Return the alignment of parts of the child's tensors with those checkpoints that hold them.

    ``columns`` are positions among ``others``.
    """
    slices = slices_of(child, found, parts, columns, layers)
    cores = (*(others[column].core for column in columns), child.core)
    plan = _core.Plan(list(cores), *tables(slices))
    lists = (
        layer_list(child, others[column], layers[column] if layers else {}) for column in columns
    )
    return Alignment(tuple(slices), tuple(left), cores, plan, tuple(lists))


def in_order_of_files(child: Checkpoint) -> list[Tensor]:
    """Return the tensors of a checkpoint in the order in which they lie in its files."""
    return sorted(child.tensors.values(), key=attrgetter("shard", "begin"))


def unused(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    used: Sequence[set[int]],
    layers: Sequence[LayerMap] = (),
) -> list[Unaligned]:
    """Return the tensors of the other checkpoints that no tensor of the child is compared with."""
    out: list[Unaligned] = []
    for column, (other, taken) in enumerate(zip(others, used, strict=True)):
        free = [tensor for tensor in other.tensors.values() if tensor.index not in taken]
        moved = layers[column] if layers else {}
        names = _names_there(child, moved) if moved and free else None
        for tensor in free:
            name = tensor.name if names is None else names.get(tensor.name)
            reason = _reason_unused(tensor, None if name is None else child.tensors.get(name))
            out.append(Unaligned(other.name, tensor.name, reason, tensor.elements))
    return out


def _names_there(child: Checkpoint, layers: LayerMap) -> dict[str, str]:
    """Return the child's names by those that another checkpoint has for them."""
    names = {renamed_for(name, layers): name for name in child.tensors}
    return {there: name for there, name in names.items() if there is not None}


def _reason_unused(tensor: Tensor, found: Tensor | None) -> str:
    """Return why no tensor of the child is compared with one that it may have as ``found``."""
    if found is None:
        return "not in the child"
    if dtype_class(tensor.dtype) is None:
        return f"dtype {tensor.dtype} has no arithmetic"
    if tensor.elements == 0:
        return "no elements"
    if found.elements == 0:
        return f"empty in the child, of shape {shape_text(found)}"
    if found.shape == tensor.shape and dtype_class(found.dtype) == dtype_class(tensor.dtype):
        return "the child's takes no part"
    return f"the child's has shape {shape_text(found)} and dtype {found.dtype}"


def nothing_pairs(
    child: Checkpoint, others: Sequence[Checkpoint], found: Held, left: Sequence[Unaligned]
) -> str:
    """Return the message of the error: who pairs with whom, and how the names differ."""
    if not len(child.tensors):
        return printable(f"{child.name} has no tensors")
    parts = [_how_one_pairs(child, other, found, i) for i, other in enumerate(others)]
    mine = [each for each in left if each.checkpoint == child.name]
    reason, count = Counter(each.reason for each in mine).most_common(1)[0]
    example = next(each.tensor for each in mine if each.reason == reason)
    return printable(
        f"too little of {child.name} pairs with {listed(x.name for x in others)}, so "
        f"there is nothing to compare: {'; '.join(parts)}. For {count} of {len(mine)} tensors "
        f"the reason is: {reason} (as for {example})"
    )


def _how_one_pairs(child: Checkpoint, other: Checkpoint, found: Held, column: int) -> str:
    """Return how many tensors of the child a checkpoint holds, and how the names differ."""
    total = len(child.tensors)
    count = int((found.counts[:, column] > 0).sum())
    if count == total:
        return f"all {total} tensors pair with {other.name}"
    said = f"{count or 'none'} of {total} tensors pair with {other.name}"
    lacking = [
        tensor for tensor in child.tensors.values() if not found.counts[tensor.index, column]
    ]
    differ = how_names_differ([each.name for each in lacking], list(other.tensors))
    return f"{said}: {differ}" if differ else said


def how_names_differ(mine: Sequence[str], theirs: Sequence[str]) -> str:
    """Return a name of each kind that ends alike: ``a.x here, b.x there``; empty without any.

    >>> how_names_differ(["model.language_model.norm.weight"], ["model.norm.weight"])
    'model.language_model.norm.weight in the child, model.norm.weight there'
    """
    by_end: dict[tuple[str, ...], str] = {}
    for name in theirs:
        parts = tuple(name.split("."))
        for first in range(len(parts)):
            by_end.setdefault(parts[first:], name)
    best: tuple[int, str, str] | None = None
    for name in mine:
        parts = tuple(name.split("."))
        for first in range(len(parts)):
            other = by_end.get(parts[first:])
            length = len(parts) - first
            if other is None or other == name:
                continue
            if length >= 2 and (best is None or length > best[0]):
                best = (length, name, other)
            break
    if best is not None:
        return f"{best[1]} in the child, {best[2]} there"
    return f"{mine[0]} in the child, {theirs[0]} there" if mine and theirs else ""
