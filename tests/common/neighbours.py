"""Neighbours of numbers, from their bits."""

from __future__ import annotations

import numpy as np
from conftest import DTYPES

from common.families import F64, Array

BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32}


def halfway(values: Array, dtype: str) -> tuple[Array, Array]:
    """Return half the distances of values >= 0 to the numbers of a dtype below and above."""
    kind = np.dtype(DTYPES[dtype])
    bits = values.astype(kind).view(BITS[kind.itemsize])
    with np.errstate(invalid="ignore"):
        above = (bits + bits.dtype.type(1)).view(kind).astype(F64)
        below = (bits - bits.dtype.type(1)).view(kind).astype(F64)
    return np.where(values == 0.0, above, values - below) / 2.0, (above - values) / 2.0
