"""What stored bits mean: rounding cells, and rounding to bf16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint.dtypes import DTYPES

if TYPE_CHECKING:
    from parentage.support import Floats

_FRACTION, _BIAS = 52, 1023
"""Bits of the fraction of a float64, and what its exponent is stored with."""

_UNSIGNED, _FRACTION_BITS = np.int64(2**63 - 1), np.int64(2**52 - 1)
"""All bits but the sign, and those of the fraction."""


def half_cells(values: Floats, dtype: str) -> tuple[Floats, Floats]:
    """Return how far the rounding cells of values stored in ``dtype`` reach down and up.

    As the core has it: half a unit in the last place, a quarter below a power of two.

    >>> half_cells(np.array([1.0, 1.5]), "BF16")[0].tolist()
    [0.001953125, 0.00390625]
    """
    digits, lowest = DTYPES[dtype].digits, DTYPES[dtype].lowest
    assert digits is not None and lowest is not None, "dtypes with rounding cells have both"
    values = np.asarray(values, dtype=np.float64)
    bits = values.view(np.int64) & _UNSIGNED
    exponent = (bits >> _FRACTION) - _BIAS
    # What is not finite has the cell of a half.
    is_finite = exponent <= _BIAS
    exponent = np.where(is_finite, exponent, -1)
    inside = (exponent > lowest) & is_finite
    # Zero and subnormal numbers have no binade of their own.
    binade = np.maximum(exponent, lowest)
    if lowest - digits > -_BIAS:
        outer = np.asarray((binade + (_BIAS - digits - 1)) << _FRACTION).view(np.float64)
    else:
        outer = np.ldexp(0.5, binade - digits)
    is_power = ((bits & _FRACTION_BITS) == 0) & inside
    inner = np.where(is_power, outer / 2.0, outer)
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
