"""Checkpoints seen through what sketches hold of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from parentage import _core
from parentage.align import may_be_fused, views
from parentage.checkpoint import (
    DTYPES,
    Coding,
    Tensor,
    Window,
    adapter_of,
    common_name,
    context_of,
    decoded,
)
from parentage.library.places import Place
from parentage.library.said import is_held, sketch_of
from parentage.sample import Sampled
from parentage.support import PlanError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.checkpoint import Checkpoint, Inputs
    from parentage.library.said import Sketch
    from parentage.stream import Options


def windowed(checkpoint: Checkpoint, places: Mapping[str, Place]) -> Checkpoint:
    """Return a checkpoint of which no more is seen than what is at ``places``, by name.

    What has another shape than a place says is left out. Bits are moved, and none is computed.
    """
    tensors: list[Tensor] = []
    codings: list[Coding] = []
    for each in checkpoint.tensors.values():
        place = places.get(each.name)
        if place is None or place.shape != each.shape:
            continue
        if place.is_whole:
            tensors.append(each)
            continue
        coding = Coding.gather(_rows(each, place), place.width, place.rows)
        end = place.elements * DTYPES[each.dtype].bytes
        shard = checkpoint.places + len(codings)
        codings.append(coding)
        tensors.append(Tensor(0, each.name, each.dtype, place.seen_shape, shard, 0, end))
    view = checkpoint.seen_as(tensors, codings)
    return replace(view, is_part=True)


def _rows(tensor: Tensor, place: Place) -> Window:
    """Return the bytes of all whole rows of ``width`` elements of a tensor."""
    size = DTYPES[tensor.dtype].bytes
    rows = tensor.elements // place.width
    return tensor.window._replace(end=tensor.begin + rows * place.width * size)


def _narrowed(checkpoint: Checkpoint, sketch: Sketch, places: Mapping[str, Place]) -> Checkpoint:
    """Return a sketch of which no more is seen than ``places``, under the names of these.

    ``places`` are part of what it holds, by its own names.
    """
    inside: dict[str, Place] = {}
    for name, place in places.items():
        held = sketch.places[name].finer(place.width)
        at = {row: number for number, row in enumerate(held.rows)}
        shape = sketch.places[name].seen_shape
        inside[name] = Place(shape, place.width, tuple(at[row] for row in place.rows))
    return windowed(checkpoint, inside)


def outline_of(checkpoint: Checkpoint, sketch: Sketch) -> Checkpoint:
    """Return what a sketch was made of as far as names and shapes go: no byte of it can be read."""
    shard, at = checkpoint.shards[0], 0
    tensors = []
    for index, each in enumerate(sorted(sketch.tensors, key=lambda each: each.name)):
        end = at + each.elements * DTYPES[each.dtype].bytes
        tensors.append((index, each.name, each.dtype, each.shape, 0, at, end))
        at = end
    core = _core.Checkpoint.restored(
        str(shard.path),
        None,
        [(str(shard.path), shard.name, at, 0, None, [], None, False)],
        tensors,
        [],
    )
    return replace(checkpoint, core=core, encodings={}, is_part=True, is_outline=True)


def seen_alike(inputs: Inputs, options: Options) -> tuple[Inputs, Sampled | None]:  # noqa: ARG001
    """Return checkpoints of which all are seen at the places that sketches among them hold.

    They are seen under the names that the first sketch has, the child's before others'. With it,
    what that is a sample of; ``None``, and the same inputs, where no sketch takes part.

    Raises
    ------
    CheckpointError
        If a sketch is malformed or of a newer version.
    PlanError
        If the places of two sketches, or a sketch and a checkpoint, have nothing in common.
    """
    given = (inputs.child, *inputs.others)
    sketches = [sketch_of(each) for each in given]
    first = next((index for index, each in enumerate(sketches) if each is not None), None)
    if first is None:
        return inputs, None
    sketch = sketches[first]
    assert sketch is not None
    outline = outline_of(given[first], sketch)
    seeing = [
        _seeing(outline, each, None if index == first else mine)
        for index, (each, mine) in enumerate(zip(given, sketches, strict=True))
    ]
    places, remarks = _compared(sketch, given[first].name, seeing)
    seen = [each.through(places) for each in seeing]
    for each, found in zip(given, seen, strict=True):
        if not len(found.tensors):
            raise PlanError(
                printable(
                    f"nothing that the sketch of {given[first].name} holds is in {each.name} under "
                    "the same name and in the same shape: there is nothing to compare"
                )
            )
    child, *others = seen
    child = replace(child, noted=(*child.noted, *remarks))
    differing, equal = _by_energies(seeing)
    if equal:
        child = replace(child, noted=(*child.noted, *equal))
    used = [places[each.name] for each in child.tensors.values()]
    names = tuple(x.name for x, mine in zip(given, sketches, strict=True) if mine is not None)
    whole = sketches[0].elements if sketches[0] is not None else decoded(inputs.child).elements
    sample = Sampled(
        bytes=sum(x.end - x.begin for one in seen for x in one.tensors.values()),
        share=min(1.0, child.elements / max(whole, 1)),
        elements=child.elements,
        runs=sum(len(each.runs) for each in used),
        run_elements=max((last - begin) * each.width for each in used for begin, last in each.runs),
        slices=len(used),
        # Places that names decide are known before, as those of a seed that is given.
        is_seed_given=not all(mine.seed for mine in sketches if mine is not None),
        sketches=names,
        has_other_names=len(remarks) > 1,
        differing=differing,
    )
    return inputs.replaced(child, others), sample


@dataclass(frozen=True)
class _Seeing:
    """One checkpoint under the names of an outline."""

    checkpoint: Checkpoint
    view: Checkpoint
    """Names and shapes of all of it; of what is no sketch, its bytes as well."""
    sketch: Sketch | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """Of a sketch, by the outline's names, the ones that it has."""

    def place(self, name: str) -> Place | None:
        """Return what a sketch holds under a name of the outline; ``None`` if that is nothing."""
        if self.sketch is None:
            return None
        return self.sketch.places.get(self.names.get(name, ""))

    def through(self, places: Mapping[str, Place]) -> Checkpoint:
        """Return it seen at places."""
        if self.sketch is None:
            return windowed(self.view, places)
        there = {
            self.names[name]: place
            for name, place in places.items()
            if self.names.get(name) in self.sketch.places
        }
        view = _narrowed(self.checkpoint, self.sketch, there)
        back = {self.names[name]: name for name in places if name in self.names}
        return view.seen_as([each._replace(name=back[each.name]) for each in view.tensors.values()])


def _seeing(outline: Checkpoint, each: Checkpoint, mine: Sketch | None) -> _Seeing:
    """Return a checkpoint as the outline of a sketch calls it."""
    own = sketch_of(each) if mine is None else mine
    if mine is None and own is not None:
        # The one whose outline it is.
        names = {name: name for name in outline.core.names()}
        return _Seeing(each, outline, own, names)
    if mine is not None:
        other = outline_of(each, mine)
        whole = {(one.begin, one.end): one.name for one in other.tensors.values()}
        (view,) = views(outline, [other]).others
        found = {
            one.name: whole[one.begin, one.end]
            for one in view.tensors.values()
            if one.shard == 0 and one.elements and (one.begin, one.end) in whole
        }
        return _Seeing(each, view, mine, found)
    adapter = adapter_of(each)
    if adapter is not None:
        raise PlanError(
            printable(f"{each.name} is an adapter ({adapter}): it can not be added to a sketch")
        )
    (view,) = views(outline, [decoded(each)]).others
    return _Seeing(each, view)


def _compared(
    sketch: Sketch, name: str, seeing: Sequence[_Seeing]
) -> tuple[dict[str, Place], list[str]]:
    """Return where all are seen, and sentences on what that leaves out.

    What a sketch does not hold, and its checkpoint has, was not tested: it is left out of all, as
    what another stores in other pieces is. What another does not have at all stays, and is missed.
    """
    places = dict(sketch.places)
    context = context_of([each.name for each in sketch.tensors])
    left: dict[str, list[str]] = {}
    for other in seeing:
        there = set(other.view.core.names())
        for key in list(places):
            held = other.place(key)
            if key not in there:
                if may_be_fused(common_name(key, context)):
                    left.setdefault(other.checkpoint.name, []).append(key)
                    del places[key]
            elif other.sketch is not None:
                both = None if held is None else places[key].common(held)
                if both is None:
                    del places[key]
                else:
                    places[key] = both
    remarks = [f"Rows that are named count what the sketch of {name} holds of each tensor."]
    remarks += [
        f"{len(keys):,} tensors of which the sketch of {name} holds rows are stored in other "
        f"pieces by {other}, as {min(keys)}: they are not compared."
        for other, keys in left.items()
    ]
    ours = {each.name for each in sketch.tensors if is_held(each.dtype)}
    for other in seeing:
        lacking = ours - set(other.view.core.names())
        lacking -= set(left.get(other.checkpoint.name, ()))
        if lacking:
            remarks.append(
                f"By names alone, {len(lacking):,} of {len(ours):,} tensors of {name} are not in "
                f"{other.checkpoint.name}, as {min(lacking)}."
            )
    return places, [printable(each) for each in remarks]


def _by_energies(seeing: Sequence[_Seeing]) -> tuple[tuple[tuple[str, int, str], ...], list[str]]:
    """Return what sums of squares over whole tensors say where all that is held may be equal.

    Per other checkpoint, how many tensors of one dtype have another sum than the child's, and one
    of them; and sentences on those where none has. The sums are those of the core, to the bit.
    """
    child, *others = seeing
    mine = _energies(child)
    differing: list[tuple[str, int, str]] = []
    equal: list[str] = []
    for other in others:
        theirs = _energies(other)
        both = mine.keys() & theirs.keys()
        if not both:
            continue
        unlike = sorted(key for key in both if mine[key] != theirs[key])
        if unlike:
            differing.append((other.checkpoint.name, len(unlike), unlike[0][0]))
        else:
            equal.append(
                printable(
                    f"The sums of squares over all of {len(both):,} tensors, which the sketches "
                    f"hold, are to the last bit those of {other.checkpoint.name}."
                )
            )
    return tuple(differing), equal


def _energies(seeing: _Seeing) -> dict[tuple[str, str, int], float]:
    """Return sums of squares by the outline's name, dtype and version of the arithmetic."""
    sketch = seeing.sketch
    if sketch is None or sketch.energies is None:
        return {}
    called = {there: name for name, there in seeing.names.items()}
    return {
        (called[each.name], each.dtype, sketch.definition): energy
        for each, energy in zip(sketch.measured, sketch.energies.tolist(), strict=True)
        if each.name in called and energy == energy
    }


def first_sketch(checkpoints: Iterable[Checkpoint]) -> str | None:
    """Return the name of the first checkpoint that is a sketch; ``None`` without any."""
    return next((each.name for each in checkpoints if sketch_of(each) is not None), None)
