"""Ways in which weights are quantised and decoded again: codes, and what shares a scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parentage.places.pair import LARGEST, cast, every

if TYPE_CHECKING:
    from parentage.support import Floats

NF4 = np.array(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ]
)
"""The levels of NF4 (Dettmers et al. 2023)."""

Singles = NDArray[np.float32]
"""float32, as quantisers compute."""


@dataclass(frozen=True, slots=True)
class Code:
    """How numbers that share a scale are coded.

    ``decoded`` takes float32 (groups, elements) and the groups' smallest and largest numbers,
    (groups, 1), and returns float32 (groups, elements).
    """

    name: str
    bits: int
    decoded: Callable[[Singles, Singles, Singles], Singles]


def _narrow(values: NDArray[Any], dtype: str) -> Singles:
    """Return float32 numbers rounded to a dtype."""
    return cast(values.astype(np.float64), dtype).astype(np.float32)


Decoding = Callable[[Singles, Singles, Singles], Singles]
"""What gives decoded numbers of (groups, elements) and their ends, (groups, 1)."""


def _whole(levels: float, most: float, scale: str) -> Decoding:
    """Return coding by whole numbers, symmetric: the scale is the largest by ``levels``."""

    def decoded(values: Singles, low: Singles, high: Singles) -> Singles:
        step = np.maximum(-low, high) / np.float32(levels)
        kept = step if scale == "F32" else _narrow(step, scale)
        # llama.cpp divides by the scale that is not rounded yet.
        codes = np.rint(values / np.where(step > 0, step, 1))
        found: Singles = np.clip(codes, -most - 1, most) * kept
        return found

    return decoded


def _q8_0(values: Singles, low: Singles, high: Singles) -> Singles:
    """Return llama.cpp's Q8_0: times the inverse of the scale, halves away from zero."""
    step = np.maximum(-low, high) / np.float32(127)
    inverse = np.where(step > 0, 1 / np.where(step > 0, step, 1), 0).astype(np.float32)
    scaled = values * inverse
    codes = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))
    found: Singles = codes * _narrow(step, "F16")
    return found


def _q4_0(values: Singles, low: Singles, high: Singles) -> Singles:
    """Return llama.cpp's Q4_0: the number of largest magnitude becomes -8."""
    step = np.where(-low > high, low, high) / np.float32(-8)
    inverse = np.where(step != 0, 1 / np.where(step != 0, step, 1), 0)
    codes = np.clip(np.floor(values * inverse + np.float32(8.5)), 0, 15)
    found: Singles = (codes - 8) * _narrow(step, "F16")
    return found


def _between(levels: int, scale: str) -> Decoding:
    """Return coding by whole numbers from the smallest to the largest, zero among them."""

    def decoded(values: Singles, low: Singles, high: Singles) -> Singles:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        step = (high - low) / np.float32(levels)
        step = np.where(step > 0, step, 1)
        kept = step if scale == "F32" else _narrow(step, scale)
        zero = np.rint(-low / kept)
        codes = np.clip(np.rint(values / kept) + zero, 0, levels)
        found: Singles = (codes - zero) * kept
        return found

    return decoded


def _q4_1(values: Singles, low: Singles, high: Singles) -> Singles:
    """Return llama.cpp's Q4_1: from the smallest number on, in fifteenths of the range."""
    step = (high - low) / np.float32(15)
    inverse = np.where(step != 0, 1 / np.where(step != 0, step, 1), 0)
    codes = np.clip(np.floor((values - low) * inverse + np.float32(0.5)), 0, 15)
    found: Singles = codes * _narrow(step, "F16") + _narrow(low, "F16")
    return found


def _nf4(values: Singles, low: Singles, high: Singles) -> Singles:
    """Return NF4: the nearest of sixteen levels, times the largest magnitude."""
    top = np.maximum(-low, high)
    levels = NF4.astype(np.float32)
    middles = (levels[1:] + levels[:-1]) / 2
    codes = np.searchsorted(middles, values / np.where(top > 0, top, 1))
    found: Singles = levels[codes] * top
    return found


def _floating(dtype: str) -> Decoding:
    """Return coding by eight-bit floating point, the scale such that the largest is the largest."""

    def decoded(values: Singles, low: Singles, high: Singles) -> Singles:
        scale = np.maximum(-low, high) / np.float32(LARGEST[dtype])
        scale = np.where(scale > 0, scale, 1)
        return (_narrow(values / scale, dtype) * scale).astype(np.float32)

    return decoded


def _mxfp4(values: Singles, low: Singles, high: Singles) -> Singles:
    """Return MXFP4: a sign, an exponent of two bits and one bit, times a power of two."""
    top = np.maximum(-low, high)
    scale = np.exp2(np.floor(np.log2(np.where(top > 0, top, 1))) - 2)
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    size = np.abs(values) / scale
    # Ties go to the even code.
    middles = (levels[1:] + levels[:-1]) / 2
    codes = np.searchsorted(middles, size)
    tie = middles[np.minimum(codes, 6)] == size
    codes = np.where(tie & (codes % 2 == 1) & (codes < 7), codes + 1, codes)
    found: Singles = np.sign(values) * levels[codes] * scale
    return found


CODES = (
    Code("int8", 8, _whole(127, 127, "F32")),
    Code("int8 with scales in f16, as Q8_0", 8, _q8_0),
    Code("int8 with scales in f16", 8, _whole(127, 127, "F16")),
    Code("int8 with scales in bf16", 8, _whole(127, 127, "BF16")),
    Code("int8, the largest 128", 8, _whole(128, 127, "F32")),
    Code("int8 with a zero point", 8, _between(255, "F32")),
    Code("int4", 4, _whole(7, 7, "F32")),
    Code("int4 with scales in f16", 4, _whole(7, 7, "F16")),
    Code("int4 with scales in bf16", 4, _whole(7, 7, "BF16")),
    Code("int4, the largest 7.5", 4, _whole(7.5, 7, "F32")),
    Code("int4, the largest 8", 4, _whole(8, 7, "F32")),
    Code("int4 of Q4_0", 4, _q4_0),
    Code("int4 of Q4_1", 4, _q4_1),
    Code("int4 with a zero point", 4, _between(15, "F32")),
    Code("int4 with a zero point and scales in f16", 4, _between(15, "F16")),
    Code("NF4", 4, _nf4),
    Code("fp8 e4m3", 8, _floating("F8_E4M3")),
    Code("fp8 e5m2", 8, _floating("F8_E5M2")),
    Code("MXFP4", 4, _mxfp4),
)
"""The codings that are tried; of those that give the same numbers the first is told."""

BLOCKS = (32, 64, 128, 256, 16)
"""Sizes of blocks that share a scale."""

GROUPS = {
    "row": "one scale a row",
    "tensor": "one scale",
    "column": "one scale a column",
    "square": "one scale for 128 rows and columns",
    **{str(size): f"one scale for {size} numbers of a row" for size in BLOCKS},
    **{f"flat {size}": f"one scale for {size} numbers" for size in BLOCKS},
}
"""What shares a scale, and how it is told."""


def grouped(values: Floats, group: str) -> Floats | None:
    """Return a matrix as (groups, elements) that share a scale; ``None`` where it has no such.

    Squares and blocks that are not whole are filled with what stands at their edge, which changes
    no scale.

    >>> grouped(np.arange(12.0).reshape(2, 6), "column").shape
    (6, 2)
    """
    rows, columns = values.shape
    if group == "tensor":
        return values.reshape(1, -1)
    if group in ("row", "column", "square") and rows < 2:
        return None
    if group == "row":
        return values
    if group == "column":
        return values.T
    if group == "square":
        filled = _filled(_filled(values, 128).T, 128).T
        tall, wide = len(filled) // 128, filled.shape[1] // 128
        squares = filled.reshape(tall, 128, wide, 128).transpose(0, 2, 1, 3)
        return squares.reshape(tall * wide, 128 * 128)
    size = int(group.removeprefix("flat "))
    if group.startswith("flat"):
        # Where rows are whole blocks, these are those of rows.
        if columns % size == 0:
            return None
        values = values.reshape(1, -1)
    elif columns < size:
        return None
    return _filled(values, size).reshape(-1, size)


def _filled(values: Floats, size: int) -> Floats:
    """Return rows filled up to whole blocks with their last number."""
    rows, columns = values.shape
    short = -columns % size
    if not short:
        return values
    out = np.empty((rows, columns + short))
    out[:, :columns], out[:, columns:] = values, values[:, -1:]
    return out


def chosen(groups: int, each: int, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which groups, and which elements of each, make a sample of about ``most`` elements."""
    inside = max(min(each, most // min(groups, 8)), 1)
    number = min(groups, max(most // inside, 1))
    return every(groups, number), every(each, inside)
