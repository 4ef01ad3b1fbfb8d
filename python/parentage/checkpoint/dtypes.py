"""The one table of dtypes, by their safetensors names.

A dtype that is not in it has no arithmetic here: its tensors are listed as not compared. The core's
twin is ``rust/core/src/checkpoint/dtype.rs``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dtype:
    """What the bits of a dtype hold."""

    kind: str
    """``"float"`` or ``"integer"``."""
    bytes: int
    digits: int | None = None
    """Bits of the significand that are stored; ``None`` for integers and for powers of two."""
    lowest: int | None = None
    """Exponent of the smallest normal number, to base two."""
    mergekit: str | None = None
    """mergekit's name, if it writes such files."""
    is_searched: bool = False
    """Whether masks are looked for in the rounding cells of children stored in it."""
    largest: float | None = None
    """Of codes that are multiplied by scales, the number beyond which quantisers hold what they
    cast."""


DTYPES: dict[str, Dtype] = {
    "F64": Dtype("float", 8, 52, -1022, "float64"),
    "F32": Dtype("float", 4, 23, -126, "float32", is_searched=True),
    "F16": Dtype("float", 2, 10, -14, "float16", is_searched=True),
    "BF16": Dtype("float", 2, 7, -126, "bfloat16", is_searched=True),
    "F8_E4M3": Dtype("float", 1, 3, -6, largest=448.0),
    "F8_E5M2": Dtype("float", 1, 2, -14, largest=57344.0),
    "F8_E8M0": Dtype("float", 1),
    "I8": Dtype("integer", 1),
    "U8": Dtype("integer", 1),
    "I16": Dtype("integer", 2),
    "U16": Dtype("integer", 2),
    "I32": Dtype("integer", 4),
    "U32": Dtype("integer", 4),
    "I64": Dtype("integer", 8),
    "U64": Dtype("integer", 8),
}
MERGEKIT_DTYPES = {name: each.mergekit for name, each in DTYPES.items() if each.mergekit}
"""mergekit's names of the dtypes that it writes."""
WRITABLE = tuple(name for name, each in DTYPES.items() if each.digits is not None)
"""Dtypes that a recipe's results can be rounded to."""


def dtype_class(dtype: str) -> str | None:
    """Return ``"float"`` or ``"integer"``, or ``None`` for a dtype without arithmetic.

    >>> dtype_class("BF16"), dtype_class("I64"), dtype_class("BOOL")
    ('float', 'integer', None)
    """
    found = DTYPES.get(dtype)
    return None if found is None else found.kind


def digits_of(dtype: str) -> int | None:
    """Return the bits of the significand that a dtype stores; ``None`` where it has none.

    >>> digits_of("BF16"), digits_of("I8"), digits_of("BOOL")
    (7, None, None)
    """
    found = DTYPES.get(dtype)
    return None if found is None else found.digits


def narrowest(digits: int) -> str:
    """Return the narrowest dtype of 16 bits or more whose significand has so many bits.

    What a float32 file holds tells in which dtype its numbers were rounded before.

    >>> narrowest(7), narrowest(8), narrowest(24)
    ('BF16', 'F16', 'F64')
    """
    wide = ((each.digits or 0, name) for name, each in DTYPES.items() if each.mergekit)
    return min((bits, name) for bits, name in wide if bits >= digits)[1]


def rounding_of(stored: str, digits: int) -> str:
    """Return the dtype that numbers stored as ``stored`` were rounded to, by the bits they need.

    0 bits say that none was looked at, or that all are powers of two: then nothing is known but
    how they are stored.

    >>> rounding_of("F32", 7), rounding_of("F32", 0), rounding_of("F16", 23)
    ('BF16', 'F32', 'F16')
    """
    if digits == 0:
        return stored
    return min(narrowest(digits), stored, key=lambda name: DTYPES[name].digits or 0)
