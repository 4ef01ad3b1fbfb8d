"""The child paired with each checkpoint by itself; the same elements of all those that have them.

The *main* alignment is over the checkpoints that hold at least half of what the best of them holds:
a LoRA, an autoencoder, a base of text alone takes nothing away from it. What not all of these have,
and what others have, is compared in *partial* alignments, over those that have it. Tensors without
arithmetic are compared byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.held import held
from parentage.align.layouts.by_layer import counterpart
from parentage.align.layouts.by_name import is_readable
from parentage.align.pairing import (
    LEAST_SHARE,
    aligned,
    in_order_of_files,
    nothing_pairs,
    unused,
)
from parentage.align.slices import Unaligned
from parentage.checkpoint import is_whole_coding
from parentage.support import PlanError, collection_paused, listed, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.align.held import Held
    from parentage.align.layouts.by_layer import LayerMap
    from parentage.align.slices import Alignment
    from parentage.checkpoint import Checkpoint, Tensor

    Part = tuple[int, int, int]

MAIN_SHARE = 0.5
"""Least share of what the best checkpoint holds of the child, for another to be in the main set."""


MOST_WAYS = 4
"""Ways of storing codes that an error names."""


class Group(NamedTuple):
    """Slices that certain checkpoints have, and no other of those that are compared in it."""

    columns: tuple[int, ...]
    """The checkpoints, as positions among all that are offered; the first one is the origin of
    displacements."""
    alignment: Alignment


class Bytes(NamedTuple):
    """A tensor that is compared byte for byte: it has no arithmetic, no elements, or is encoded."""

    tensor: int
    column: int
    """The checkpoint, as position among all that are offered."""
    mate: int
    """Its tensor of the same name, shape and dtype, or encoding."""


class Coded(NamedTuple):
    """A tensor of the child that is stored as codes, and the numbers that another has for it."""

    tensor: int
    column: int
    """The checkpoint, as position among all that are offered."""
    mate: int
    """Its tensor of the same name and shape."""


@dataclass(frozen=True)
class Grouped:
    """How a child pairs with all checkpoints that are offered."""

    main: Group
    partial: tuple[Group, ...]
    bytes: tuple[Bytes, ...]
    coded: tuple[Coded, ...]
    """What can be compared by quantising another checkpoint's numbers anew."""
    recoded: tuple[Coded, ...]
    """What another stores as codes and the child as numbers: compared by quantising the child's."""
    held: Held
    layers: tuple[LayerMap, ...]
    """Per checkpoint, its layer that each layer of the child is paired with, if not the same;
    empty if no layer moved."""

    @property
    def unaligned(self) -> tuple[Unaligned, ...]:
        """What no comparison has: of the child, and of the others."""
        return self.main.alignment.unaligned


def main_set(found: Held, candidates: int) -> tuple[int, ...]:
    """Return the checkpoints of the main set, the origin of displacements first.

    The origin is the base, column 0, if it holds half of what the best checkpoint does; else the
    candidate that holds most. Then parents come in, the one that holds most first, and controls at
    last, as long as what all of them have remains half of what the best has.
    """
    covered = found.counts.sum(axis=0)
    least = MAIN_SHARE * float(covered.max(initial=0))
    order = sorted(
        range(len(covered)), key=lambda column: (column >= candidates, -covered[column], column)
    )
    if len(order) and covered[0] >= least:
        order.insert(0, order.pop(order.index(0)))
    chosen: list[int] = []
    shared = np.full(found.counts.shape[0], np.iinfo(np.int64).max)
    for column in order:
        both = np.minimum(shared, found.counts[:, column])
        if both.sum() >= least:
            chosen.append(column)
            shared = both
    return (chosen[0], *sorted(chosen[1:]))


def group(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    candidates: int,
    layers: Sequence[LayerMap] = (),
) -> Grouped:
    """Pair every tensor of ``child`` with each of ``others``, and group what the same ones have.

    The first ``candidates`` of the others are the base and parents, the rest are controls.

    Raises
    ------
    PlanError
        If no checkpoint holds more than :data:`parentage.align.LEAST_SHARE` of the child.
    """
    with collection_paused():
        found = held(child, others, layers=layers, rows=True)
        numbers = found.counts.sum(axis=0)
        paired = int((numbers + _encoded(child, others, found, layers)).max(initial=0))
        if not numbers.any() or paired <= LEAST_SHARE * child.elements:
            left = _left(child, others, found, [], [], layers)
            raise PlanError(nothing_pairs(child, others, found, left))
        return _group(child, others, found, main_set(found, candidates), layers)


def _group(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    found: Held,
    main: tuple[int, ...],
    layers: Sequence[LayerMap],
) -> Grouped:
    inside = frozenset(main)
    parts: dict[tuple[int, ...], list[Part]] = {main: []}
    for index, first, last in _parts(child, found):
        holders = np.flatnonzero(found.counts[index] >= last).tolist()
        if inside <= set(holders):
            parts[main].append((index, first, last))
            holders = [column for column in holders if column not in inside]
        if holders:
            parts.setdefault(tuple(holders), []).append((index, first, last))
    if not any(parts.values()):
        ways = listed(sorted(set(found.barred.values()))[:MOST_WAYS])
        raise PlanError(
            printable(
                f"nothing that {child.name} shares with {listed(x.name for x in others)} is stored "
                f"as numbers ({ways}): there is nothing to compare"
            )
        )
    parts = {columns: chosen for columns, chosen in parts.items() if chosen}
    main = main if main in parts else next(iter(parts))
    groups = {
        columns: Group(columns, aligned(child, others, found, chosen, columns, layers))
        for columns, chosen in parts.items()
    }
    same = _bytes(child, others, found, layers)
    coded = _coded(child, others, layers)
    left = tuple(_left(child, others, found, list(groups.values()), [*same, *coded], layers))
    # The main alignment lists what takes no part in any.
    head = groups.pop(main).alignment
    whole = replace(head, unaligned=left)
    return Grouped(
        Group(main, whole),
        tuple(groups.values()),
        tuple(same),
        tuple(coded),
        _recoded(child, others, found),
        found,
        tuple(layers),
    )


def _parts(child: Checkpoint, found: Held) -> list[Part]:
    """Return the parts of the child's tensors that the same checkpoints have, in order of files."""
    out: list[Part] = []
    for tensor in in_order_of_files(child):
        if tensor.index in found.barred:
            continue
        ends = sorted({*found.counts[tensor.index].tolist(), tensor.elements} - {0})
        out.extend(
            (tensor.index, first, last) for first, last in zip([0, *ends[:-1]], ends, strict=True)
        )
    return out


def _bytes(
    child: Checkpoint, others: Sequence[Checkpoint], found: Held, layers: Sequence[LayerMap]
) -> list[Bytes]:
    """Return what is compared byte for byte, for every checkpoint that has it."""
    same: list[Bytes] = []
    for column, other in enumerate(others):
        # What the child stores plain and another as codes, or the other way, is of another dtype.
        indices = {*found.barred, *(i for (i, at) in found.reasons if at == column)}
        for index in sorted(indices):
            tensor = child.tensors.at(index)
            mate = counterpart(tensor.name, other, layers[column] if layers else {})
            if mate is not None and _is_stored_alike(child, tensor, other, mate):
                same.append(Bytes(index, column, mate.index))
    return same


def _is_stored_alike(child: Checkpoint, tensor: Tensor, other: Checkpoint, mate: Tensor) -> bool:
    """Return whether two tensors can be compared byte for byte."""
    mine, theirs = child.encoding_of(tensor), other.encoding_of(mate)
    if mine is None and theirs is None:
        is_encoded_alike = child.encodings.get(tensor.name) == other.encodings.get(mate.name)
        return is_encoded_alike and (mate.shape, mate.dtype) == (tensor.shape, tensor.dtype)
    whole = is_whole_coding(child, tensor) and is_whole_coding(other, mate)
    return mine is not None and theirs is not None and whole and mine.is_like(theirs)


def _encoded(
    child: Checkpoint, others: Sequence[Checkpoint], found: Held, layers: Sequence[LayerMap]
) -> NDArray[np.int64]:
    """Return (C,) bytes of tensors that each of C others has encoded as the child has them."""
    out = np.zeros(len(others), np.int64)
    if child.encodings:
        for each in _bytes(child, others, found, layers):
            tensor = child.tensors.at(each.tensor)
            out[each.column] += tensor.elements if tensor.name in child.encodings else 0
    return out


def _coded(
    child: Checkpoint, others: Sequence[Checkpoint], layers: Sequence[LayerMap]
) -> list[Coded]:
    """Return what the child stores as codes, for every checkpoint that has it as numbers.

    Codes of one scheme are compared as such.
    """
    out: list[Coded] = []
    for tensor in child.tensors.values():
        encoding = child.encoding_of(tensor)
        if encoding is None:
            continue
        for column, other in enumerate(others):
            mate = counterpart(tensor.name, other, layers[column] if layers else {})
            is_number = mate is not None and mate.shape == tensor.shape and is_readable(mate, other)
            if mate is not None and is_number and not _is_stored_alike(child, tensor, other, mate):
                out.append(Coded(tensor.index, column, mate.index))
    return out


def _recoded(child: Checkpoint, others: Sequence[Checkpoint], found: Held) -> tuple[Coded, ...]:
    """Return what others store as codes and the child as numbers, all of it."""
    out: list[Coded] = []
    for column, other in enumerate(others):
        if not other.codings:
            continue
        for tensor in child.tensors.values():
            mate = int(found.tensors[tensor.index, column])
            if mate < 0 or tensor.index in found.barred or child.encoding_of(tensor) is not None:
                continue
            there = other.tensors.at(mate)
            if there.shape == tensor.shape and other.encoding_of(there) is not None:
                out.append(Coded(tensor.index, column, mate))
    return tuple(out)


def _left(
    child: Checkpoint,
    others: Sequence[Checkpoint],
    found: Held,
    groups: Sequence[Group],
    same: Sequence[Bytes | Coded],
    layers: Sequence[LayerMap],
) -> list[Unaligned]:
    """Return what no comparison has: of the child, and of the others."""
    everywhere = range(len(others))
    compared = {each.tensor for each in same}
    most = found.counts.max(axis=1, initial=0)
    left = []
    for tensor in in_order_of_files(child):
        have = int(most[tensor.index])
        if tensor.index in compared or have == tensor.elements > 0:
            continue
        name = tensor.name
        if have:
            row = tensor.elements // tensor.shape[0]
            name = f"{name}[{have // row}:{tensor.shape[0]}]"
            reason = "rows that no other checkpoint has"
        else:
            reason = found.reason(tensor.index, everywhere)
        left.append(Unaligned(child.name, name, reason, tensor.elements - have))
    used: list[set[int]] = [set() for _ in others]
    for each in groups:
        for column, at in zip(each.columns, range(len(each.columns)), strict=True):
            used[column].update(slice_.extents[at].tensor for slice_ in each.alignment.slices)
    for one in same:
        used[one.column].add(one.mate)
    left.extend(unused(child, others, used, layers))
    return left
