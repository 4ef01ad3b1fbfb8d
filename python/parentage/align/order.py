"""The order that things of a checkpoint stand in, seen from a child: data, and sentences of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parentage.support import are, listed, number_ranges, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Source = int | str | None
    Sources = tuple[Source, ...]

MOST_NAMED = 6
"""Tensors that a sentence names; of more, the number is."""

MOST_TOLD = 2
"""Orders of one kind that a sentence tells; the evidence holds all of them."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which of a checkpoint's things the child's are compared with, one after the other."""

    checkpoint: str
    kind: str
    """What they are, in the plural: ``experts``, ``neurons``, ``heads``, ``rows``, ``columns``, or
    ``channels``, which run through all layers."""
    layer: int | None
    """The child's layer, if they are in one."""
    tensors: tuple[str, ...]
    """The child's tensors that they are part of, or what their names begin with."""
    sources: tuple[Source, ...]
    """For each of the child's: the number of the checkpoint's in the same place, or where else it
    is; ``None`` where values decide on none."""
    unused: tuple[int, ...] = ()
    """Those of the checkpoint that are none of the child's."""
    size: int = 1
    """Rows or columns of each."""

    @property
    def is_plain(self) -> bool:
        """Whether all are at home, and none is left over."""
        return not self.unused and self.sources == tuple(range(len(self.sources)))

    @property
    def is_in_place(self) -> bool:
        """Whether all rows of the checkpoint are at home, and what follows them was added."""
        paired = [each for each in self.sources if isinstance(each, int)]
        is_home = self.sources[: len(paired)] == tuple(range(len(paired)))
        return self.kind == "rows" and bool(paired) and is_home and not self.unused

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it, in whole."""
        return {
            "checkpoint": self.checkpoint,
            "kind": self.kind,
            "layer": self.layer,
            "tensors": list(self.tensors),
            "sources": list(self.sources),
            "unused": list(self.unused),
            "size": self.size,
        }


def sentences(orders: Sequence[Order]) -> list[str]:
    """Return a sentence for each kind of thing on how the child's are compared; short.

    >>> told = [Order("a", "experts", i, (f"layers.{i}.mlp.experts",), (1, 0, 1)) for i in (0, 1)]
    >>> sentences(told)[0].partition(": ")[2]
    "of layers 0, 1, the child's 0 to 2 are a's 1, 0, 1."
    """
    kinds = dict.fromkeys((each.kind, each.size) for each in orders)
    return [
        printable(_of_kind(*kind, [x for x in orders if (x.kind, x.size) == kind]))
        for kind in kinds
    ]


def _of_kind(kind: str, size: int, orders: Sequence[Order]) -> str:
    """Return the sentence on one kind."""
    # What is in the same order in several checkpoints or layers is told once.
    names: dict[tuple[tuple[str, ...], Sources, tuple[int, ...], int | None], list[str]] = {}
    for each in orders:
        key = _parts(each), each.sources, each.unused, each.layer
        names.setdefault(key, []).append(each.checkpoint)
    groups: dict[tuple[tuple[str, ...], Sources, tuple[int, ...], str], list[int]] = {}
    for (parts, sources, unused, layer), whose in names.items():
        layers = groups.setdefault((parts, sources, unused, listed(whose)), [])
        layers += [] if layer is None else [layer]
    said = []
    for (parts, sources, unused, owner), layers in list(groups.items())[:MOST_TOLD]:
        where = f"layer{'s' if len(layers) > 1 else ''} {number_ranges(layers)}" if layers else ""
        inside = "" if kind == "experts" else listed(parts)
        if len(parts) > MOST_NAMED:
            inside = f"{len(parts):,} tensors"
        place = f"{inside} of {where}" if inside and where else inside or where
        said.append(f"of {place}, {_clause(sources, unused, owner)}")
    left = len(groups) - len(said)
    if left:
        more = f"{left:,} more orders {are(left)}" if left > 1 else "one more order is"
        said.append(f"{more} in the evidence")
    blocks = f" (blocks of {size})" if size > 1 else ""
    return (
        f"{kind.capitalize()}{blocks} are paired by values, not by their order: {'; '.join(said)}."
    )


def _clause(sources: Sources, unused: Sequence[int], owner: str) -> str:
    """Return a clause on what the child's are.

    >>> _clause(("mlp", "mlp"), (), "a")
    "the child's 0, 1 are each a's mlp"
    >>> _clause((0, 2), (1,), "a")
    "the child's 0, 1 are a's 0, 2, and 1 is paired with none"
    """
    mine = number_ranges(range(len(sources)))
    if len(sources) > 1 and len(set(sources)) == 1:
        said = f"the child's {mine} are each {owner}'s {sources[0]}"
    else:
        said = f"the child's {mine} {are(len(sources))} {owner}'s {_sources(sources)}"
    if unused:
        said += f", and {number_ranges(unused)} {are(len(unused))} paired with none"
    return said


def _parts(order: Order) -> tuple[str, ...]:
    """Return what the child's tensors are called in their layer, without their endings.

    >>> _parts(Order("a", "rows", 3, ("model.layers.3.self_attn.q_proj.weight",), (1, 0)))
    ('self_attn.q_proj',)
    """
    ends = (
        each if order.layer is None else each.split(f".{order.layer}.", 1)[-1]
        for each in order.tensors
    )
    return tuple(each.removesuffix(".weight") for each in ends)


def _sources(sources: Iterable[Source]) -> str:
    """Return numbers as runs, and in words what is elsewhere.

    >>> _sources([0, 1, 2, None, "3 of layer 4", "mlp", "mlp"])
    '0 to 2, none, 3 of layer 4, mlp, twice'
    """
    parts: list[list[Source]] = []
    for each in sources:
        is_number = isinstance(each, int)
        last = parts[-1][-1] if parts else None
        joins = bool(parts) and (is_number if isinstance(last, int) else each == last)
        if joins:
            parts[-1].append(each)
        else:
            parts.append([each])
    said = []
    for part in parts:
        numbers = [x for x in part if isinstance(x, int)]
        if numbers:
            said.append(number_ranges(numbers))
            continue
        what = "none" if part[0] is None else str(part[0])
        times = {1: "", 2: ", twice"}.get(len(part), f", {len(part):,} times")
        said.append(f"{what}{times}")
    if len(said) > MOST_RUNS:
        said = [*said[:MOST_RUNS], "..."]
    return ", ".join(said)


MOST_RUNS = 12
"""Parts of an order that a sentence tells."""
