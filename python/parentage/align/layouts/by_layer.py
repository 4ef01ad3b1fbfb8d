"""Tensors of layers that changed their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.align.layouts.by_name import pair_by_name
from parentage.checkpoint import is_of_the_body, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from parentage.align.slices import Extent
    from parentage.checkpoint import Checkpoint, Tensor


def pair_by_layer(layers: Mapping[int, int]) -> Callable[[Tensor, Checkpoint], Extent | str]:
    """Pair the tensors of a layer of the child with those of the layer that ``layers`` names."""

    def pair(tensor: Tensor, other: Checkpoint) -> Extent | str:
        return pair_by_name(tensor._replace(name=renamed_for(tensor, layers)), other)

    return pair


def renamed_for(tensor: Tensor, layers: Mapping[int, int]) -> str:
    """Return a tensor's name with its layer replaced, for tensors in the body of the model."""
    component, layer, _ = place_of(tensor.name)
    if layer is None or not is_of_the_body(component) or layers.get(layer, layer) == layer:
        return tensor.name
    return tensor.name.replace(f".{layer}.", f".{layers[layer]}.", 1)
