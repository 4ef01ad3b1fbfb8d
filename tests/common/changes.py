"""Slices that are changed by hand, and a difference as training leaves it."""

from __future__ import annotations

from typing import Any

import numpy as np
from parentage.places import Change, describe_change
from parentage.places.pair import cast

from common.families import Array

SHAPE = (96, 64)
FLOATS = ("BF16", "F16", "F32")


def weights(dtype: str, shape: tuple[int, ...] = SHAPE, seed: int = 0, size: float = 0.02) -> Array:
    """Return numbers of a matrix as a dtype stores them."""
    return cast(np.random.default_rng(seed).normal(0, size, shape), dtype)


def trained(shape: tuple[int, ...] = SHAPE, seed: int = 1, size: float = 0.002) -> Array:
    """Return a difference as training leaves it: directions that decay, and rows used more."""
    rng = np.random.default_rng(seed)
    rank = min(shape)
    spectrum = np.arange(1.0, rank + 1.0) ** -0.8
    found = (rng.normal(size=(shape[0], rank)) * spectrum) @ rng.normal(size=(rank, shape[1]))
    found *= rng.lognormal(0, 0.5, (shape[0], 1))
    return found * size / np.sqrt((found**2).mean())


def told(child: Array, reference: Array, dtype: str, name: str = "", **others: Array) -> Change:
    """Return what was done to a matrix."""
    flat = {other: values.ravel() for other, values in others.items()}
    return describe_change(child.ravel(), reference.ravel(), flat, child.shape, dtype, name)


def changed(values: Array, places: Any, to: Any) -> Array:
    """Return numbers of which those at some places are others."""
    out = values.copy()
    out[places] = to
    return out
