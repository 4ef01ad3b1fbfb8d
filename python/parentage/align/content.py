"""Layers that pair by content: a few elements are looked at before names are believed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align.groups import group
from parentage.align.layouts.by_name import scale_of
from parentage.align.slices import is_replayed
from parentage.checkpoint import body_layers, dtype_class, is_of_the_body, places_of
from parentage.stream import likeness, one_pass, unpack

if TYPE_CHECKING:
    from parentage.align.groups import Grouped
    from parentage.align.slices import Alignment
    from parentage.checkpoint import Checkpoint, Inputs, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

ELEMENTS = 1 << 14
"""Elements compared of each pair of tensors."""

LEAST_ELEMENTS = 1 << 12
"""Elements from which on a tensor is large enough for its cosine to mean something."""

SAME_LAYER = 0.5
"""Least cosine of two layers of one origin: continued training keeps 0.9, strangers have 0.01."""

LAYERS = 128
"""Layers of each checkpoint that are tried."""


def crossed_likeness(child: Checkpoint, other: Checkpoint, options: Options) -> float:
    """Return the largest |cosine| between a layer of ``child`` and *any* layer of ``other``.

    It tells layers that were moved from layers that are strange; 0 if no kind of matrix is in both.
    """
    crossed = crossed_layers(child, other, options)
    return 0.0 if crossed is None else float(np.nanmax(np.abs(crossed[2]), initial=0.0))


def crossed_layers(
    child: Checkpoint, other: Checkpoint, options: Options
) -> tuple[list[int], list[int], Floats] | None:
    """Return layers of both, and the cosine between any two of them, (child's, other's).

    Only the first elements of one matrix per layer are read: the smallest kind of matrix that is
    large enough. ``None`` if none is in both.
    """
    kinds = _matrices(child)
    theirs = _matrices(other)
    shared = [kind for kind in kinds if kind in theirs]
    if not shared:
        return None
    kind = min(shared, key=lambda kind: kinds[kind][0].elements)
    mine, yours = kinds[kind][:LAYERS], theirs[kind][:LAYERS]
    pairs = [(b.index, a.index) for a in mine for b in yours]
    tensors = np.array(pairs, dtype=np.uint64)
    elements = np.full(len(pairs), min(mine[0].elements, ELEMENTS), dtype=np.uint64)
    plan = _core.Plan([other.core, child.core], elements, tensors, np.zeros_like(tensors))
    found = one_pass(plan, 0, plan.slices, options.for_runs())
    cosine = likeness(unpack(found.gram).sum(axis=1))[:, 0]
    return (
        [each.layer or 0 for each in mine],
        [each.layer or 0 for each in yours],
        cosine.reshape(len(mine), len(yours)),
    )


def strange_layers(alignment: Alignment, options: Options) -> bool:
    """Return whether some layer of the child is no relative of the base's of the same number.

    One matrix per layer is looked at, and no more than its first elements.
    """
    seen: dict[int, int] = {}
    for index, each in enumerate(alignment.slices):
        is_matrix = sum(size > 1 for size in each.shape) >= 2 and each.elements >= LEAST_ELEMENTS
        in_body = each.layer is not None and is_of_the_body(each.component)
        if is_matrix and in_body and is_replayed(each):
            seen.setdefault(each.layer or 0, index)
    if not seen:
        return False
    owner = np.array(list(seen.values()), dtype=np.intp)
    counts = np.minimum(alignment.elements[owner], np.uint64(ELEMENTS))
    plan = alignment.part(owner, counts=counts, columns=(0, len(alignment.checkpoints) - 1))
    found = one_pass(plan, 0, plan.slices, options.for_runs())
    cosine = likeness(unpack(found.gram).sum(axis=1))[:, 0]
    return bool(np.any(np.nan_to_num(cosine) < SAME_LAYER))


def layer_map(child: Checkpoint, base: Checkpoint, options: Options) -> dict[int, int]:
    """Return the base's layer that each layer of the child is of, where it is not the same number.

    Empty if no layer was moved, or if it can not be told. Fine-tuning leaves layers so like their
    origin, and layers of one model so unlike each other, that the largest cosine tells.
    """
    crossed = crossed_layers(child, base, options)
    if crossed is None:
        return {}
    mine, yours, cosine = crossed
    out = {}
    for row, layer in enumerate(mine):
        best = int(np.nanargmax(cosine[row])) if np.isfinite(cosine[row]).any() else 0
        if not cosine[row, best] >= SAME_LAYER:
            return {}
        if yours[best] != layer:
            out[layer] = yours[best]
    return out


def _matrices(checkpoint: Checkpoint) -> dict[tuple[str, tuple[int, ...]], list[Tensor]]:
    """Return matrices that occur in several layers, by name without the layer, and shape."""
    kinds: dict[tuple[str, tuple[int, ...]], list[Tensor]] = defaultdict(list)
    placed = zip(checkpoint.tensors.values(), places_of(checkpoint.core), strict=True)
    for tensor, (component, layer, _) in placed:
        if len(tensor.shape) != 2 or tensor.elements < LEAST_ELEMENTS:
            continue
        in_body = layer is not None and is_of_the_body(component)
        readable = dtype_class(tensor.dtype) == "float" and scale_of(tensor, checkpoint) is None
        if in_body and readable:
            name = tensor.name.replace(f".{layer}.", ".*.", 1)
            kinds[name, tensor.shape].append(tensor)
    return {
        kind: sorted(t, key=lambda each: each.layer or 0) for kind, t in kinds.items() if len(t) > 1
    }


def pair(inputs: Inputs, options: Options) -> Grouped:
    """Group by name, and by content where the layers of the child are not those of the origin.

    The origin is the base, or what stands in for it where it holds too little of the child.
    """
    child, others, candidates = inputs.child, inputs.others, inputs.candidates
    found = group(child, others, candidates)
    origin = others[found.main.columns[0]]
    if body_layers(child.core) == body_layers(origin.core) and not strange_layers(
        found.main.alignment, options
    ):
        return found
    layers = layer_map(child, origin, options)
    return group(child, others, candidates, layers) if layers else found
