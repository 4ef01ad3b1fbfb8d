"""Checkpoints in the order of the child: experts, neurons, heads, rows where it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from parentage.align.orders.experts import ExpertOrders, expert_orders
from parentage.align.orders.gathered import Gather, can_gather, gathered
from parentage.align.orders.matrices import matrix_orders
from parentage.align.orders.stacks import apart, stacks_of
from parentage.align.orders.strange import is_in_place
from parentage.align.slices import UNPAIRED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.align.order import Order
    from parentage.checkpoint import Checkpoint
    from parentage.stream import Options


class Rearranged(NamedTuple):
    """A child, and others in its order."""

    child: Checkpoint
    others: tuple[Checkpoint, ...]
    orders: tuple[Order, ...] = ()
    """What is seen in another order than it is stored in."""
    unordered: tuple[str, ...] = ()
    """Others of which some matrices are not alike in place, and no order was looked for: all of
    them would have to be fetched."""


def rearranged(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    layers: Sequence[LayerMap],
    options: Options,
) -> Rearranged:
    """Return others in the order of the child's experts, neurons, heads and rows.

    Values tell it. What is in place is returned as it is. ``layers`` are the layers of each that
    the child's are paired with, where that is not the same number.
    """
    if options.is_spread(child.elements):
        unordered = [
            other.name
            for other, moved in zip(others, layers, strict=True)
            if not is_in_place(child, other, moved, options)
        ]
        return Rearranged(child, tuple(others), (), tuple(unordered))
    found = _experts(child, others, layers, options)
    seen: list[Checkpoint] = []
    told = list(found.orders)
    for other, moved, each in zip(found.others, layers, found.found, strict=True):
        orders = matrix_orders(found.child, other, moved, options, experts=each.inside)
        told += orders.orders
        routers = {
            name: Gather(rows=rows)
            for name, rows in each.rows.items()
            if can_gather(other, other.tensors[name])
        }
        seen.append(gathered(other, routers | orders.gathers))
    return Rearranged(found.child, tuple(seen), tuple(told))


class _Experts(NamedTuple):
    """A child and others with experts under the names that the child's have."""

    child: Checkpoint
    others: Sequence[Checkpoint]
    orders: Sequence[Order]
    found: Sequence[ExpertOrders]
    """By checkpoint, what is to be done besides."""


def _experts(
    child: Checkpoint, others: Sequence[Checkpoint], layers: Sequence[LayerMap], options: Options
) -> _Experts:
    """See experts in the order of the child's."""
    if _is_dense(child):
        return _Experts(child, others, (), [ExpertOrders() for _ in others])
    halves = any(_is_dense(other) for other in others)
    mine, theirs = stacks_of(child, halves=halves), [stacks_of(x, halves=halves) for x in others]
    found = [
        expert_orders(child, other, (mine, stacks), moved, options)
        for other, stacks, moved in zip(others, theirs, layers, strict=True)
    ]
    orders = [order for each in found for order in each.orders]
    if not orders and not any(each.inside for each in found):
        return _Experts(child, others, (), found)
    # What is stacked in one tensor can not be in another order: all are taken apart alike.
    seen = [
        named(apart(other, stacks), each.names, child)
        for other, stacks, each in zip(others, theirs, found, strict=True)
    ]
    return _Experts(apart(child, mine), seen, orders, found)


def _is_dense(checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint has no experts at all."""
    return not any(".experts." in name for name in checkpoint.core.names())


def named(other: Checkpoint, names: Mapping[str, str], child: Checkpoint) -> Checkpoint:
    """Return a checkpoint with tensors under other names, given by those that they are to have.

    One may have several. What is given no name keeps its own, unless that is taken.
    """
    if not names:
        return other
    used = set(names.values())
    listed = [other.tensors[old]._replace(name=new) for new, old in names.items()]
    for tensor in other.tensors.values():
        name = tensor.name
        is_gone = name in used and (".experts." in name or name not in child.tensors)
        if name in names:
            if name not in used:
                listed.append(tensor._replace(name=f"{UNPAIRED}{name}"))
        elif not is_gone:
            listed.append(tensor)
    return other.seen_as(listed)
