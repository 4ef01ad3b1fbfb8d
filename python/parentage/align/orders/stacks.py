"""Experts of a checkpoint, one by one, be they tensors of their own or indices of stacked ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from parentage.align.layouts.fused import DOWN, GATE_UP
from parentage.align.layouts.strides import Composed, Piece
from parentage.checkpoint import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.checkpoint import Checkpoint, Tensor

    Shape = tuple[int, ...]

_SPLIT = re.compile(r"(.*\.experts)\.([0-9]{1,9})\.(.+)")
_STACKED = re.compile(r"(.*\.experts)\.([^.0-9][^.]*(?:\.weight|\.bias)?)")
_FUSED = re.compile(r"gate_up_proj(?:\.weight)?")

_SPELLINGS = {spelling: spellings[0] for spellings in (*GATE_UP, *DOWN) for spelling in spellings}
"""One name for what is spelled in several ways: ``w1`` is ``gate_proj``."""

MOST_EXPERTS = 1 << 12
"""Most experts of one stack: what has more along its first dimension is none."""


class Part(NamedTuple):
    """A matrix or a vector of one expert."""

    tensor: Tensor
    first: int
    """Its first element in the tensor."""
    shape: Shape
    name: str
    """Its name, as a tensor of its own."""

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)


Parts = dict[str, Part]
"""By what they are, in one spelling."""


class Stack(NamedTuple):
    """The experts of one layer."""

    stem: str
    """What their names begin with."""
    layer: int | None
    experts: dict[int, Parts]
    is_apart: bool
    """Whether all are tensors of their own."""


@lru_cache(maxsize=1024)
def spelled(part: str) -> str:
    """Return the one name for what is spelled in several ways.

    >>> spelled("w1.weight"), spelled("down_proj")
    ('gate_proj.weight', 'down_proj.weight')
    """
    name, dot, end = part.partition(".")
    if name in _SPELLINGS:
        return f"{_SPELLINGS[name]}.{end or 'weight'}"
    return f"{name}{dot}{end}"


Stacks = Mapping[str, Stack]
"""By what the names of their experts begin with."""


def stacks_of(checkpoint: Checkpoint, *, halves: bool = False) -> Stacks:
    """Return the experts of a checkpoint.

    With ``halves``, a stacked ``gate_up_proj`` is taken for its two halves of rows.
    """
    experts: dict[str, dict[int, Parts]] = defaultdict(lambda: defaultdict(dict))
    stacked: set[str] = set()
    for tensor in checkpoint.tensors.values():
        name = tensor.name
        if ".experts." not in name:
            continue
        split = _SPLIT.fullmatch(name)
        if split is not None:
            stem, number, part = split[1], int(split[2]), split[3]
            experts[stem][number][spelled(part)] = Part(tensor, 0, tensor.shape, name)
            continue
        whole = _STACKED.fullmatch(name)
        if whole is None:
            continue
        for number, part, found in _indices(tensor, whole[1], whole[2], halves=halves):
            experts[whole[1]][number][part] = found
            stacked.add(whole[1])
    return {
        stem: Stack(stem, place_of(f"{stem}.0.").layer, dict(found), stem not in stacked)
        for stem, found in experts.items()
    }


def _indices(
    tensor: Tensor, stem: str, part: str, *, halves: bool
) -> Iterator[tuple[int, str, Part]]:
    """Yield the number of an expert, a part of it, and where that lies in a stacked tensor."""
    is_stack = len(tensor.shape) >= 2 and 1 < tensor.shape[0] <= MOST_EXPERTS
    if not is_stack or not tensor.has_whole_bytes:
        return
    shape = tensor.shape[1:]
    each = prod(shape)
    cut = halves and _FUSED.fullmatch(part) and len(shape) == 2 and shape[0] % 2 == 0
    for number in range(tensor.shape[0]):
        first = number * each
        if not cut:
            said = spelled(part)
            yield number, said, Part(tensor, first, shape, f"{stem}.{number}.{said}")
            continue
        half = shape[0] // 2, shape[1]
        for at, said in enumerate(("gate_proj.weight", "up_proj.weight")):
            name = f"{stem}.{number}.{said}"
            yield number, said, Part(tensor, first + at * each // 2, half, name)


def apart(checkpoint: Checkpoint, stacks: Stacks) -> Checkpoint:
    """Return a view where every expert has tensors of its own; the same if all have."""
    if all(each.is_apart for each in stacks.values()):
        return checkpoint
    taken: dict[int, list[Part]] = defaultdict(list)
    for stack in stacks.values():
        for parts in stack.experts.values():
            for part in parts.values():
                taken[part.tensor.index].append(part)
    composed = Composed(checkpoint)
    for tensor in checkpoint.tensors.values():
        if tensor.index not in taken:
            composed.keep(tensor)
        for part in taken[tensor.index]:
            composed.add(tensor, Piece(part.name, part.first, part.shape), part.name)
    return composed.view()


def modules_of(checkpoint: Checkpoint) -> dict[int | None, dict[str, Parts]]:
    """Return MLPs that are no experts, by layer and by what their names begin with."""
    found: dict[int | None, dict[str, Parts]] = defaultdict(lambda: defaultdict(dict))
    for tensor in checkpoint.tensors.values():
        place = place_of(tensor.name)
        if place.component not in ("mlp", "shared_expert"):
            continue
        pieces = tensor.name.split(".")
        stem, part = ".".join(pieces[:-2]), spelled(".".join(pieces[-2:]))
        found[place.layer][stem][part] = Part(tensor, 0, tensor.shape, tensor.name)
    return found
