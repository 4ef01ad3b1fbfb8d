"""Numbers as the bytes that safetensors stores: what was decoded, encoded again."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.support import Floats

_PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_EIGHT = {"F8_E4M3": (4, 3), "F8_E5M2": (5, 2)}
"""Bits of exponent and fraction."""

ENCODED = (*_PLAIN, "BF16", *_EIGHT)
"""The dtypes that numbers are encoded in."""


def encode(values: Floats, dtype: str) -> bytes:
    """Return the bytes of float64 numbers that a dtype holds exactly, little-endian.

    NaN becomes the one NaN of the dtype; nothing is rounded.

    >>> encode(np.array([1.0, -0.0]), "BF16").hex(), encode(np.array([0.5]), "F8_E4M3").hex()
    ('803f0080', '30')
    """
    if dtype in _PLAIN:
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(_PLAIN[dtype]).tobytes()
    if dtype == "BF16":
        bits = values.astype("<f4").view("<u4") >> np.uint32(16)
        bits = np.where(np.isnan(values), np.uint32(0x7FC0), bits)
        return bits.astype("<u2").tobytes()
    table = decoded_bytes(dtype)
    codes = np.argsort(table, kind="stable")
    known = table[codes]
    count = int(np.isfinite(known).sum() + np.isinf(known).sum())
    places = np.minimum(np.searchsorted(known[:count], values), count - 1)
    found = codes[places].astype(np.uint8)
    # Zeros are equal, whatever their sign.
    found = np.where(values == 0.0, np.where(np.signbit(values), 0x80, 0x00), found)
    return np.where(np.isnan(values), 0x7F, found).astype(np.uint8).tobytes()


@cache
def decoded_bytes(dtype: str) -> Floats:
    """Return (256,) what each byte of an 8-bit dtype stands for (Micikevicius et al. 2022)."""
    exponents, fractions = _EIGHT[dtype]
    code: NDArray[np.int64] = np.arange(256)
    bias = (1 << (exponents - 1)) - 1
    exponent = code >> fractions & ((1 << exponents) - 1)
    fraction = (code & ((1 << fractions) - 1)) / (1 << fractions)
    size = np.where(
        exponent > 0,
        np.ldexp(1.0 + fraction, exponent - bias),
        np.ldexp(fraction, np.full(256, 1 - bias)),
    )
    top = (1 << exponents) - 1
    if dtype == "F8_E4M3":
        size = np.where((code & 0x7F) == 0x7F, np.nan, size)
    else:
        special = np.where(fraction == 0.0, np.inf, np.nan)
        size = np.where(exponent == top, special, size)
    values: Floats = np.where(code & 0x80, -size, size)
    return values
