"""Layers of a child that are blends of two layers of one checkpoint: averaged, not dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage import _core
from parentage.align.content import ELEMENTS, crossed_layers
from parentage.align.layouts.by_layer import renamed_for
from parentage.align.layouts.by_name import pair_by_name
from parentage.checkpoint import dtype_class, is_of_the_body, places_of
from parentage.stream import one_pass, unpack

if TYPE_CHECKING:
    from collections.abc import Collection

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options

LEAST_LIKE = 0.2
"""Least cosine of a blend with each of its two layers: layers of one model have about 0.01."""

FLOORS = 2.0
"""Most that a blend may leave of a tensor, in units of the rounding of its dtype."""


class LayerBlend(NamedTuple):
    """A layer of the child that is a weighted sum of two layers of one checkpoint."""

    layer: int
    parts: tuple[tuple[int, float], ...]
    """Layers of the checkpoint with their weights, which sum to one."""
    elements: int
    """Elements that were looked at: the first ones of every tensor of the layer."""


def layer_blends(
    child: Checkpoint, other: Checkpoint, layers: Collection[int], options: Options
) -> tuple[LayerBlend, ...]:
    """Return those of some layers of the child that are blends of two layers of ``other``.

    All tensors of such a layer are the same blend of those two, within the rounding of the child.
    """
    crossed = crossed_layers(child, other, options)
    if crossed is None:
        return ()
    out = []
    for layer, row in zip(crossed[0], np.nan_to_num(crossed[2]), strict=True):
        nearest = np.argsort(-row, kind="stable")[:2]
        if layer not in layers or len(nearest) < 2 or row[nearest[1]] < LEAST_LIKE:
            continue
        first, second = sorted(crossed[1][i] for i in nearest)
        found = _blend(child, other, layer, (first, second), options)
        if found is not None:
            out.append(found)
    return tuple(out)


def _blend(
    child: Checkpoint, other: Checkpoint, layer: int, sources: tuple[int, int], options: Options
) -> LayerBlend | None:
    """Return the blend of two layers that a layer of the child is, if it is one."""
    rows: list[tuple[int, int, int]] = []
    counts: list[int] = []
    for tensor in _tensors_of(child, layer):
        mates = [
            pair_by_name(tensor._replace(name=renamed_for(tensor.name, {layer: i}) or ""), other)
            for i in sources
        ]
        places = [each.tensor for each in mates if not isinstance(each, str)]
        if len(places) < len(sources) or dtype_class(tensor.dtype) != "float":
            return None
        rows.append((places[0], places[1], tensor.index))
        counts.append(min(tensor.elements, ELEMENTS))
    tensors = np.array(rows, dtype=np.uint64)
    plan = _core.Plan(
        [other.core, other.core, child.core],
        np.array(counts, dtype=np.uint64),
        tensors,
        np.zeros_like(tensors),
    )
    found = one_pass(plan, 0, plan.slices, options.for_runs())
    # Columns: the first layer, and from it the second and the child.
    gram = unpack(found.gram).sum(axis=1)
    total = gram.sum(axis=0)
    if not total[1, 1] > 0.0 or found.excluded.any():
        return None
    weight = float(total[1, 2] / total[1, 1])
    left = gram[:, 2, 2] - 2.0 * weight * gram[:, 1, 2] + weight**2 * gram[:, 1, 1]
    if not (left <= FLOORS**2 * found.energy).all():
        return None
    parts = ((sources[0], 1.0 - weight), (sources[1], weight))
    return LayerBlend(layer, parts, sum(counts))


def _tensors_of(child: Checkpoint, layer: int) -> list[Tensor]:
    """Return the tensors of a layer of the body that hold elements."""
    placed = zip(child.tensors.values(), places_of(child.core), strict=True)
    return [
        tensor
        for tensor, (component, number, _) in placed
        if number == layer and is_of_the_body(component) and tensor.elements
    ]
