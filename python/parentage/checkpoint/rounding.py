"""What stored bits mean: rounding cells, and rounding to bf16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint.dtypes import DTYPES

if TYPE_CHECKING:
    from parentage.support import Floats


def half_cells(values: Floats, dtype: str) -> tuple[Floats, Floats]:
    """Return how far the rounding cells of values stored in ``dtype`` reach down and up.

    As the core has it: half a unit in the last place, a quarter below a power of two.

    >>> half_cells(np.array([1.0, 1.5]), "BF16")[0].tolist()
    [0.001953125, 0.00390625]
    """
    digits, lowest = DTYPES[dtype].digits, DTYPES[dtype].lowest
    assert digits is not None and lowest is not None, "dtypes with rounding cells have both"
    size = np.abs(values)
    fraction, exponent = np.frexp(size)
    # Zero has no binade of its own: it lies among the subnormal numbers.
    binade = np.where(size == 0.0, lowest, np.maximum(exponent - 1, lowest))
    ulp = np.ldexp(1.0, binade - digits)
    inner = np.where((fraction == 0.5) & (exponent - 1 > lowest), ulp / 4.0, ulp / 2.0)
    outer = ulp / 2.0
    below = np.where(values > 0, inner, outer)
    above = np.where(values < 0, inner, outer)
    return below, above


def to_bf16(values: np.ndarray) -> np.ndarray:
    """Round float64 values to bf16 by way of float32, ties to even, as float64."""
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )
    return rounded.view(np.float32).astype(np.float64)
