"""Checkpoints seen as the child stores its tensors: other names, and tensors taken apart.

A view has other tensors over the same bytes. Nothing is copied, and all that comes after pairing
reads it as it reads any checkpoint: what is fused and its split twin give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from parentage.align.deciding import Question, decided
from parentage.align.layouts.by_name import is_readable
from parentage.align.layouts.functions import agrees, function_of
from parentage.align.layouts.fused import family, may_be_fused, readings
from parentage.align.layouts.prefixes import exchanged
from parentage.align.layouts.strides import Composed
from parentage.align.layouts.whole import is_documented, is_spelled_alike, orders
from parentage.align.layouts.widened import columns, is_widened
from parentage.align.orders.reading import runs
from parentage.align.slices import UNPAIRED, Unaligned
from parentage.checkpoint import common_name, context_of, place_of
from parentage.stream import Options
from parentage.support import collection_paused, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.align.layouts.prefixes import Prefix
    from parentage.align.layouts.strides import Reading
    from parentage.align.order import Order
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.support import Floats

    Shape = tuple[int, ...]

MOST_COMPUTED = 1 << 22
"""Elements of a tensor, at most, that are held to say whether it is a function of another."""

_AGREES = {
    True: "and agrees to within rounding",
    False: "and differs by more than rounding",
    None: "and values are not here",
}

MOST_WIDENED = 0.1
"""Share of the elements, at most, in tensors with more columns than another's for these to be taken
apart: else all of the model is of another size."""

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
    aside: tuple[Unaligned, ...] = ()
    """What is stored as a function of the other's, so that bits are not compared, and why."""
    unordered: tuple[str, ...] = ()
    """Others of which no order was looked for, though some matrices are not alike in place."""


@dataclass(frozen=True, slots=True)
class _Computed:
    """A tensor that is a function of one of the child's, or the other way round."""

    mine: str
    """The child's."""
    text: str
    """What is computed."""
    is_mine: bool
    """Whether the child's is the one that is computed."""
    agrees: bool | None
    """Whether all numbers are, to within rounding; ``None`` if they are not here."""


@dataclass
class _Names:
    """The names of one checkpoint, as they are read for a child."""

    checkpoint: Checkpoint
    keys: dict[str, str]
    """By stored name, the one that stands for all that mean the same; no two have one."""
    by_key: dict[str, str]
    """By such a name, the stored one."""
    twice: dict[str, str] = field(default_factory=dict)
    """Stored names that mean the same as another, which they are not called."""
    prefixes: list[Prefix] = field(default_factory=list)
    apart: dict[str, Reading] = field(default_factory=dict)
    """By stored name, the pieces of what is taken apart; they are called by their keys."""
    moved: dict[str, Reading] = field(default_factory=dict)
    """By stored name, what is whole and read in another order."""
    computed: dict[str, _Computed] = field(default_factory=dict)
    """By stored name, what is a function of the child's, or what the child's is one of."""
    left_out: set[str] = field(default_factory=set)
    """Stored names of what is not seen: of such, those that agree."""
    undecided: list[str] = field(default_factory=list)
    """Stored names of what may be stored in several orders, and values tell none."""
    both: list[str] = field(default_factory=list)
    """Stored names of what is here as a whole and in pieces."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, child: _Names | None = None) -> _Names:
        """Return the names; those that the child has as well mean the same here."""
        names = checkpoint.core.names()
        context = context_of(names)
        found = cls(checkpoint, {}, {})
        shared = {} if child is None else child.keys
        for name in sorted(names, key=lambda name: name not in shared):
            key = shared[name] if name in shared else common_name(name, context)
            if key in found.by_key:
                found.twice[name] = found.by_key[key]
                key = name
            found.keys[name] = key
            found.by_key[key] = name
        return found

    def rename(self, keys: Mapping[str, str]) -> None:
        """Give other names to what means the same, by those they have."""
        self.keys = {name: keys.get(key, key) for name, key in self.keys.items()}
        self.by_key = {key: name for name, key in self.keys.items()}

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by stored name."""
        return {each.name: each for each in self.checkpoint.tensors.values()}

    def tensor(self, key: str) -> Tensor | None:
        """Return the tensor that is meant by a name."""
        name = self.by_key.get(key)
        return None if name is None else self.tensors[name]

    def shape_of(self, key: str) -> Shape | None:
        """Return the shape of a tensor; ``None`` if there is none."""
        name = self.by_key.get(key)
        return None if name is None else self.tensors[name].shape

    def holds_both(self, key: str) -> bool:
        """Return whether a tensor is here as a whole and in pieces, which need not be the same."""
        shape = self.shape_of(key)
        return shape is not None and bool(readings(key, shape, self.shape_of))

    def take_apart(self, other: _Names, whole: Sequence[_Names] = ()) -> None:
        """Split what another checkpoint holds in pieces, and this one does not.

        What one of ``whole`` holds in pieces and as a whole stays whole: it has a partner.
        """
        questions: dict[str, Question] = {}
        for name, key in self.keys.items():
            if key in other.by_key or name in self.apart or not may_be_fused(key):
                continue
            tensor = self.tensors[name]
            if not tensor.has_whole_bytes:
                continue
            found = readings(key, tensor.shape, other.shape_of)
            if not found:
                continue
            parts = [each.name for each in found[0].pieces]
            if any(part in self.by_key or part in self.keys for part in parts):
                self.both.append(name)
                continue
            if any(each.holds_both(key) for each in whole):
                continue
            mates = [mate for part in parts if (mate := other.tensor(part)) is not None]
            plain = not found[0].order
            questions[name] = Question(key, tensor, found, mates, plain or len(found) == 1)
        answers = decided(self.checkpoint, other.checkpoint, list(questions.values()))
        for name, answer in zip(questions, answers, strict=True):
            if answer is None:
                self.undecided.append(name)
            else:
                self.apart[name] = answer

    def narrow(self, other: _Names, *, is_child: bool = False) -> dict[str, str]:
        """Take apart what has more columns than another's, where values say which both have.

        Return by key what those tensors are called in the child, as which pieces are called, too.
        """
        questions: dict[str, Question] = {}
        labels: dict[str, str] = {}
        for name, key in self.keys.items():
            mate = other.tensor(key)
            tensor = self.tensors[name]
            if mate is None or mate.shape == tensor.shape or name in self.apart:
                continue
            if not is_widened(tensor.shape, mate.shape):
                continue
            if place_of(name).component in ("embed", "head"):
                return {}  # all of it is of another width
            label = name if is_child else other.by_key[key]
            found = columns(label if is_child else key, label, tensor.shape, mate.shape)
            rest = {piece.name for reading in found for piece in reading.pieces[1:]}
            taken = any(piece in self.keys or piece in self.by_key for piece in rest)
            if tensor.has_whole_bytes and not taken:
                questions[name] = Question(
                    key, tensor, found, [mate], is_documented=False, is_free=False
                )
                labels[name] = label
        most = MOST_WIDENED * self.checkpoint.elements
        if sum(each.tensor.elements for each in questions.values()) > most:
            return {}
        answers = decided(self.checkpoint, other.checkpoint, list(questions.values()))
        chosen = {name: found for name, found in zip(questions, answers, strict=True) if found}
        self.apart |= chosen
        return {self.keys[name]: labels[name] for name in chosen}

    def follow(self, child: _Names, narrowed: Iterable[str]) -> None:
        """Take apart what has the shape of the child's ``narrowed``, as these were: unasked."""
        for name in narrowed:
            reading, there = child.apart[name], self.by_key.get(child.keys[name])
            if there is None or there in self.apart:
                continue
            tensor = self.tensors[there]
            taken = any(piece.name in self.keys for piece in reading.pieces[1:])
            is_alike = tensor.shape == child.tensors[name].shape
            if is_alike and tensor.has_whole_bytes and not taken:
                self.apart[there] = reading

    def compute(self, child: _Names) -> None:
        """Find what is a function of the child's, and leave out on both sides what agrees."""
        no_values = self.checkpoint.is_outline or child.checkpoint.is_outline
        for name, key in self.keys.items():
            there = child.by_key.get(key)
            found = None if there is None else function_of(key, name, there)
            if there is None or found is None:
                continue
            if self.tensors[name].elements != child.tensors[there].elements:
                continue
            function, is_other = found
            is_equal = None
            if not no_values:
                theirs, mine = _values(self, name), _values(child, there)
                if theirs is not None and mine is not None:
                    pair = (theirs, mine) if is_other else (mine, theirs)
                    is_equal = agrees(function, *pair, key, self.shape_of)
            self.computed[name] = _Computed(there, function.text, not is_other, is_equal)
            if is_equal:
                self.left_out.add(name)
                child.left_out.add(there)

    def put_in_order(self, child: _Names) -> None:
        """Find in which order this one stores what the child stores whole as well."""
        questions: dict[str, Question] = {}
        pairs = [
            (name, key, there)
            for name, key in self.keys.items()
            if (there := child.by_key.get(key)) is not None and name not in self.apart
        ]
        # What has one name in both is stored alike, unless shapes of others say that some is not.
        is_transposed = any(
            name == there and _is_turned(self.tensors[name].shape, child.tensors[there].shape)
            for name, _, there in pairs
        )
        for name, key, there in pairs:
            if (name == there and not is_transposed) or name in self.computed:
                continue
            one, two = self.tensors[name], child.tensors[there]
            is_alike = one.shape == two.shape and is_spelled_alike(name, there)
            may_differ = is_transposed and len(one.shape) > 1 and one.shape[-1] == one.shape[-2]
            if (is_alike and not may_differ) or not one.has_whole_bytes:
                continue
            found = orders(key, (name, there), one.shape, two.shape, self.shape_of)
            if len(found) > 1 or (found and one.shape != two.shape):
                plain = is_documented(key, found)
                questions[name] = Question(key, one, found, [two], plain)
        answers = decided(self.checkpoint, child.checkpoint, list(questions.values()))
        for name, answer in zip(questions, answers, strict=True):
            if answer is None:
                self.undecided.append(name)
            elif answer.order or answer.pieces[0].shape != questions[name].tensor.shape:
                self.moved[name] = answer

    def view(self, child: _Names | None = None) -> Checkpoint:
        """Return the checkpoint in these pieces and orders, under the names of the child."""
        if child is None and not self.apart and not self.left_out:
            return self.checkpoint
        called = {name: self._called(key, name, child) for name, key in self.keys.items()}
        is_same = not self.apart and not self.moved and not self.left_out
        if is_same and all(a == b for a, b in called.items()):
            return self.checkpoint
        composed = Composed(self.checkpoint)
        for name, tensor in self.tensors.items():
            if name in self.left_out:
                continue
            if name in self.apart:
                for piece in self.apart[name].pieces:
                    composed.add(tensor, piece, self._called(piece.name, piece.name, child))
            elif name in self.moved:
                composed.add(tensor, self.moved[name].pieces[0], called[name])
            else:
                composed.keep(tensor._replace(name=called[name]))
        return composed.view()

    def _called(self, key: str, name: str, child: _Names | None) -> str:
        """Return what a tensor is called, of a key and a stored name."""
        if child is None:
            return name
        is_paired = name not in self.undecided and name not in self.computed
        if is_paired and key in child.by_key and child.by_key[key] not in child.apart:
            return child.by_key[key]
        if is_paired and key in child.pieces:
            return key
        taken = name in child.keys or name in child.pieces
        return f"{UNPAIRED}{name}" if taken else name

    @cached_property
    def pieces(self) -> frozenset[str]:
        """What the pieces are called of all that is taken apart."""
        return frozenset(piece.name for each in self.apart.values() for piece in each.pieces)

    def in_pieces(self) -> _Names:
        """Return the names of what is seen: of what is taken apart, its pieces."""
        if not self.apart and not self.left_out:
            return self
        keys = {
            name: key
            for name, key in self.keys.items()
            if name not in self.apart and name not in self.left_out
        }
        keys |= {piece: piece for piece in self.pieces}
        return _Names(self.view(), keys, {key: name for name, key in keys.items()})


def views(child: Checkpoint, others: Sequence[Checkpoint]) -> Views:
    """Return a child and others as far as their tensors can be had under the child's names.

    What has the same name, and what neither has, stays as it is. Spellings of one name are one, and
    prefixes are exchanged; what one of two holds in one piece and the other in several is taken
    apart; and what is stored in another order than the child's is read in the child's. Where names
    and shapes leave open which order that is, a sample of values decides, or nothing is paired.

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
        theirs = [_Names.of(other, mine) for other in others]
        for other in theirs:
            _exchange(mine, other)
        for other in theirs:
            other.compute(mine)
        for other in theirs:
            mine.take_apart(other, theirs)
        narrowed: list[str] = []
        for other in theirs:
            if called := mine.narrow(other, is_child=True):
                narrowed += called.values()
                for each in (mine, *theirs):
                    each.rename(called)
        # Other checkpoints are seen as the child is, in the pieces that it has by now.
        apart = mine.in_pieces()
        for other in theirs:
            other.take_apart(apart)
            other.follow(mine, narrowed)
            other.narrow(apart)
            other.put_in_order(apart)
        found = tuple(other.view(mine) for other in theirs)
        aside = {each: None for other in theirs for each in _aside(mine, other)}
        return Views(apart.checkpoint, found, tuple(_remarks(mine, theirs)), aside=tuple(aside))


def _values(names: _Names, name: str) -> Floats | None:
    """Return all numbers of a tensor; ``None`` if it is stored as codes."""
    tensor = names.tensors[name]
    if not is_readable(tensor, names.checkpoint) or tensor.elements > MOST_COMPUTED:
        return None
    place, count = (tensor.index, 0), tensor.elements
    found: Floats = runs(names.checkpoint, [place], count, Options(1), as_is=True)[0]
    return found


def _aside(mine: _Names, other: _Names) -> list[Unaligned]:
    """Return what is a function of the other's, on both sides, with the reason."""
    out = []
    for name, found in other.computed.items():
        sides = ((mine, found.mine), (other, name))
        for (names, each), (_, its), is_it in zip(
            sides, sides[::-1], (found.is_mine, not found.is_mine), strict=True
        ):
            owner = names.checkpoint.name
            of = (
                f"stands for {found.text} of {its}"
                if is_it
                else f"{its} stands for {found.text} of it"
            )
            reason = f"{of}, {_AGREES[found.agrees]}: no bits to compare"
            out.append(Unaligned(owner, each, reason, names.tensors[each].elements))
    return out


def _is_paired(child: Checkpoint, other: Checkpoint) -> bool:
    """Return whether names and shapes leave nothing to ask.

    All names of one of them are the other's as well, and no tensor has in one the shape that it
    has in the other, transposed, or with more columns.
    """
    return is_named_alike(child, other) and not _any_reshaped(child, other)


def is_named_alike(child: Checkpoint, other: Checkpoint) -> bool:
    """Return whether all names of the child are the other's as well, or all of the other's its."""
    mine, theirs = child.core.names(), other.core.names()
    return mine == theirs or set(mine) <= set(theirs) or set(theirs) <= set(mine)


def _any_reshaped(child: Checkpoint, other: Checkpoint) -> bool:
    """Return whether a tensor of one name is transposed in one of two, or has more columns."""
    for index in np.flatnonzero(child.core.mates(other.core) < 0).tolist():
        tensor = child.tensors.at(index)
        found = other.tensors.get(tensor.name) if len(tensor.shape) > 1 else None
        if found is None:
            continue
        mine, theirs = tensor.shape, found.shape
        if _is_turned(mine, theirs) or is_widened(mine, theirs) or is_widened(theirs, mine):
            return True
    return False


def _is_turned(shape: Shape, other: Shape) -> bool:
    """Return whether one of two shapes is the other one transposed, and not the same.

    >>> _is_turned((4, 2, 3), (4, 3, 2)), _is_turned((3, 3), (3, 3))
    (True, False)
    """
    return shape != other and len(shape) > 1 and other == (*shape[:-2], shape[-1], shape[-2])


def _exchange(mine: _Names, other: _Names) -> None:
    """Rename what begins otherwise in another checkpoint."""
    lacking = [key for key in mine.by_key if key not in other.by_key]
    spare = [key for key in other.by_key if key not in mine.by_key]
    if not lacking or not spare:
        return
    families = _families(mine, lacking)
    other.prefixes, _ = exchanged(families, _families(other, spare))
    renamed: dict[str, str] = {}
    taken = set(other.by_key)
    for key in spare:
        for prefix in other.prefixes:
            said = prefix.mine + key[len(prefix.theirs) :]
            if key.startswith(prefix.theirs) and said not in taken and family(said) in families:
                renamed[key] = said
                taken.add(said)
                break
    other.rename(renamed)


def _families(names: _Names, chosen: Iterable[str]) -> dict[str, Shape]:
    """Return tensors with their shapes; those that may be fused as one, with the size of all.

    So what is fused in one checkpoint and split in another speaks for the same prefix; and what is
    transposed in one, too.
    """
    members: dict[str, list[str]] = {}
    for key in chosen:
        members.setdefault(family(key), []).append(key)

    def shape(keys: Sequence[str]) -> Shape:
        found = [names.shape_of(key) or () for key in keys]
        if len(found) == 1 and keys[0] == family(keys[0]):
            return tuple(sorted(size for size in found[0] if size != 1))
        return (sum(prod(each) for each in found),)

    return {name: shape(keys) for name, keys in members.items()}


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
    for other in theirs:
        said += _spellings(mine, other)
    for each in (mine, *theirs):
        said += _orders(each)
    return [printable(each) for each in said]


def _spellings(mine: _Names, other: _Names) -> list[str]:
    """Return a sentence on what is called otherwise, beyond how names begin."""
    found = [
        (name, there)
        for name, key in other.keys.items()
        if (there := mine.by_key.get(key)) is not None and not is_spelled_alike(name, there)
    ]
    if not found:
        return []
    name, there = min(found)
    return [
        f"{len(found):,} tensors of {other.checkpoint.name} are called otherwise, as {name} for "
        f"{there}."
    ]


def _orders(names: _Names) -> list[str]:
    """Return sentences on what one checkpoint holds in pieces or another order, or is not told."""
    owner, said = names.checkpoint.name, []
    if names.apart:
        example = min(names.apart)
        inside = [piece.name for piece in names.apart[example].pieces]
        shown = inside if len(inside) <= SHOWN else [*inside[:SHOWN], "others"]
        said.append(
            f"{len(names.apart):,} tensors of {owner} are read in pieces, as {example} in "
            f"{listed(shown)}."
        )
    by_order: dict[tuple[str, str], list[str]] = {}
    for name, reading in (*names.apart.items(), *names.moved.items()):
        if reading.order:
            how = "plus a number" if reading.pieces[0].shift else "in another order"
            by_order.setdefault((how, reading.order), []).append(name)
    said += [
        f"{len(those):,} tensors of {owner} are read {how}, as {min(those)}: {order}."
        for (how, order), those in by_order.items()
    ]
    for is_equal in (True, False, None):
        those = {name: each for name, each in names.computed.items() if each.agrees is is_equal}
        if those:
            name = min(those)
            one = those[name]
            of, it = (one.mine, name) if one.is_mine else (name, one.mine)
            said.append(
                f"{len(those):,} tensors of {owner}, as {name}, are not compared bit for bit: "
                f"{of} stands for {one.text} of {it}, {_AGREES[is_equal]}."
            )
    if names.undecided:
        count = len(names.undecided)
        said.append(
            f"{count:,} tensors of {owner}, as {min(names.undecided)}, may be stored in several "
            "orders, and values tell none: they are not paired."
        )
    if names.both:
        said.append(
            f"{len(names.both):,} tensors of {owner}, as {min(names.both)}, are there as a whole "
            "and in pieces, which need not be the same: the whole is not taken apart."
        )
    return said


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
