"""Checkpoints seen as the child stores its tensors: other names, and tensors taken apart.

A view has other tensors over the same bytes. Nothing is copied, and all that comes after pairing
reads it as it reads any checkpoint: what is fused and its split twin give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

from parentage.align.layouts.fused import family, pieces
from parentage.align.layouts.prefixes import exchanged
from parentage.support import collection_paused, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.align.layouts.fused import Piece
    from parentage.align.layouts.prefixes import Prefix
    from parentage.align.order import Order
    from parentage.checkpoint import Checkpoint, Tensor

    Shape = tuple[int, ...]

UNPAIRED = "unpaired."
"""What is put before names that are paired with none, where the child has them for another."""

SHOWN = 3
"""Pieces of an example that are told, at most."""


@dataclass(frozen=True)
class Views:
    """A child and others, as far as their tensors can be had under the same names."""

    child: Checkpoint
    others: tuple[Checkpoint, ...]
    remarks: tuple[str, ...] = ()
    """Sentences on what was read under another name, taken apart, or in another order."""
    layers: tuple[LayerMap, ...] | None = None
    """Per other checkpoint, its layers that the child's are of; ``None`` if that is not known."""
    orders: tuple[Order, ...] = ()
    """What is seen in another order than it is stored in."""


@dataclass
class _Names:
    """The names of one checkpoint, as they are read for a child."""

    checkpoint: Checkpoint
    tensors: dict[str, Tensor]
    """By name, as it is read."""
    prefixes: list[Prefix] = field(default_factory=list)
    split: dict[str, list[Piece]] = field(default_factory=dict)
    """By name as it is read, the pieces of what is taken apart."""

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> _Names:
        """Return the names as they are."""
        return cls(checkpoint, {each.name: each for each in checkpoint.tensors.values()})

    def rename(self, names: Mapping[str, str]) -> None:
        """Give tensors other names."""
        self.tensors = {names.get(name, name): each for name, each in self.tensors.items()}

    def shape_of(self, name: str) -> Shape | None:
        """Return the shape of a tensor; ``None`` if there is none."""
        found = self.tensors.get(name)
        return None if found is None else found.shape

    def holds_both(self, name: str) -> bool:
        """Return whether a tensor is here as a whole and in pieces, which need not be the same."""
        shape = self.shape_of(name)
        return shape is not None and pieces(name, shape, self.shape_of) is not None

    def take_apart(self, other: _Names, whole: Sequence[_Names] = ()) -> None:
        """Split what another checkpoint holds in pieces, and this one does not.

        What one of ``whole`` holds in pieces and as a whole stays whole: it has a partner.
        """
        for name, tensor in self.tensors.items():
            # Elements of less than a byte may begin within one.
            is_whole = tensor.elements > 0 and (tensor.end - tensor.begin) % tensor.elements == 0
            if name in other.tensors or name in self.split or not is_whole:
                continue
            found = pieces(name, tensor.shape, other.shape_of)
            is_here = found is not None and any(each.name in self.tensors for each in found)
            if found is not None and not is_here and not any(x.holds_both(name) for x in whole):
                self.split[name] = found

    def view(self) -> Checkpoint:
        """Return the checkpoint with these names and pieces."""
        if not self.split and all(name == each.name for name, each in self.tensors.items()):
            return self.checkpoint
        return self.checkpoint.seen_as(self._all())

    def _all(self) -> Iterable[Tensor]:
        for name, tensor in self.tensors.items():
            if name not in self.split:
                yield tensor._replace(name=name)
                continue
            width = (tensor.end - tensor.begin) // tensor.elements
            for piece in self.split[name]:
                begin = tensor.begin + piece.first * width
                end = begin + prod(piece.shape) * width
                yield tensor._replace(name=piece.name, shape=piece.shape, begin=begin, end=end)


def views(child: Checkpoint, others: Sequence[Checkpoint]) -> Views:
    """Return a child and others as far as their tensors can be had under the child's names.

    What has the same name, and what neither has, stays as it is. Prefixes are exchanged first; then
    what one of two holds in one piece and the other in several is taken apart.

    >>> from parentage.checkpoint import Checkpoint
    >>> from parentage.demo import family
    >>> found = views(Checkpoint.open(family("child")), [Checkpoint.open(family("base"))])
    >>> found.remarks
    ()
    """
    if all(_is_paired(child, other) for other in others):
        return Views(child, tuple(others))
    with collection_paused():
        mine = _Names.of(child)
        theirs = [_Names.of(other) for other in others]
        for other in theirs:
            _exchange(mine, other)
        for other in theirs:
            mine.take_apart(other, theirs)
        # Other checkpoints are seen as the child is, in the pieces that it has by now.
        seen = mine.view()
        apart = mine if seen is child else _Names.of(seen)
        for other in theirs:
            other.take_apart(apart)
        return Views(seen, tuple(other.view() for other in theirs), tuple(_remarks(mine, theirs)))


def _is_paired(child: Checkpoint, other: Checkpoint) -> bool:
    """Return whether all names of the child are the other's as well, or all of the other's its."""
    mine, theirs = child.core.names(), other.core.names()
    if mine == theirs:
        return True
    return set(mine) <= set(theirs) or set(theirs) <= set(mine)


def _exchange(mine: _Names, other: _Names) -> None:
    """Rename what is called otherwise in another checkpoint."""
    lacking = [each for each in mine.tensors if each not in other.tensors]
    spare = [each for each in other.tensors if each not in mine.tensors]
    if not lacking or not spare:
        return
    other.prefixes, _ = exchanged(_families(mine, lacking), _families(other, spare))
    renamed: dict[str, str] = {}
    taken = set(other.tensors)
    for name in spare:
        for prefix in other.prefixes:
            said = prefix.mine + name[len(prefix.theirs) :]
            if name.startswith(prefix.theirs) and said not in taken:
                renamed[name] = said
                taken.add(said)
                break
    other.rename(renamed)


def _families(names: _Names, chosen: Iterable[str]) -> dict[str, Shape]:
    """Return tensors with their shapes; those that may be fused as one, with the size of all.

    So what is fused in one checkpoint and split in another speaks for the same prefix.
    """
    members: dict[str, list[str]] = {}
    for name in chosen:
        members.setdefault(family(name), []).append(name)
    return {
        name: names.tensors[each[0]].shape
        if each == [name]
        else (sum(names.tensors[one].elements for one in each),)
        for name, each in members.items()
    }


def _remarks(mine: _Names, theirs: Sequence[_Names]) -> list[str]:
    """Return sentences on what is read otherwise than it is stored."""
    alike: dict[tuple[Prefix, ...], list[str]] = {}
    for other in theirs:
        if other.prefixes:
            alike.setdefault(tuple(other.prefixes), []).append(other.checkpoint.name)
    said = [
        f"Names begin otherwise in {listed(names)}: {listed(map(_exchanged, prefixes))}."
        for prefixes, names in alike.items()
    ]
    for each in (mine, *theirs):
        if each.split:
            example = min(each.split)
            inside = [piece.name for piece in each.split[example]]
            shown = inside if len(inside) <= SHOWN else [*inside[:SHOWN], "others"]
            said.append(
                f"{len(each.split):,} tensors of {each.checkpoint.name} are read in pieces, as "
                f"{example} in {listed(shown)}."
            )
    return [printable(each) for each in said]


def _exchanged(prefix: Prefix) -> str:
    """Return what stands before names here and there.

    >>> from parentage.align.layouts.prefixes import Prefix
    >>> _exchanged(Prefix("model.", "")), _exchanged(Prefix("a.", "b."))
    ('without "model."', 'with "b." for "a."')
    """
    mine, theirs = (f'"{each}"' if each else "" for each in prefix)
    if not theirs:
        return f"without {mine}"
    return f"with {theirs} for {mine}" if mine else f"with {theirs}"
