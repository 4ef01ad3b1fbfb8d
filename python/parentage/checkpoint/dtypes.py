"""What dtypes hold, by their safetensors names."""

from __future__ import annotations

_FLOATS = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0"}

_INTEGERS = {"I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"}

_CLASSES = dict.fromkeys(_FLOATS, "float") | dict.fromkeys(_INTEGERS, "integer")


def dtype_class(dtype: str) -> str | None:
    """Return ``"float"`` or ``"integer"``, or ``None`` for a dtype without arithmetic."""
    return _CLASSES.get(dtype)


DIGITS = {"BF16": 7, "F16": 10, "F32": 23, "F64": 52, "F8_E4M3": 3, "F8_E5M2": 2}
"""Bits of the significand that dtypes store, by safetensors name."""

LOWEST = {"BF16": -126, "F16": -14, "F32": -126, "F64": -1022, "F8_E4M3": -6, "F8_E5M2": -14}

MERGEKIT_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""mergekit's names of dtypes."""

BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E5M2": 1}

STORED = ("BF16", "F16", "F32")
"""Dtypes of children whose cells are looked at."""

SIGNIFICANDS = {"BF16": 7, "F16": 10, "F32": 23, "F64": 52}
