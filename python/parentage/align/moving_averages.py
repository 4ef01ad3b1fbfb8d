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
from parentage.checkpoint import to_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

TRAINED, AVERAGED = "model.", "model_ema."
"""What names of weights begin with, as they were trained and averaged."""

OTHERWISE = "(not averaged) "
"""What stands before the names of weights that the averaged ones are seen in place of."""

LOOKED_AT = 12
"""Tensors whose first elements tell which of the two the child has."""

MOST_EQUAL = 0.9
"""Share of those in which the child has to have the average's numbers: some may be another's."""

COUNTERS = (f"{AVERAGED}decay", f"{AVERAGED}num_updates")
"""What begins as averaged weights do, and is none."""

CASTS: dict[str, Callable[[Floats], Floats]] = {
    "F64": lambda values: values,
    "F32": lambda values: values.astype(np.float32).astype(np.float64),
    "F16": lambda values: values.astype(np.float32).astype(np.float16).astype(np.float64),
    "BF16": to_bf16,
}
"""What float64 numbers are, stored in a dtype."""

ELEMENTS = 1 << 14
"""Elements of each that are read, at most."""


class Told(NamedTuple):
    """A checkpoint whose averaged weights are seen in the place of the others."""

    checkpoint: Checkpoint
    tensors: int
    """How many have an average."""
    equal: int
    """Tensors in which the child has the average's numbers, of those looked at."""
    looked_at: int

    def __str__(self) -> str:
        """Return a sentence."""
        name = self.checkpoint.name
        return (
            f"{name} holds {self.tensors:,} tensors twice, as they were trained and averaged "
            f"({AVERAGED}*): in {self.equal} of {self.looked_at} that were looked at the child has "
            "the average's numbers, which are compared."
        )


def averaged_of(names: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the names of averaged weights, by those of the weights that they are averages of.

    Nothing, if some that is averaged is the average of nothing that is there.
    """
    out = {}
    for name, tensor in names.items():
        if name.startswith(TRAINED):
            found = names.get(AVERAGED + name.removeprefix(TRAINED).replace(".", ""))
            if found is not None and found.shape == tensor.shape:
                out[name] = found.name
    known = {*out.values(), *COUNTERS}
    return out if all(name in known for name in names if name.startswith(AVERAGED)) else {}


def seen_averaged(child: Checkpoint, other: Checkpoint, options: Options) -> Told | None:
    """Return a checkpoint with averaged weights under the plain names, if the child has them.

    They have to be the child's numbers, after a cast to its dtype: being nearer says nothing of a
    blend, which may be nearer to the average of what it was made of. ``None`` if the checkpoint
    holds no averages, or the child has other numbers.
    """
    names = other.core.names()
    if not any(name.startswith(AVERAGED) for name in names) or any(
        name.startswith(AVERAGED) for name in child.core.names()
    ):
        return None
    pairs = averaged_of({each.name: each for each in other.tensors.values()})
    equal = looked_at = 0
    for name in _largest(child, other, pairs):
        shares = _shares(child, other, name, pairs[name], options)
        if shares[0] < 1.0:
            looked_at += 1
            equal += bool(shares[1] == 1.0)
    if not looked_at or equal < MOST_EQUAL * looked_at:
        return None
    composed, plain = Composed(other), {theirs: mine for mine, theirs in pairs.items()}
    for each in other.tensors.values():
        called = plain.get(each.name, each.name)
        called = f"{OTHERWISE}{called}" if each.name in pairs else called
        composed.keep(each._replace(name=called))
    return Told(composed.view(), len(pairs), equal, looked_at)


def _largest(child: Checkpoint, other: Checkpoint, pairs: Mapping[str, str]) -> list[str]:
    """Return names that the child has as well, of the largest tensors of numbers."""
    known = child.tensors
    shared = [
        each
        for name in pairs
        if (each := known.get(name)) is not None
        and each.shape == other.tensors[name].shape
        and each.dtype in CASTS
        and each.elements
    ]
    shared.sort(key=lambda each: (-each.elements, each.name))
    return [each.name for each in shared[:LOOKED_AT]]


def _shares(
    child: Checkpoint, other: Checkpoint, trained: str, averaged: str, options: Options
) -> tuple[float, float]:
    """Return the shares of the child's first elements that both kinds of weights are, cast."""
    mine = child.tensors[trained]
    count = min(mine.elements, ELEMENTS)
    values = runs(child, [(mine.index, 0)], count, options, as_is=True)[0]
    places = [(other.tensors[name].index, 0) for name in (trained, averaged)]
    with np.errstate(over="ignore"):
        cast = CASTS[mine.dtype](runs(other, places, count, options, as_is=True))
    same = (cast == values).mean(axis=1)
    return float(same[0]), float(same[1])
