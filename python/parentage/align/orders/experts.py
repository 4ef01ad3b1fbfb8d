"""Experts in another order: permuted, pruned, copied, taken from other layers or a dense MLP."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.layouts.by_layer import counterpart, renamed_for
from parentage.align.layouts.by_name import is_readable
from parentage.align.order import Order
from parentage.align.orders.matching import NONE, least_alike, matched, units
from parentage.align.orders.reading import runs
from parentage.align.orders.stacks import MOST_EXPERTS, modules_of
from parentage.checkpoint import place_of, places_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.align.orders.matching import Rows
    from parentage.align.orders.stacks import Parts, Stack, Stacks
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

ELEMENTS = 256
"""Elements of each part of an expert that are looked at, the first."""

PARTS = 2
"""Parts of an expert that are looked at: what was exchanged alone moves no expert."""

MISSES = 3
"""Layers of which no expert is found anywhere, after which none is looked for in other layers."""

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
    inside: set[str] = field(default_factory=set)
    """Tensors of the child's experts that routers alone paired: what is inside may have moved."""


def expert_orders(
    child: Checkpoint,
    other: Checkpoint,
    stacks: tuple[Stacks, Stacks],
    layers: LayerMap,
    options: Options,
) -> ExpertOrders:
    """Return how the child's experts are to be compared, where it is not each with its number.

    ``stacks`` are the experts of both. The first elements of these decide; the rows of routers,
    where they do not.
    """
    mine, theirs = stacks
    search = _Search(child, other, theirs, layers, options)
    found = ExpertOrders()
    done: set[str] = set()
    for stack in mine.values():
        there = _stem_there(stack.stem, layers)
        # A layer that the child has twice is seen in one order, that of the first.
        if there in done or not _is_numbered(stack):
            continue
        done.add(there)
        own = theirs.get(there)
        if own is not None and not _is_numbered(own):
            continue
        partners = search.partners(stack, own, there)
        found.inside |= search.by_router
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
        for name, row in search.routers(stack, own):
            rows = _router_rows(child, other, name, row, order, options)
            if rows is not None:
                found.rows[row.name] = rows
    # What another layer has of this one is in the child all the same.
    used = set(found.names.values())
    found.orders = [_without(each, theirs, used, layers) for each in found.orders]
    return found


def _stem_there(stem: str, layers: LayerMap) -> str:
    """Return what names of experts begin with where those of a stack of the child are looked for.

    It is empty if its layer is paired with none.
    """
    return (renamed_for(f"{stem}.0.", layers) or "").removesuffix(".0.")


def _without(order: Order, stacks: Stacks, used: set[str], layers: LayerMap) -> Order:
    """Return an order without the unused that are used elsewhere."""
    own = stacks.get(_stem_there(order.tensors[0], layers))
    if own is None:
        return order
    left = tuple(
        number
        for number in order.unused
        if not any(part.name in used for part in own.experts[number].values())
    )
    return replace(order, unused=left)


class _Search:
    """Looks for the child's experts in one checkpoint: what is read of it is read once."""

    def __init__(
        self, child: Checkpoint, other: Checkpoint, stacks: Stacks, layers: LayerMap,
        options: Options,
    ) -> None:  # fmt: skip
        self.child, self.other, self.layers, self.options = child, other, layers, options
        self._stacks = stacks
        self._misses = 0
        self.by_router: set[str] = set()
        """Tensors of experts of the child that were paired last, and by routers alone."""
        self._read: dict[tuple[str, ...], tuple[list[Candidate], Rows]] = {}

    @cached_property
    def _dense(self) -> dict[int | None, dict[str, Parts]]:
        """MLPs that are no experts, by layer."""
        return modules_of(self.other)

    @cached_property
    def _routers(self) -> list[str]:
        """Names of the child's tensors of routers."""
        placed = zip(self.child.core.names(), places_of(self.child.core), strict=True)
        return [
            name
            for name, place in placed
            if place.component == "router" and ".experts." not in name
        ]

    def routers(self, stack: Stack, own: Stack | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield tensors of the child with a row for each expert of a stack, and the other's."""
        if own is None:
            return
        begin = stack.stem.removesuffix("experts")
        for name in self._routers:
            if not name.startswith(begin):
                continue
            tensor = self.child.tensors[name]
            mate = counterpart(name, self.other, self.layers)
            if (
                mate is not None
                and tensor.shape[:1] == (len(stack.experts),)
                and mate.shape == (len(own.experts), *tensor.shape[1:])
                and mate.elements
            ):
                yield tensor, mate

    def partners(self, stack: Stack, own: Stack | None, there: str) -> list[Candidate | None]:
        """Return what each expert of a stack of the child is; ``own`` is the checkpoint's there."""
        experts = [stack.experts[number] for number in range(len(stack.experts))]
        keys = _looked_at(experts, self.child)
        out: list[Candidate | None] = [None] * len(experts)
        self.by_router = set()
        vectors = _vectors(self.child, experts, keys, self.options)
        if not vectors.any():
            return out
        numbered = []
        if own is not None:
            numbered = [Candidate(i, own.experts[i]) for i in range(len(own.experts))]
            _pair(out, vectors, *self._vectors(numbered, keys, experts[0]), is_numbered=True)
        layer = place_of(f"{there}.0.").layer
        dense = [
            Candidate(stem.rsplit(".", 1)[-1], parts)
            for stem, parts in (self._dense.get(layer, {}) if not all(out) else {}).items()
        ]
        _pair(out, vectors, *self._vectors(dense, keys, experts[0]))
        if not all(out) and self._misses < MISSES:
            _pair(out, vectors, *self._everywhere(keys, experts[0]))
        self._misses = 0 if any(out) else self._misses + 1
        if not all(out):
            self._by_router(out, stack, own, numbered)
        return out

    def _vectors(
        self, candidates: Sequence[Candidate], keys: Sequence[str], one: Parts
    ) -> tuple[list[Candidate], Rows]:
        """Return the candidates that have the parts of an expert, and vectors of them."""
        fitting = [x for x in candidates if _fits(one, x.parts, keys, self.other)]
        parts = [each.parts for each in fitting]
        return fitting, _vectors(self.other, parts, keys, self.options)

    def _everywhere(self, keys: Sequence[str], one: Parts) -> tuple[list[Candidate], Rows]:
        """Return the experts of all layers, with vectors; none if there are too many."""
        known = tuple(f"{key} {one[key].shape}" for key in keys)
        if known not in self._read:
            many = sum(len(each.experts) for each in self._stacks.values()) > MOST_ELSEWHERE
            candidates = [
                Candidate(f"{number} of layer {stack.layer}", parts)
                for stack in (() if many else self._stacks.values())
                for number, parts in stack.experts.items()
            ]
            self._read[known] = self._vectors(candidates, keys, one)
        return self._read[known]

    def _by_router(
        self,
        out: list[Candidate | None],
        stack: Stack,
        own: Stack | None,
        numbered: Sequence[Candidate],
    ) -> None:
        """Pair by rows of routers: neurons in another order make an expert like none."""
        for mine, theirs in self.routers(stack, own):
            if len(mine.shape) != 2:
                continue
            rows = [
                _rows(x, each, self.options)
                for x, each in ((self.child, mine), (self.other, theirs))
            ]
            least, home = least_alike(mine.shape[1]), np.arange(mine.shape[0])
            for row, column in enumerate(matched(rows[0], rows[1], least, home).tolist()):
                if out[row] is None and column != NONE:
                    out[row] = numbered[column]
                    self.by_router |= {part.name for part in stack.experts[row].values()}


def _pair(
    out: list[Candidate | None],
    vectors: Rows,
    candidates: Sequence[Candidate],
    theirs: Rows,
    *,
    is_numbered: bool = False,
) -> None:
    """Give experts without a partner the candidate that their values say."""
    left = np.array([i for i, partner in enumerate(out) if partner is None], dtype=np.intp)
    if not len(left) or not candidates:
        return
    found = matched(vectors[left], theirs, least_alike(ELEMENTS), left if is_numbered else None)
    for row, column in zip(left.tolist(), found.tolist(), strict=True):
        if column != NONE:
            out[row] = candidates[column]


def _is_numbered(stack: Stack) -> bool:
    """Return whether experts have the numbers from 0 on, and are not too many."""
    count = len(stack.experts)
    return count <= MOST_EXPERTS and set(stack.experts) == set(range(count))


def _looked_at(experts: Sequence[Parts], child: Checkpoint) -> list[str]:
    """Return the parts that are looked at: the smallest matrices that all experts have alike."""
    first = experts[0]
    keys = [
        key
        for key, part in first.items()
        if len(part.shape) == 2
        and part.elements >= ELEMENTS
        and is_readable(part.tensor, child)
        and all(key in each and each[key].shape == part.shape for each in experts)
    ]
    return sorted(keys, key=lambda key: (first[key].elements, key))[:PARTS]


def _fits(one: Parts, parts: Parts, keys: Sequence[str], other: Checkpoint) -> bool:
    """Return whether a candidate has the parts that are looked at, in the same shapes."""
    return all(
        key in parts
        and parts[key].shape == one[key].shape
        and is_readable(parts[key].tensor, other)
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
    return np.concatenate(read, axis=1) if read else np.zeros((0, 0), dtype=np.float32)


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
