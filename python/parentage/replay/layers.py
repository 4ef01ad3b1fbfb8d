"""Which layers of its checkpoints a recipe makes the layers of its result of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parentage import _core
from parentage.align import align, pair_by_name, renamed_for, tables
from parentage.checkpoint import body_layers, is_of_the_body, layer_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from parentage.align import Alignment, Extent, LayerMap, Slice
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.recipe import Recipe


def layers_of(recipe: Recipe) -> dict[str, tuple[int | None, ...]]:
    """Return by checkpoint the layer that each layer of the result is made of.

    Empty if all have the place that they have in all checkpoints. Recipes that were written before
    :attr:`parentage.recipe.Recipe.layers` was say it by slice, for all checkpoints.
    """
    told = recipe.fitted.get("layer")
    if recipe.layers or not told:
        return dict(recipe.layers)
    known = {layer_of(name): layer_of(name) for name in recipe.sources}
    known |= {layer_of(name): int(value) for name, value in told.items()}
    length = max((layer for layer in known if layer is not None), default=-1) + 1
    sources = tuple(known.get(layer) for layer in range(length))
    return dict.fromkeys(recipe.checkpoints, sources) if sources else {}


def layer_maps(recipe: Recipe, names: Sequence[str], child: Checkpoint) -> list[LayerMap]:
    """Return per checkpoint which of its layers those of a child are compared with.

    Empty if all are those of the same number.
    """
    found = layers_of(recipe)
    if not found:
        return []
    length = _length(found)
    numbers = sorted({*range(length), *body_layers(child.core)})
    maps: list[LayerMap] = []
    for name in names:
        sources = found.get(name, tuple(range(length)))
        made = {layer: sources[layer] if layer < length else None for layer in numbers}
        maps.append({layer: source for layer, source in made.items() if layer != source})
    return maps


def _length(layers: Mapping[str, tuple[int | None, ...]]) -> int:
    """Return how many layers the result has."""
    return len(next(iter(layers.values())))


def made_of(recipe: Recipe, checkpoint: Checkpoint) -> list[tuple[str, Tensor]]:
    """Return the names of the result's tensors, each with the one of a checkpoint it is made of.

    They are in the order of the checkpoint's; a layer that is taken twice is there twice.
    """
    found = layers_of(recipe)
    tensors = checkpoint.tensors.values()
    if not found:
        return [(tensor.name, tensor) for tensor in tensors]
    places: dict[int, list[int]] = defaultdict(list)
    sources = found.get(checkpoint.name, tuple(range(_length(found))))
    for layer, source in enumerate(sources):
        if source is not None:
            places[source].append(layer)
    out: list[tuple[str, Tensor]] = []
    for tensor in tensors:
        component, source, _ = place_of(tensor.name)
        if source is None or not is_of_the_body(component):
            out.append((tensor.name, tensor))
            continue
        for layer in places[source]:
            out.append((renamed_for(tensor.name, {source: layer}) or tensor.name, tensor))
    return out


@dataclass(frozen=True)
class Made:
    """The slices of what a recipe makes, and where their elements lie in its checkpoints."""

    alignment: Alignment
    """The reference takes the child's part; slices have the names of the result."""
    owners: tuple[str, ...]
    """Per slice, the result's tensor that it is of."""
    reasons: dict[str, str]
    """Per tensor of the result that is not in all checkpoints, why."""


def made_alignment(
    recipe: Recipe,
    reference: Checkpoint,
    others: Sequence[Checkpoint],
    pairing: Callable[[Tensor, Checkpoint], Extent | str] = pair_by_name,
) -> Made:
    """Pair what a recipe makes, which has the reference's tensors, with all its checkpoints.

    Raises
    ------
    PlanError
        If nothing pairs.
    """
    slices: list[Slice] = []
    owners: list[str] = []
    reasons: dict[str, str] = {}
    for number, (layers, maps) in enumerate(_rounds(recipe, reference, others)):
        found = align(reference, [reference, *others], pairing, maps, least=0.0)
        # The reference takes two parts; reasons are those of the one it is read as.
        left: dict[str, str] = {}
        for each in found.unaligned:
            if each.checkpoint == reference.name:
                left.setdefault(each.tensor, each.reason)
        names = {}
        for tensor in reference.tensors.values():
            component, layer, _ = place_of(tensor.name)
            if layer is None or not is_of_the_body(component):
                names[tensor.index] = None if number else tensor.name
            elif layers is None:
                names[tensor.index] = tensor.name
            else:
                moved = {layer: layers[layer]} if layer in layers else None
                names[tensor.index] = None if moved is None else renamed_for(tensor.name, moved)
            name = names[tensor.index]
            if name is not None and tensor.name in left:
                reasons[name] = left[tensor.name]
        tensors = list(reference.tensors)
        for one in found.slices:
            name, before = names[one.extents[-1].tensor], tensors[one.extents[-1].tensor]
            if name is None:
                continue
            layer = one.layer if name == before else layer_of(name)
            slices.append(one._replace(name=name + one.name[len(before) :], layer=layer))
            owners.append(name)
    cores = found.checkpoints
    plan = _core.Plan(list(cores), *tables(slices))
    alignment = replace(found, slices=tuple(slices), plan=plan)
    return Made(alignment, tuple(owners), reasons)


def _rounds(
    recipe: Recipe, reference: Checkpoint, others: Sequence[Checkpoint]
) -> list[tuple[dict[int, int] | None, list[LayerMap]]]:
    """Return pairings that have each layer of the reference once, as one alignment has to.

    Each is the result's layer by that of the reference, and per checkpoint, the reference first,
    its layer by that of the reference; the former is ``None`` if no layer moves.
    """
    found = layers_of(recipe)
    if not found:
        return [(None, [])]
    plain = tuple(range(_length(found)))
    columns = [found.get(each.name, plain) for each in (reference, *others)]
    numbers = body_layers(reference.core)
    rounds: list[dict[int, int]] = [{}]
    for layer, source in enumerate(columns[0]):
        if source is None:
            continue
        free = next((each for each in rounds if source not in each), None)
        if free is None:
            rounds.append(free := {})
        free[source] = layer
    return [
        (
            layers,
            [
                {
                    number: sources[layers[number]] if number in layers else None
                    for number in numbers
                }
                for sources in columns
            ],
        )
        for layers in rounds
    ]
