"""How much of the child is a checkpoint's, and how much of that checkpoint is in the child."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import UNPAIRED, how_names_differ
from parentage.checkpoint import body_layers, dtype_class, place_of
from parentage.support import listed, percent
from parentage.verdict.constants import constant_elements
from parentage.verdict.naming import named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.statistics import Statistics
    from parentage.verdict.case import TraceInputs


@dataclass(frozen=True, slots=True)
class Whole:
    """The child and one checkpoint, tensor by tensor: what they share, and what each lacks."""

    name: str
    elements: int
    """Elements of the checkpoint."""
    tensors: int
    """Tensors of the checkpoint."""
    held: int
    """Of its elements, those that took part: that some element of the child was compared with."""
    compared: int
    """The child's elements that were compared with it."""
    same: int
    """Of those, the ones in slices that are its own, bit for bit, in its dtype."""
    cast: int
    """The ones in slices that are its own after a cast to the child's dtype, or quantised anew."""
    requantised: int = 0
    """Of those, the codes that its numbers give, quantised with the child's scales, and these."""
    is_in_place: bool = True
    """Whether all that was compared has the name that it has in the checkpoint."""
    is_reordered: bool = False
    """Whether experts, rows or columns of it were compared in another order than its own."""
    own: tuple[str, ...] = ()
    """Tensors of the child that the checkpoint lacks, or rows of them."""
    own_elements: int = 0
    missing: tuple[str, ...] = ()
    """Tensors of the checkpoint that the child lacks, or rows of them."""
    missing_elements: int = 0
    cut: int = 0
    """Of the missing, the tensors of which the child has some rows."""
    coded: tuple[str, ...] = ()
    """Tensors that the checkpoint stores as codes, and the child as numbers: they took no part."""
    unlike: tuple[str, ...] = ()
    """Tensors of the checkpoint that the child has in another shape, or as another kind of numbers:
    they took no part."""
    empty: tuple[str, ...] = ()
    """Of the missing, the ones that the child has without elements."""
    shared_tensors: int = 0
    """Tensors of the child that hold data and were compared with it."""
    tied: str = ""
    """What a tied embedding stands in for, as a clause; empty if it does not."""
    moves: tuple[tuple[int, int], ...] = ()
    """Layers of the child with the checkpoint's that they are compared with, if some moved."""
    layers: int = 0
    """Layers of the checkpoint."""

    @property
    def share(self) -> float:
        """The share of the checkpoint's elements that took part."""
        return self.held / self.elements if self.elements else 0.0

    @property
    def is_equal(self) -> bool:
        """Whether all that was compared is the checkpoint's, if after a cast."""
        return self.compared > 0 and self.same + self.cast == self.compared

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing and nothing is added, and all of it is in place."""
        is_in_place = self.is_in_place and not self.is_reordered
        return (
            is_in_place
            and not self.own
            and not (self.missing or self.unlike)
            and self.held == self.elements
        )


@dataclass(frozen=True, slots=True)
class Wholes:
    """What there is and what is missing, of the child and of every checkpoint offered."""

    child_elements: int = 0
    compared: int = 0
    """The child's elements that were compared with any checkpoint."""
    uncompared: tuple[str, ...] = ()
    """Tensors of the child that were compared with none, or rows of them."""
    strange: int = 0
    """Elements that only some checkpoints have, or that have no arithmetic, and that are no copies
    of any of them."""
    aside: tuple[str, ...] = ()
    """Sentences on what the child and some checkpoints have, and not all of the main ones."""
    constants: Callable[[], int] = lambda: 0
    """Elements of slices that are equal in all checkpoints of the main alignment, and computed, not
    learned: they prove no kinship and no mismatch. Asked for only where it is told, since it reads
    them."""
    slices: int = 0
    """Slices, and tensors compared byte for byte, that these are in."""
    by_name: Mapping[str, Whole] = field(default_factory=dict)
    """Per base, parent and control, in the order they were offered."""
    candidates: tuple[str, ...] = ()
    """Of them, base and parents."""
    main: tuple[str, ...] = ()
    """Of them, those that the main alignment is over, the origin of displacements first."""
    promised_layers: int | None = None
    """Layers that the child's config.json promises, if there are fewer."""
    layers: int = 0
    """Layers that the child has."""
    unread: tuple[str, ...] = ()
    """Per checkpoint with files beside it that were not read, a sentence."""
    unread_child: bool = False
    """Whether loaders would take another file for the child than what was read."""
    stand_in: str = ""
    """A sentence, if the base holds too little of the child to be the origin."""
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Slices and tensors of the child that are whole copies, each under one checkpoint: that which
    has most."""
    unsourced: int = 0
    """Elements that were compared, and are in no such copy."""
    cast_pieces: int = 0
    """Of these slices and tensors, those that are copies after a cast, or quantised anew."""
    computed: int = 0
    """Further elements of the child, which are a function of some checkpoint's to within rounding:
    bits of them are not compared."""

    @property
    def coverage(self) -> float:
        """The share of the child's elements that were compared."""
        return self.compared / self.child_elements if self.child_elements else 0.0

    @property
    def nearest(self) -> Whole | None:
        """The candidate with the largest share of the child in slices that are its own."""
        found = [self.by_name[name] for name in self.candidates]
        return max(found, key=lambda each: each.same + each.cast, default=None)

    @property
    def most(self) -> float:
        """The largest share of a candidate's elements that took part; 1 without any."""
        return max((self.by_name[name].share for name in self.candidates), default=1.0)


@dataclass(slots=True)
class _Sums:
    """What is known of one checkpoint so far, by tensor of the child."""

    compared: Counter[int] = field(default_factory=Counter)
    same: Counter[int] = field(default_factory=Counter)
    cast: Counter[int] = field(default_factory=Counter)
    held: dict[tuple[int, int], int] = field(default_factory=dict)
    """By tensor of the checkpoint and first element, the elements that took part."""
    requantised: int = 0
    """Elements that are its numbers, quantised with the child's scales."""
    mates: set[tuple[int, int]] = field(default_factory=set)
    """Tensors of the child with those of the checkpoint."""
    moves: set[tuple[int, int]] = field(default_factory=set)
    """Layers of the child with those of the checkpoint that they were compared with."""


def gather_wholes(case: TraceInputs, statistics: Statistics) -> Wholes:
    """Count, for every checkpoint offered, what it shares with the child and what each lacks."""
    offered = case.offered
    child, others = offered.child, offered.others
    sums = [_Sums() for _ in others]
    passes = [(case.main, case.alignment, statistics)]
    passes += [
        (each.group.columns, each.group.alignment, each.statistics) for each in case.rest.parts
    ]
    pieces: dict[tuple[int, int], tuple[str, int]] = {}
    copies: dict[tuple[int, int], list[int]] = {}
    casts: dict[tuple[int, int], list[int]] = {}
    for columns, alignment, found in passes:
        _add(sums, columns, alignment, found, copies, casts)
        for each in alignment.slices:
            pieces[each.extents[-1]] = each.name, each.elements
    tensors = list(child.tensors.values())
    for pair, is_same in case.rest.bytes:
        one, elements = sums[pair.column], tensors[pair.tensor].elements
        one.compared[pair.tensor] += elements
        one.same[pair.tensor] += elements * is_same
        one.held[pair.mate, 0] = elements
        one.mates.add((pair.tensor, pair.mate))
        pieces[pair.tensor, 0] = tensors[pair.tensor].name, elements
        if is_same:
            copies.setdefault((pair.tensor, 0), []).append(pair.column)
    for coded, is_same in case.rest.codes:
        one = sums[coded.column]
        one.mates.add((coded.tensor, coded.mate))
        index, elements = coded.tensor, tensors[coded.tensor].elements
        one.held[coded.mate, 0] = elements
        one.compared[index] += elements
        one.cast[index] += elements * is_same
        one.requantised += elements * is_same
        pieces[index, 0] = tensors[index].name, elements
        if is_same:
            casts.setdefault((index, 0), []).append(coded.column)
    in_main = {each.extents[-1] for each in case.alignment.slices}
    sources, unsourced = _sources(pieces, copies, casts, others)
    reordered = {each.checkpoint for each in case.orders if not each.is_in_place}
    wholes = {
        other.name: _whole(
            child,
            other,
            one,
            case.rest.tied.get(column),
            case.stored.get(other.name) if other.name in reordered else None,
        )
        for column, (other, one) in enumerate(zip(others, sums, strict=True))
    }
    aside = {place for place in pieces if place not in in_main}
    if any(each.inside == each.elements for each in case.rest.blends):
        # A recipe gives all codes, and the verdict says so.
        aside -= {(pair.tensor, 0) for pair, _ in case.rest.codes}
    layers = len(body_layers(child.core))
    promised = child.promised_layers
    return Wholes(
        child_elements=child.elements,
        computed=_computed(case, child),
        compared=sum(elements for _, elements in pieces.values()),
        slices=len(pieces),
        uncompared=_uncompared(child, pieces),
        strange=sum(
            pieces[place][1] for place in aside if not copies.get(place) and not casts.get(place)
        ),
        aside=(*_aside(case, aside, pieces, copies, casts), *_other_codes(case)),
        by_name=wholes,
        sources=sources,
        unsourced=unsourced,
        cast_pieces=sum(1 for place in pieces if casts.get(place) and not copies.get(place)),
        candidates=tuple(each.name for each in others[: offered.candidates]),
        constants=lambda: constant_elements(case.alignment, statistics, case.options),
        main=tuple(each.name for each in case.inputs.others),
        promised_layers=promised if promised is not None and 0 < layers < promised else None,
        layers=layers,
        unread=tuple(f"{each.name}: {each.unread}" for each in (child, *others) if each.unread),
        unread_child=child.unread.preferred is not None,
        stand_in=_stand_in(case, wholes),
    )


def _computed(case: TraceInputs, child: Checkpoint) -> int:
    """Return the elements of the child that are left out as a function of another's."""
    sizes = {each.tensor: each.elements for each in case.aside if each.checkpoint == child.name}
    return sum(elements for name, elements in sizes.items() if name not in child.tensors)


def _add(
    sums: Sequence[_Sums],
    columns: Sequence[int],
    alignment: Alignment,
    statistics: Statistics,
    copies: dict[tuple[int, int], list[int]],
    casts: dict[tuple[int, int], list[int]],
) -> None:
    """Add the slices of one alignment to the sums of the checkpoints that it is over."""
    slices = alignment.slices
    for at, column in enumerate(columns):
        one = sums[column]
        is_equal = _equal_as_far_as_read(slices, statistics, at).tolist()
        for each, equal, dtype in zip(slices, is_equal, alignment.dtypes[at], strict=True):
            mine, place = each.extents[-1].tensor, each.extents[at]
            one.compared[mine] += each.elements
            if equal:
                is_same = dtype == each.dtype
                counter = one.same if is_same else one.cast
                counter[mine] += each.elements
                kept = copies if is_same else casts
                kept.setdefault(each.extents[-1], []).append(column)
            one.held[place] = each.elements
            one.mates.add((mine, place.tensor))
            source = each.source_layers[at] if each.source_layers else None
            if each.layer is not None and source is not None:
                one.moves.add((each.layer, source))


def _equal_as_far_as_read(
    slices: Sequence[Slice], statistics: Statistics, column: int
) -> NDArray[np.bool_]:
    """Return which slices are equal to those of a column.

    One of which a sample has nothing is taken to be as all of its component that were read.
    """
    table = statistics.slices
    found: NDArray[np.bool_] = table.equal[:, column] == table.n
    is_read = table.n > 0
    if not is_read.all():
        names = np.array([each.component for each in slices])
        for name in np.unique(names[~is_read]):
            of_it = names == name
            known = found[of_it & is_read]
            found[of_it & ~is_read] = bool(len(known) and known.all())
    return found


def _sources(
    pieces: Mapping[tuple[int, int], tuple[str, int]],
    copies: Mapping[tuple[int, int], Sequence[int]],
    casts: Mapping[tuple[int, int], Sequence[int]],
    others: Sequence[Checkpoint],
) -> tuple[dict[str, tuple[str, ...]], int]:
    """Return which pieces are copies of which checkpoint, and the elements that are nobody's."""
    known = {**casts, **copies}
    held: Counter[int] = Counter()
    for place, columns in known.items():
        for column in columns:
            held[column] += pieces[place][1]
    out: dict[int, list[str]] = {}
    unsourced = 0
    for place, (name, elements) in pieces.items():
        if found := known.get(place):
            column = min(found, key=lambda column: (-held[column], column))
            out.setdefault(column, []).append(name)
        else:
            unsourced += elements
    return {others[column].name: tuple(out[column]) for column in sorted(out)}, unsourced


def _whole(
    child: Checkpoint,
    other: Checkpoint,
    one: _Sums,
    is_tied: bool | None,
    stored: tuple[int, int] | None = None,
) -> Whole:
    """Return what the child and one checkpoint share, and what each lacks.

    ``stored`` are its tensors and elements, if it is seen in another order: some several times.
    """
    mine, yours = child.core.names(), other.core.names()
    moved = [(a, b) for a, b in one.mates if mine[a] != yours[b]]
    stands_in = [(a, b) for a, b in moved if place_of(mine[a]).component == "head"]
    sizes = [tensor.elements for tensor in other.tensors.values()]
    held: Counter[int] = Counter()
    for (b, _), elements in one.held.items():
        held[b] = min(held[b] + elements, sizes[b])
    own, missing, unlike, empty, tied, coded = [], [], [], [], [], []
    scales = {scale: name for name, scale in other.scales.items()}
    own_elements = missing_elements = unlike_elements = cut = 0
    for tensor in child.tensors.values():
        left = tensor.elements - one.compared[tensor.index]
        if left and one.compared[tensor.index]:
            rows = tensor.elements // tensor.shape[0]
            own.append(f"{left // rows:,} rows of {tensor.name}")
        elif left:
            own.append(tensor.name)
        own_elements += left
    for tensor in sorted(other.tensors.values(), key=lambda each: each.name.removeprefix(UNPAIRED)):
        left = tensor.elements - held.get(tensor.index, 0)
        if left and place_of(tensor.name)[:2] == ("head", None) and is_tied:
            tied.append(f"{tensor.name} of {other.name} is its embedding, and is left out")
            held[tensor.index] = tensor.elements
            continue
        if left and held.get(tensor.index, 0):
            rows = tensor.elements // tensor.shape[0]
            missing.append(f"{left // rows:,} rows of {tensor.name}")
            cut += 1
        elif left and _is_coded(scales.get(tensor.name, tensor.name), child, other):
            if tensor.name not in scales:
                coded.append(tensor.name)
            continue
        elif left:
            told, found = _told(tensor, other), child.tensors.get(tensor.name)
            if found is not None and _is_unlike(found, tensor) and not one.compared[found.index]:
                unlike.append(tensor.name)
                unlike_elements += left
                continue
            missing.append(told)
            cut += told != tensor.name.removeprefix(UNPAIRED)
            if found is not None and found.elements == 0:
                empty.append(tensor.name)
        elif not tensor.elements and tensor.index not in held:
            missing.append(tensor.name)
        missing_elements += left
    for a, b in sorted(stands_in):
        tied.append(f"{yours[b]} of {other.name} stands in for {mine[a]}, which it does not hold")
    tensors, elements = (len(other.tensors), other.elements) if stored is None else stored
    return Whole(
        name=other.name,
        elements=elements,
        tensors=tensors,
        held=sum(held.values())
        if stored is None
        else elements - missing_elements - unlike_elements,
        compared=sum(one.compared.values()),
        same=sum(one.same.values()),
        cast=sum(one.cast.values()),
        requantised=one.requantised,
        is_in_place=len(moved) == len(stands_in),
        is_reordered=stored is not None,
        own=tuple(own),
        own_elements=own_elements,
        missing=tuple(missing),
        missing_elements=missing_elements,
        cut=cut,
        coded=tuple(coded),
        unlike=tuple(unlike),
        empty=tuple(empty),
        shared_tensors=sum(1 for count in one.compared.values() if count),
        tied="; ".join(tied),
        moves=tuple(sorted(one.moves)) if any(a != b for a, b in one.moves) else (),
        layers=len(body_layers(other.core)),
    )


def _is_unlike(mine: Tensor, yours: Tensor) -> bool:
    """Return whether two tensors of one name that hold something can not be compared."""
    is_other = dtype_class(mine.dtype) != dtype_class(yours.dtype)
    return mine.elements > 0 and (mine.shape != yours.shape or is_other)


def _told(tensor: Tensor, other: Checkpoint) -> str:
    """Return what a tensor is called that the child lacks: by the name that it has in its files."""
    name = tensor.name.removeprefix(UNPAIRED)
    whole = other.tensors.get(name)
    if name == tensor.name or whole is None or whole.shape == tensor.shape:
        return name
    # Of a tensor in another order, it is what none of the child's is.
    is_rows = whole.shape[1:] == tensor.shape[1:]
    count = tensor.shape[0] if is_rows else tensor.shape[-1]
    what = "row" if is_rows else "column"
    return f"{count:,} {what if count == 1 else f'{what}s'} of {name}"


def _is_coded(name: str, child: Checkpoint, other: Checkpoint) -> bool:
    """Return whether a tensor is codes with scales in a checkpoint, and plain in the child."""
    mine = child.tensors.get(name)
    return name in other.scales and name not in child.scales and mine is not None


def _uncompared(
    child: Checkpoint, pieces: Mapping[tuple[int, int], tuple[str, int]]
) -> tuple[str, ...]:
    """Return what of the child was compared with nothing."""
    compared: Counter[int] = Counter()
    for (index, _), (_, elements) in pieces.items():
        compared[index] += elements
    out = []
    for tensor in child.tensors.values():
        left = tensor.elements - compared[tensor.index]
        if left and compared[tensor.index]:
            out.append(f"{left // (tensor.elements // tensor.shape[0]):,} rows of {tensor.name}")
        elif left:
            out.append(tensor.name)
    return tuple(out)


def _aside(
    case: TraceInputs,
    places: set[tuple[int, int]],
    pieces: Mapping[tuple[int, int], tuple[str, int]],
    copies: Mapping[tuple[int, int], Sequence[int]],
    casts: Mapping[tuple[int, int], Sequence[int]],
) -> tuple[str, ...]:
    """Return what became of slices that not all of the main checkpoints have."""
    others = case.offered.others
    found: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    for place in sorted(places):
        columns = copies.get(place) or casts.get(place, ())
        whose = tuple(others[column].name for column in columns)
        found.setdefault((place in copies, whose), []).append(pieces[place][0])
    said = []
    for (is_same, whose), names in found.items():
        what = f"Compared apart, {named(names)}:"
        if is_same:
            said.append(f"{what} bit for bit as in {listed(whose)}.")
        elif whose:
            said.append(f"{what} as in {listed(whose)}, cast or quantised to the child's dtype.")
        else:
            said.append(f"{what} bit for bit as in none of those that have it.")
    return tuple(said)


def _other_codes(case: TraceInputs) -> tuple[str, ...]:
    """Return of how many codes quantised tensors differ from what another's numbers give."""
    child, others = case.offered.child, case.offered.others
    nearest: dict[int, tuple[int, int, int]] = {}
    for coded, elements, differing in case.rest.other_codes:
        known = nearest.get(coded.tensor)
        if known is None or differing < known[0]:
            nearest[coded.tensor] = (differing, elements, coded.column)
    names = child.core.names()
    groups: dict[int, list[int]] = {}
    for tensor, (_, _, column) in nearest.items():
        groups.setdefault(column, []).append(tensor)
    said = []
    for column, tensors in sorted(groups.items()):
        differing = sum(nearest[each][0] for each in tensors)
        elements = sum(nearest[each][1] for each in tensors)
        whose = others[column].name
        said.append(
            f"Of {named([names[each] for each in tensors])}, all but {differing:,} of {elements:,} "
            f"codes compared are what quantising {whose} with the scales stored beside them gives."
        )
    return tuple(said)


def _stand_in(case: TraceInputs, wholes: Mapping[str, Whole]) -> str:
    """Return what is said where the base is not the origin of displacements."""
    offered = case.offered
    if case.grouped is None or offered.base.name == case.inputs.base.name:
        return ""
    base = wholes[offered.base.name]
    share = base.compared / offered.child.elements if offered.child.elements else 0.0
    what = f"pairs with {percent(share)}" if share else "pairs with nothing"
    differ = how_names_differ(base.own, base.missing)
    how = f" ({differ})" if differ else ""
    return (
        f"{base.name}, given as the base, {what} of {offered.child.name} by name{how}, so "
        f"displacements are measured from {case.inputs.base.name}."
    )
