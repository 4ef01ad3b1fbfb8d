"""Tensors of layers that changed their number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from parentage.align.layouts.by_name import pair_by_name
from parentage.checkpoint import body_layers, is_of_the_body, place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from parentage.align.slices import Extent
    from parentage.checkpoint import Checkpoint, Place, Tensor

    Pairing = Callable[[Tensor, Checkpoint], Extent | str]

LayerMap = Mapping[int, int | None]
"""By layer of the child, that of another checkpoint: the same number where it is not among them,
``None`` where no layer of the other is paired with it."""


def pair_by_layer(
    layers: LayerMap, pairing: Pairing = pair_by_name
) -> Callable[[Tensor, Checkpoint], Extent | str]:
    """Pair the tensors of a layer of the child with those of the layer that ``layers`` names.

    ``pairing`` finds the tensor of the name that this comes to.
    """

    def pair(tensor: Tensor, other: Checkpoint) -> Extent | str:
        name = renamed_for(tensor.name, layers)
        if name is None:
            return f"its layer is paired with none of {other.name}"
        return pairing(tensor._replace(name=name), other)

    return pair


def renamed_for(name: str, layers: LayerMap) -> str | None:
    """Return a tensor's name with its layer replaced, for tensors in the body of the model.

    ``None`` if its layer is paired with none.

    >>> renamed_for("model.layers.1.mlp.up_proj.weight", {1: 2})
    'model.layers.2.mlp.up_proj.weight'
    """
    place = place_of(name)
    source = source_layer(place, layers)
    if place.layer is None or source == place.layer:
        return name
    return None if source is None else name.replace(f".{place.layer}.", f".{source}.", 1)


def counterpart(name: str, other: Checkpoint, layers: LayerMap) -> Tensor | None:
    """Return the tensor of another checkpoint that stands where the child has one of a name."""
    there = renamed_for(name, layers)
    return None if there is None else other.tensors.get(there)


def source_layer(place: Place, layers: LayerMap) -> int | None:
    """Return the layer that what stands at a place is paired with; ``None`` if there is none."""
    component, layer, _ = place
    if layer is None or not is_of_the_body(component):
        return layer
    return layers.get(layer, layer)


def layer_list(
    child: Checkpoint, other: Checkpoint, layers: LayerMap
) -> tuple[int | None, ...] | None:
    """Return by layer of the child, from 0 on, that of another checkpoint.

    ``None`` if both have the same layers and each is paired with that of its own number.
    """
    mine, yours = body_layers(child.core), body_layers(other.core)
    if not mine or not yours:
        return None
    found = tuple(layers.get(i, i) if i in mine else None for i in range(max(mine) + 1))
    found = tuple(source if source in yours else None for source in found)
    is_plain = mine == yours and found == tuple(range(len(found)))
    return None if is_plain or not any(each is not None for each in found) else found
