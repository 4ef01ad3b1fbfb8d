"""NumPy arrays, as they lie in memory."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Lent(NamedTuple):
    """A tensor, and what keeps its memory where it is."""

    dtype: str
    """By its safetensors name."""
    bits: NDArray[np.unsignedinteger[Any]]
    """The bits of its elements, in place."""
    keepers: tuple[object, ...] = ()
    """What has to live as long as it is read, beside the array."""


class Refused(Exception):  # noqa: N818
    """Why a tensor can not be read in place, and what its owner can do: a clause."""


_WIDTHS: dict[int, type[np.unsignedinteger[Any]]] = {
    1: np.uint8,
    2: np.uint16,
    4: np.uint32,
    8: np.uint64,
}

_KINDS = {
    ("f", 2): "F16", ("f", 4): "F32", ("f", 8): "F64",
    ("i", 1): "I8", ("i", 2): "I16", ("i", 4): "I32", ("i", 8): "I64",
    ("u", 1): "U8", ("u", 2): "U16", ("u", 4): "U32", ("u", 8): "U64",
    ("b", 1): "BOOL", ("c", 8): "C64",
}  # fmt: skip
"""Dtypes of NumPy, by kind and bytes."""

_MACHINE_LEARNING = {
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
}
"""Dtypes of the ml_dtypes library, as jax has them, whose elements are a byte or more."""


def lent_array(array: NDArray[Any]) -> Lent:
    """Return an array as it lies in memory, whatever its strides.

    Raises
    ------
    Refused
        If its elements are none of a checkpoint, or not as a checkpoint has them.

    Examples
    --------
    >>> lent = lent_array(np.ones((2, 3), np.float32)[:, ::2])
    >>> lent.dtype, lent.bits.shape, hex(lent.bits[0, 0])
    ('F32', (2, 2), '0x3f800000')
    """
    if isinstance(array, np.ma.MaskedArray):
        raise Refused("is a masked array: give .filled() of it")
    dtype = array.dtype
    name = _name_of(dtype)
    if name is None:
        raise Refused(f"has dtype {dtype}, which no checkpoint has")
    if dtype.str[0] == ">":
        raise Refused("is big-endian: give .astype(x.dtype.newbyteorder('<')) of it")
    # Of subclasses, what they are derived from; the width is the same, so that strides are kept.
    bits = array.view(np.ndarray).view(_WIDTHS[dtype.itemsize])
    return Lent(name, bits, _held(array))


def _name_of(dtype: np.dtype[Any]) -> str | None:
    """Return the safetensors name of a dtype; ``None`` if there is none."""
    if dtype.type.__module__.partition(".")[0] == "ml_dtypes":
        return _MACHINE_LEARNING.get(dtype.name)
    return _KINDS.get((dtype.kind, dtype.itemsize))


def _held(array: NDArray[Any]) -> tuple[object, ...]:
    """Return what keeps arrays from being given other memory as long as it lives.

    ``resize`` refuses that where another array is a view, unless it is told not to look
    (``refcheck=False``); and always where there is a weak reference.
    """
    held: list[object] = []
    base: object = array
    while isinstance(base, np.ndarray):
        held.append(weakref.ref(base))
        base = base.base
    return tuple(held)
