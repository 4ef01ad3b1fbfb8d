"""Looks at a few elements before anything is concluded from what pairs by name."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import dtype_class, scale_of
from parentage.checkpoint import is_of_the_body
from parentage.gram import unpack
from parentage.statistics import likeness

if TYPE_CHECKING:
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options

ELEMENTS = 1 << 14
"""Elements compared of each pair of tensors."""
LEAST_ELEMENTS = 1 << 12
"""Elements from which on a tensor is large enough for its cosine to mean something."""
LAYERS = 64
"""Layers of each checkpoint that are tried."""


def crossed_likeness(child: Checkpoint, other: Checkpoint, options: Options) -> float:
    """Return the largest |cosine| between a layer of ``child`` and *any* layer of ``other``.

    Only the first elements of one matrix per layer are read: the smallest kind of matrix that is
    large enough. 0 if there is none. It tells layers that were moved from layers that are strange.
    """
    kinds = _matrices(child)
    theirs = _matrices(other)
    shared = [kind for kind in kinds if kind in theirs]
    if not shared:
        return 0.0
    kind = min(shared, key=lambda kind: kinds[kind][0].elements)
    pairs = [(a, b) for a in theirs[kind][:LAYERS] for b in kinds[kind][:LAYERS]]
    tensors = np.array([(a.index, b.index) for a, b in pairs], dtype=np.uint64)
    elements = np.full(len(pairs), min(kinds[kind][0].elements, ELEMENTS), dtype=np.uint64)
    plan = _core.Plan([other.core, child.core], elements, tensors, np.zeros_like(tensors))
    found = _core.gram(plan, 0, plan.slices, threads=options.threads, io=options.io)
    cosine = likeness(unpack(found.gram).sum(axis=1))
    return float(np.nanmax(np.abs(cosine), initial=0.0))


def _matrices(checkpoint: Checkpoint) -> dict[tuple[str, tuple[int, ...]], list[Tensor]]:
    """Return matrices that occur in several layers, by name without the layer, and shape."""
    kinds: dict[tuple[str, tuple[int, ...]], list[Tensor]] = defaultdict(list)
    for tensor in checkpoint.tensors.values():
        is_matrix = len(tensor.shape) == 2 and tensor.elements >= LEAST_ELEMENTS
        in_body = tensor.layer is not None and is_of_the_body(tensor.component)
        readable = dtype_class(tensor.dtype) == "float" and scale_of(tensor, checkpoint) is None
        if is_matrix and in_body and readable:
            name = re.sub(rf"\.{tensor.layer}\.", ".*.", tensor.name, count=1)
            kinds[name, tensor.shape].append(tensor)
    return {kind: tensors for kind, tensors in kinds.items() if len(tensors) > 1}
