"""Floating-point dtypes on a device: decoding, rounding, bits and binades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Float:
    """A dtype that is decoded and rounded to on a device."""

    dtype: torch.dtype
    bits: torch.dtype
    """Integers of the same width."""
    width: int
    """Bytes of an element."""
    mantissa: int
    """Stored bits of the significand."""
    lowest: int
    """Exponent of the smallest normal number."""
    nan: int
    """The bits of the NaN that stands for all of them."""


FLOATS = {
    "BF16": Float(torch.bfloat16, torch.int16, 2, 7, -126, 0x7FC0),
    "F16": Float(torch.float16, torch.int16, 2, 10, -14, 0x7E00),
    "F32": Float(torch.float32, torch.int32, 4, 23, -126, 0x7FC00000),
    "F64": Float(torch.float64, torch.int64, 8, 52, -1022, 0x7FF8000000000000),
    "F8_E4M3": Float(torch.float8_e4m3fn, torch.uint8, 1, 3, -6, 0x7F),
    "F8_E5M2": Float(torch.float8_e5m2, torch.uint8, 1, 2, -14, 0x7E),
}
"""By name in safetensors."""

LIMIT = 2.0**500
"""Magnitudes from here on count as infinite, so that no square overflows."""

EXPONENT = 0x7FF0000000000000
"""The bits of a float64 that hold its exponent."""


def decode(raw: Tensor, name: str) -> Tensor:
    """Return what raw integers stand for: float32, exactly, or float64 for what is stored so."""
    stored = raw.view(FLOATS[name].dtype)
    return stored if name in ("F64", "F32") else stored.float()


def limited(values: Tensor) -> Tensor:
    """Return values, infinite from ``LIMIT`` on."""
    if values.dtype != torch.float64:
        return values
    beyond = torch.full_like(values, torch.inf).copysign(values)
    return torch.where(values.abs() >= LIMIT, beyond, values)


def encode(values: Tensor, name: str) -> Tensor:
    """Return the bits of float32 or float64 values cast to a dtype, ties to even.

    Casts to dtypes narrower than float32 go through it.
    """
    kind = FLOATS[name]
    if name == "F64":
        return values.double().view(torch.int64)
    values = values.float()
    bits = values.to(kind.dtype).view(kind.bits)
    if name == "F8_E4M3":
        # Some releases of torch give the largest number for what is beyond it, and others NaN.
        bits = torch.where(values.abs() > 464.0, (bits & 0x80) | 0x7F, bits)
    return bits


def rounded(values: Tensor, name: str) -> Tensor:
    """Return float32 values rounded to a dtype, as float32."""
    if name in ("F32", "F64"):
        return values
    return decode(encode(values, name), name)


def order(bits: Tensor, name: str) -> Tensor:
    """Return consecutive floats as consecutive int64 numbers; both zeros are 0.

    ``bits`` are integers as wide as the dtype, or such as int64.

    >>> import torch
    >>> order(torch.tensor([0, 1, -32768, -32767], dtype=torch.int16), "BF16").tolist()
    [0, 1, 0, -1]
    """
    sign = 1 << (8 * FLOATS[name].width - 1)
    numbers = bits.long()
    magnitude = numbers & (sign - 1)
    # An int64 has its sign where the others have theirs.
    is_negative = numbers < 0 if FLOATS[name].width > 1 else numbers >= sign
    return torch.where(is_negative, -magnitude, magnitude)


def binade(values: Tensor) -> Tensor:
    """Return the largest powers of two not above float64 magnitudes; 0 for 0.

    >>> import torch
    >>> binade(torch.tensor([0.0, 0.75, -5.0], dtype=torch.float64)).tolist()
    [0.0, 0.5, 4.0]
    """
    return (values.view(torch.int64) & EXPONENT).view(torch.float64)


def ulp(values: Tensor, name: str) -> Tensor:
    """Return one unit in the last place of a dtype at float64 values."""
    kind = FLOATS[name]
    return binade(values).clamp_min(2.0**kind.lowest) * 2.0**-kind.mantissa
