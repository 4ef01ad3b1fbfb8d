"""Neurons, heads and rows of the vocabulary in another order, in every matrix that has them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from parentage.align.layouts.by_layer import counterpart
from parentage.align.order import Order
from parentage.align.orders.gathered import Gather, can_gather
from parentage.align.orders.lines import (
    Lines,
    block_of_order,
    blocks_of,
    lines_of,
    row_width,
    rows_read,
    spread,
)
from parentage.align.orders.strange import Mates, mates_of, strange_rows
from parentage.align.orders.vocabulary import is_vocabulary, mean_rows, vocabulary_rows
from parentage.checkpoint import dtype_class, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Set

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

TRIED = 12
"""Strange matrices that are looked at of a checkpoint that is like the child nowhere and in no
order: it is a stranger then."""

ROWS = 64
"""Rows that are looked at of what may follow others, at most, and elements of each."""

ELEMENTS = 256

MOST_WORK = 1 << 41
"""Products that looking for orders in one checkpoint may take: a minute or so."""


@dataclass
class MatrixOrders:
    """How rows and columns of one checkpoint are compared with the child's, where not in place."""

    orders: list[Order] = field(default_factory=list)
    gathers: dict[str, Gather] = field(default_factory=dict)
    """By name of a tensor of the checkpoint."""


def matrix_orders(
    child: Checkpoint,
    other: Checkpoint,
    layers: LayerMap,
    options: Options,
    experts: Set[str] = frozenset(),
) -> MatrixOrders:
    """Return in which order rows and columns are to be compared, where it is not as they stand.

    A few rows of every matrix are looked at first; only what is strange there is looked at further.
    ``experts`` are tensors of experts that are looked at however many there are.
    """
    mates = mates_of(child, other, layers, experts)
    vocabulary = [each for each in mates if is_vocabulary(each)]
    body = [
        each
        for each in mates
        if each.place.component != "router"
        and not is_vocabulary(each)
        and each.mine.shape == each.theirs.shape
    ]
    found: dict[str, tuple[Mates, Lines]] = {}
    strangeness = np.array(strange_rows(child, other, body, options))
    strange = [body[at] for at in np.flatnonzero(strangeness > 0.0).tolist()]
    is_kin = bool((strangeness < 0.5).any())
    work = 0
    # Small ones first, layer by layer: what is a stranger costs little then.
    strange.sort(key=lambda each: (each.place.layer or 0, each.mine.elements))
    for tried, each in enumerate(strange):
        if not is_kin and not found and tried >= TRIED:
            break
        work += each.mine.shape[0] ** 2 * min(row_width(each.mine), 256)
        if work > MOST_WORK:
            break
        lines = lines_of(child, other, each.mine, each.theirs, options)
        if lines is not None:
            found[each.mine.name] = each, lines
    out = MatrixOrders()
    means: list[Order] = []
    for each in vocabulary:
        rows = vocabulary_rows(child, other, each, options)
        if rows is not None:
            found[each.mine.name] = each, rows
        elif added := mean_rows(child, each, options):
            means.append(_with_means(other.name, each, added))
    _follow(child, other, layers, found, options)
    found = {k: each for k, each in found.items() if can_gather(other, each[0].theirs)}
    for each, lines in found.values():
        order = lines.filled
        gather = Gather(rows=order) if lines.is_rows else Gather(columns=order)
        out.gathers[each.theirs.name] = gather
    out.orders = [*_told(other.name, found), *means]
    return out


def _with_means(name: str, each: Mates, added: Sequence[int]) -> Order:
    """Return the order of a vocabulary to which means were added."""
    there = each.theirs.shape[0]
    mean = f"the mean of the child's 0 to {there - 1}"
    new = [mean if row in set(added) else None for row in range(there, each.mine.shape[0])]
    return Order(name, "rows", None, (each.mine.name,), (*range(there), *new))


def _module(name: str) -> str:
    """Return what the tensors of one module have in common.

    >>> _module("model.layers.0.self_attn.q_proj.weight")
    'model.layers.0.self_attn'
    """
    return name.rsplit(".", 2)[0]


def _follow(
    child: Checkpoint,
    other: Checkpoint,
    layers: LayerMap,
    found: dict[str, tuple[Mates, Lines]],
    options: Options,
) -> None:
    """Let what does not tell by itself follow the order of its module's rows or columns.

    That are biases, what is too narrow, and what looks the same in the few rows that are looked
    at. They follow where that brings them closer to the child's.
    """
    followers: dict[str, tuple[Mates, Lines]] = {}
    modules: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for name, (_, lines) in found.items():
        modules[_module(name)].add(lines.filled)
    everywhere = _channels(found)
    for name in child.core.names():
        own = modules.get(_module(name)) or modules.get(name.rsplit(".", 1)[0]) or set()
        orders = own | everywhere
        if not orders or name in found:
            continue
        mine, theirs = child.tensors[name], counterpart(name, other, layers)
        if (
            theirs is None
            or not 1 <= len(mine.shape) <= 3
            or theirs.shape != mine.shape
            or not mine.elements
            or dtype_class(mine.dtype) != dtype_class(theirs.dtype)
        ):
            continue
        follows = _closest(child, other, mine, theirs, orders, options)
        if follows is not None:
            followers[name] = Mates(mine, theirs, place_of(name)), follows
    found |= followers


def _channels(found: dict[str, tuple[Mates, Lines]]) -> set[tuple[int, ...]]:
    """Return the orders that several modules are in: those of what runs through all layers."""
    where: dict[tuple[int, ...], set[str]] = defaultdict(set)
    for name, (mates, lines) in found.items():
        if mates.place.layer is not None:
            where[lines.filled].add(_module(name))
    return {order for order, modules in where.items() if len(modules) > 1}


def _closest(
    child: Checkpoint,
    other: Checkpoint,
    mine: Tensor,
    theirs: Tensor,
    orders: Iterable[tuple[int, ...]],
    options: Options,
) -> Lines | None:
    """Return the order of rows or columns that brings a tensor closest; ``None`` if in place is."""
    rows, width = mine.shape[0], row_width(mine)
    chosen = np.array(spread(rows, ROWS))
    count = min(width, ELEMENTS)
    one = rows_read(child, mine, chosen.tolist(), count, options)
    ways: list[tuple[Lines, Floats]] = []
    for order in orders:
        along = _scaled(order, rows)
        if along is not None:
            moved = [along[row] for row in chosen.tolist()]
            lines = Lines(True, along, rows)
            ways.append((lines, rows_read(other, theirs, moved, count, options)))
        if len(mine.shape) == 2 and len(order) == width:
            whole = rows_read(other, theirs, chosen.tolist(), width, options)
            ways.append((Lines(False, order, width), whole[:, list(order[:count])]))
    if not ways:
        return None
    in_place = rows_read(other, theirs, chosen.tolist(), count, options)
    far = [float(((one - each) ** 2).sum()) for _, each in ways]
    best = int(np.argmin(far))
    return ways[best][0] if far[best] < float(((one - in_place) ** 2).sum()) else None


def _scaled(order: Sequence[int], count: int) -> tuple[int, ...] | None:
    """Return an order of blocks as that of so many things, one for each block; ``None`` if none."""
    if len(order) == count:
        return tuple(order)
    if len(order) % count:
        return None
    size = len(order) // count
    block = block_of_order(order)
    return blocks_of(order, size) if block % size == 0 else None  # type: ignore[return-value]


def _told(name: str, found: dict[str, tuple[Mates, Lines]]) -> list[Order]:
    """Return orders as they are told: of neurons, of heads, or of rows and columns alone."""
    modules: dict[str, list[tuple[Mates, Lines]]] = defaultdict(list)
    out = []
    for order in sorted(_channels(found)):
        through = [each for each in found.values() if each[1].filled == order]
        if _is_of_the_stream(through):
            out.append(_order(name, through, 1, "channels", None))
            found = {k: each for k, each in found.items() if each[1].filled != order}
    for tensor, each in found.items():
        modules["" if each[0].place.layer is None else _module(tensor)].append(each)
    for members in modules.values():
        # The largest blocks that stay together tell which orders are one and the same.
        # There are fewer heads of keys than of queries, so that lengths are told apart as well.
        groups: dict[tuple[int, object], list[tuple[Mates, Lines]]] = defaultdict(list)
        for mates, lines in members:
            sources = lines.sources
            same = blocks_of(sources, block_of_order(sources))
            groups[len(sources), same].append((mates, lines))
        # Some heads may have stayed together by chance, but not in all matrices.
        size = 0
        for _, lines in members:
            size = gcd(size, block_of_order(lines.sources))
        out += [
            _order(name, each, size, _kind(each, size), each[0][0].place.layer)
            for each in groups.values()
        ]
    return out


def _is_of_the_stream(through: Sequence[tuple[Mates, Lines]]) -> bool:
    """Return whether an order is that of what runs through a model, in more than one component.

    Heads that change places alike in all layers are no such thing: nothing but attention has them.
    """
    return len({mates.place.component for mates, _ in through}) > 1


def _kind(same: Sequence[tuple[Mates, Lines]], size: int) -> str:
    """Return what stands in an order that matrices of one module are in."""
    both = {lines.is_rows for _, lines in same}
    if size == 1 and len(both) == 2:
        return "neurons"
    if size > 1 and "attention" in same[0][0].place.component:
        return "heads"
    return "rows" if both == {True} else "columns"


def _order(
    name: str, same: Sequence[tuple[Mates, Lines]], size: int, kind: str, layer: int | None
) -> Order:
    """Return one order that several matrices are in, in blocks of ``size`` lines."""
    lines = same[0][1]
    shown = blocks_of(lines.sources, size)
    taken = {each for each in shown if each is not None}
    free = {i for i, each in enumerate(shown) if each is None}
    there = range(lines.there // size)
    unused = tuple(i for i in there if i not in taken | free)
    tensors = tuple(each.mine.name for each, _ in same)
    return Order(name, kind, layer, tensors, shown, unused, size)
