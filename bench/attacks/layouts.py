"""Changes of what tensors are called and where they stand, not of their values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .families import layer_of
from .tensors import F32, Rng, Tensors


def prefixed(x: Tensors, prefix: str) -> Tensors:
    """Put letters before every name."""
    return {prefix + name: t for name, t in x.items()}


def numbered(x: Tensors) -> Tensors:
    """Call tensors by their number."""
    return {f"t{i:03}": t for i, t in enumerate(x.values())}


def exchanged(x: Tensors, first: str, second: str) -> Tensors:
    """Exchange two parts of all names."""
    return {
        name.replace(first, "\0").replace(second, first).replace("\0", second): t
        for name, t in x.items()
    }


def fused(x: Tensors, parts: Sequence[str], whole: str) -> Tensors:
    """Stack the rows of some matrices of each layer into one."""
    out: Tensors = {}
    for name, t in x.items():
        if not any(part in name for part in parts):
            out[name] = t
        elif parts[0] in name:
            out[name.replace(parts[0], whole)] = np.concatenate(
                [x[name.replace(parts[0], part)] for part in parts]
            )
    return out


def layers_taken(x: Tensors, order: Sequence[int]) -> Tensors:
    """Build a model of the layers of another, in an order, with repetitions or without all."""
    out: Tensors = {}
    for name, t in x.items():
        if layer_of(name) < 0:
            out[name] = t
    for new, old in enumerate(order):
        for name, t in x.items():
            if layer_of(name) == old:
                out[name.replace(f"layers.{old}.", f"layers.{new}.", 1)] = t
    return out


def with_own(x: Tensors, share: float, rng: Rng) -> Tensors:
    """Add matrices of its own, of this many elements for each that is there."""
    wanted = int(share * sum(t.size for t in x.values()))
    out = dict(x)
    for i in range(4):
        rows = max(1, wanted // 4 // 128)
        out[f"adapter.{i}.weight"] = (0.03 * rng.standard_normal((rows, 128))).astype(F32)
    return out
