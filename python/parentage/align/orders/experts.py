"""Experts in another order: permuted, pruned, copied, taken from other layers or a dense MLP."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.layouts.by_layer import renamed_for
from parentage.align.order import Order
from parentage.align.orders.matching import NONE, least_alike, matched, units
from parentage.align.orders.reading import runs
from parentage.align.orders.stacks import MOST_EXPERTS, is_readable, modules_of, stacks_of
from parentage.checkpoint import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.align.orders.matching import Rows
    from parentage.align.orders.stacks import Parts, Stack
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

ELEMENTS = 256
"""Elements of each part of an expert that are looked at, the first."""

PARTS = 2
"""Parts of an expert that are looked at: what was exchanged alone moves no expert."""

MOST_ELSEWHERE = 1 << 15
"""Experts of all layers together, at most, that one without a mate in its own layer is looked for
among."""


class Candidate(NamedTuple):
    """What a child's expert may be."""

    source: int | str
    """The number of the checkpoint's expert in the same place, or in words where else it is."""
    parts: Parts


@dataclass
class ExpertOrders:
    """How experts of one checkpoint are compared with the child's, where not by their numbers."""

    orders: list[Order] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """By name that is looked for, that of the tensor that stands there, with experts apart."""
    rows: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """By name of a router's tensor, which row each of its rows is."""


def expert_orders(
    child: Checkpoint,
    other: Checkpoint,
    layers: LayerMap,
    options: Options,
    *,
    halves: bool = False,
) -> ExpertOrders:
    """Return how the child's experts are to be compared, where it is not each with its number.

    The first elements of experts decide; the rows of routers, where those do not.
    """
    mine, theirs = stacks_of(child, halves=halves), stacks_of(other, halves=halves)
    places = _Places(other, theirs)
    found = ExpertOrders()
    done: set[str] = set()
    for stack in mine.values():
        there = (renamed_for(f"{stack.stem}.0.", layers) or "").removesuffix(".0.")
        # A layer that the child has twice is seen in one order, that of the first.
        if there in done or not _is_numbered(stack):
            continue
        done.add(there)
        own = theirs.get(there)
        if own is not None and not _is_numbered(own):
            continue
        partners = _partners(child, other, stack, own, there, places, layers, options)
        order = Order(
            other.name,
            "experts",
            stack.layer,
            (stack.stem,),
            tuple(None if each is None else each.source for each in partners),
            _unused(own, partners),
        )
        if order.is_plain or not any(partners):
            continue
        found.orders.append(order)
        _name(found, stack, there, partners)
        for name, row in _routers(child, other, stack, own, layers):
            rows = _router_rows(child, other, name, row, order, options)
            if rows is not None:
                found.rows[row.name] = rows
    # What another layer has of this one is in the child all the same.
    used = set(found.names.values())
    found.orders = [_without(each, theirs, used, layers) for each in found.orders]
    return found


def _without(order: Order, stacks: Mapping[str, Stack], used: set[str], layers: LayerMap) -> Order:
    """Return an order without the unused that are used elsewhere."""
    there = (renamed_for(f"{order.tensors[0]}.0.", layers) or "").removesuffix(".0.")
    own = stacks.get(there)
    if own is None:
        return order
    left = tuple(
        number
        for number in order.unused
        if not any(part.name in used for part in own.experts[number].values())
    )
    return replace(order, unused=left)


class _Places:
    """Where else in a checkpoint an expert may be, looked up once it is asked for."""

    def __init__(self, other: Checkpoint, stacks: dict[str, Stack]) -> None:
        self._other, self._stacks = other, stacks
        self._dense: dict[int | None, dict[str, Parts]] | None = None

    def dense(self, layer: int | None) -> list[Candidate]:
        """Return the MLPs of a layer that are no experts."""
        if self._dense is None:
            self._dense = modules_of(self._other)
        found = self._dense.get(layer, {})
        return [Candidate(stem.rsplit(".", 1)[-1], parts) for stem, parts in found.items()]

    def elsewhere(self, own: Stack | None) -> list[Candidate]:
        """Return the experts of all other layers; none if there are too many."""
        stacks = [each for each in self._stacks.values() if each is not own]
        if sum(len(each.experts) for each in stacks) > MOST_ELSEWHERE:
            return []
        return [
            Candidate(f"{number} of layer {stack.layer}", parts)
            for stack in stacks
            for number, parts in stack.experts.items()
        ]


def _is_numbered(stack: Stack) -> bool:
    """Return whether experts have the numbers from 0 on, and are not too many."""
    count = len(stack.experts)
    return count <= MOST_EXPERTS and set(stack.experts) == set(range(count))


def _partners(
    child: Checkpoint,
    other: Checkpoint,
    stack: Stack,
    own: Stack | None,
    there: str,
    places: _Places,
    layers: LayerMap,
    options: Options,
) -> list[Candidate | None]:
    """Return what each expert of a stack of the child is."""
    experts = [stack.experts[number] for number in range(len(stack.experts))]
    keys = _looked_at(experts, child)
    out: list[Candidate | None] = [None] * len(experts)
    if not keys:
        return out
    vectors = _vectors(child, experts, keys, options)

    def look(candidates: list[Candidate], *, numbered: bool = False) -> None:
        """Pair what is still without a partner."""
        fitting = [x for x in candidates if _fits(experts[0], x.parts, keys, other)]
        left = [i for i, partner in enumerate(out) if partner is None]
        if not left or not fitting:
            return
        theirs = _vectors(other, [each.parts for each in fitting], keys, options)
        least = least_alike(ELEMENTS)
        home = np.arange(len(experts)) if numbered else None
        found = matched(vectors, theirs, least, home)
        for row, column in enumerate(found.tolist()):
            if row in left and column != NONE:
                out[row] = fitting[column]

    numbered = []
    if own is not None:
        numbered = [Candidate(number, own.experts[number]) for number in range(len(own.experts))]
        look(numbered, numbered=True)
    if not all(out):
        look(places.dense(place_of(f"{there}.0.").layer))
    if not all(out):
        look(places.elsewhere(own))
    if not all(out):
        # Neurons in another order make an expert like none; its row of the router is what it was.
        for name, mate in _routers(child, other, stack, own, layers):
            if len(mate.shape) == 2:
                for row, column in enumerate(_matched_rows(child, other, name, mate, options)):
                    if out[row] is None and column != NONE:
                        out[row] = numbered[column]
    return out


def _looked_at(experts: Sequence[Parts], child: Checkpoint) -> list[str]:
    """Return the parts that are looked at: the smallest matrices that all experts have alike."""
    first = experts[0]
    keys = [
        key
        for key, part in first.items()
        if len(part.shape) == 2
        and part.elements >= ELEMENTS
        and is_readable(part, child)
        and all(key in each and each[key].shape == part.shape for each in experts)
    ]
    return sorted(keys, key=lambda key: (first[key].elements, key))[:PARTS]


def _fits(one: Parts, parts: Parts, keys: Sequence[str], other: Checkpoint) -> bool:
    """Return whether a candidate has the parts that are looked at, in the same shapes."""
    return all(
        key in parts and parts[key].shape == one[key].shape and is_readable(parts[key], other)
        for key in keys
    )


def _vectors(
    checkpoint: Checkpoint, experts: Sequence[Parts], keys: Sequence[str], options: Options
) -> Rows:
    """Return (E, K ELEMENTS) the first elements of K parts of E experts, each of length one."""
    read = []
    for key in keys:
        places = [(parts[key].tensor.index, parts[key].first) for parts in experts]
        read.append(units(runs(checkpoint, places, ELEMENTS, options)))
    return np.concatenate(read, axis=1)


def _unused(own: Stack | None, partners: Iterable[Candidate | None]) -> tuple[int, ...]:
    """Return the numbers of a checkpoint's experts in a place that are none of the child's there.

    What has no partner for lack of values that decide stays with its number.
    """
    if own is None:
        return ()
    taken = {each.source for each in partners if each is not None}
    stay = {row for row, each in enumerate(partners) if each is None}
    return tuple(number for number in sorted(own.experts) if number not in taken | stay)


def _name(
    found: ExpertOrders,
    stack: Stack,
    there: str,
    partners: Sequence[Candidate | None],
) -> None:
    """Say which tensor stands where that of a child's expert is looked for."""
    for number, partner in enumerate(partners):
        for key, part in stack.experts[number].items():
            if partner is not None and key in partner.parts:
                name = f"{there}{part.name.removeprefix(stack.stem)}"
                found.names[name] = partner.parts[key].name


def _routers(
    child: Checkpoint, other: Checkpoint, stack: Stack, own: Stack | None, layers: LayerMap
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield tensors of the child that have a row for each expert of a stack, with the other's."""
    if own is None:
        return
    begin = stack.stem.removesuffix("experts")
    for name in child.core.names():
        if not name.startswith(begin) or ".experts." in name:
            continue
        if place_of(name).component != "router":
            continue
        tensor = child.tensors[name]
        mate = other.tensors.get(renamed_for(name, layers) or "")
        if (
            mate is not None
            and tensor.shape[:1] == (len(stack.experts),)
            and mate.shape == (len(own.experts), *tensor.shape[1:])
            and mate.elements
        ):
            yield tensor, mate


def _matched_rows(
    child: Checkpoint, other: Checkpoint, mine: Tensor, theirs: Tensor, options: Options
) -> list[int]:
    """Return the row of another's matrix that each row of the child's pairs with."""
    one, two = _rows(child, mine, options), _rows(other, theirs, options)
    found = matched(one, two, least_alike(mine.shape[1]), np.arange(mine.shape[0]))
    return [int(each) for each in found]


def _rows(checkpoint: Checkpoint, tensor: Tensor, options: Options) -> Floats:
    """Return (rows, width) a small matrix, or a vector as one of one column."""
    whole = runs(checkpoint, [(tensor.index, 0)], tensor.elements, options)
    return whole.reshape(tensor.shape[0], -1)


def _router_rows(
    child: Checkpoint, other: Checkpoint, mine: Tensor, theirs: Tensor, order: Order,
    options: Options,
) -> tuple[int, ...] | None:  # fmt: skip
    """Return the order of a router's rows: that of the experts, unless rows are liker in place.

    ``None`` if they are in place.
    """
    last = theirs.shape[0]
    rows = tuple(
        source if isinstance(source, int) else min(number, last - 1)
        for number, source in enumerate(order.sources)
    )
    if rows == tuple(range(last)):
        return None
    if mine.shape == theirs.shape:
        one, two = _rows(child, mine, options), _rows(other, theirs, options)
        far = [float(((one - two[list(x)]) ** 2).sum()) for x in (rows, range(last))]
        if not far[0] < far[1]:
            return None
    return rows
