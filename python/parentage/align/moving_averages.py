"""Checkpoints that hold their weights twice: as they were trained, and averaged while they were.

Latent diffusion keeps the average, which is what people use, under ``model_ema.`` and the name
without its dots (``LitEma`` in ``ldm/modules/ema.py`` of CompVis' latent-diffusion). A checkpoint
that was pruned to one of the two has the plain names for either; values tell which it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.layouts.strides import Composed
from parentage.align.orders.reading import runs
from parentage.checkpoint import dtype_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options

TRAINED, AVERAGED = "model.", "model_ema."
"""What names of weights begin with, as they were trained and averaged."""

OTHERWISE = "(not averaged) "
"""What stands before the names of weights that the averaged ones are seen in place of."""

LOOKED_AT = 12
"""Tensors whose first elements tell which of the two the child has."""

MOST_NEARER = 0.9
"""Share of those in which the average has to be nearer: of a stranger, either is by chance."""

ELEMENTS = 1 << 14
"""Elements of each that are read, at most."""


class Told(NamedTuple):
    """A checkpoint whose averaged weights are seen in the place of the others."""

    checkpoint: Checkpoint
    tensors: int
    """How many have an average."""
    nearer: int
    """Tensors of which the child's values are nearer to the average's, of those looked at."""
    looked_at: int

    def __str__(self) -> str:
        """Return a sentence."""
        name = self.checkpoint.name
        return (
            f"{name} holds {self.tensors:,} tensors twice, as they were trained and averaged "
            f"({AVERAGED}*): in {self.nearer} of {self.looked_at} that were looked at the child is "
            "nearer to the average, which is compared."
        )


def averaged_of(names: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the names of averaged weights, by those of the weights that they are averages of."""
    out = {}
    for name, tensor in names.items():
        if name.startswith(TRAINED):
            found = names.get(AVERAGED + name.removeprefix(TRAINED).replace(".", ""))
            if found is not None and found.shape == tensor.shape:
                out[name] = found.name
    return out


def seen_averaged(child: Checkpoint, other: Checkpoint, options: Options) -> Told | None:
    """Return a checkpoint with averaged weights under the plain names, if the child is nearer.

    ``None`` if it holds none, or the child is as near to the weights as they were trained.
    """
    names = other.core.names()
    if not any(name.startswith(AVERAGED) for name in names) or any(
        name.startswith(AVERAGED) for name in child.core.names()
    ):
        return None
    pairs = averaged_of({each.name: each for each in other.tensors.values()})
    nearer = looked_at = 0
    for name in _largest(child, other, pairs):
        distances = _distances(child, other, name, pairs[name], options)
        if distances[0] != distances[1]:
            looked_at += 1
            nearer += bool(distances[1] < distances[0])
    if not looked_at or nearer < MOST_NEARER * looked_at:
        return None
    composed, plain = Composed(other), {theirs: mine for mine, theirs in pairs.items()}
    for each in other.tensors.values():
        called = plain.get(each.name, each.name)
        called = f"{OTHERWISE}{called}" if each.name in pairs else called
        composed.keep(each._replace(name=called))
    return Told(composed.view(), len(pairs), nearer, looked_at)


def _largest(child: Checkpoint, other: Checkpoint, pairs: Mapping[str, str]) -> list[str]:
    """Return names that the child has as well, of the largest tensors of numbers."""
    known = child.tensors
    shared = [
        each
        for name in pairs
        if (each := known.get(name)) is not None
        and each.shape == other.tensors[name].shape
        and dtype_class(each.dtype) == "float"
        and each.elements
    ]
    shared.sort(key=lambda each: (-each.elements, each.name))
    return [each.name for each in shared[:LOOKED_AT]]


def _distances(
    child: Checkpoint, other: Checkpoint, trained: str, averaged: str, options: Options
) -> tuple[float, float]:
    """Return the squared distances of the child's first elements from both kinds of weights."""
    count = min(child.tensors[trained].elements, ELEMENTS)
    mine = runs(child, [(child.tensors[trained].index, 0)], count, options)[0]
    places = [(other.tensors[name].index, 0) for name in (trained, averaged)]
    with np.errstate(invalid="ignore", over="ignore"):
        away = ((runs(other, places, count, options) - mine) ** 2).sum(axis=1)
    return float(away[0]), float(away[1])
