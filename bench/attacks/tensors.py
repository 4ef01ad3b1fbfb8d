"""Arithmetic on tensors held as float32: rounding, units in the last place, quantisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np

BF16 = ml_dtypes.bfloat16
F32 = np.float32
Array = np.ndarray
Tensors = dict[str, Array]
Rng = np.random.Generator
E4M3_MAX, E5M2_MAX = 448.0, 57344.0


def bf16(x: Array) -> Array:
    """Round to bf16 and return float32."""
    return np.asarray(x, F32).astype(BF16).astype(F32)


def widened(tensors: Mapping[str, Array]) -> Tensors:
    """Return tensors as float32."""
    return {name: np.asarray(x).astype(F32) for name, x in tensors.items()}


def stored(tensors: Mapping[str, Array], dtype: type = BF16) -> Tensors:
    """Return what a checkpoint stores: float32 as ``dtype``, everything else as it is."""
    with np.errstate(invalid="ignore", over="ignore"):
        return {n: x.astype(dtype) if x.dtype == F32 else x for n, x in tensors.items()}


def each(tensors: Mapping[str, Array], change: Callable[[Array], Array]) -> Tensors:
    """Return tensors that were changed one by one."""
    return {name: np.asarray(change(x), F32) for name, x in tensors.items()}


def combined(*terms: tuple[float, Mapping[str, Array]]) -> Tensors:
    """Return a weighted sum of tensors, in float32, one product after another."""
    names = terms[0][1]
    return {
        name: np.asarray(sum(F32(weight) * tensors[name] for weight, tensors in terms), F32)
        for name in names
    }


def ulp(x: Array) -> Array:
    """Return one unit in the last place of bf16 at every element."""
    exponent = np.frexp(np.abs(x))[1]
    return np.ldexp(F32(1.0), np.maximum(exponent - 1, -126) - 7).astype(F32)


def normal(rng: Rng, x: Array, scale: float | Array = 1.0) -> Array:
    """Return normal noise of a tensor's shape."""
    return (rng.standard_normal(x.shape) * scale).astype(F32)


def spread(x: Array) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if x.size else 0.0


def clipped_codes(x: Array, dtype: type, largest: float) -> Array:
    """Round to an 8-bit float and return float32."""
    return np.clip(x, -largest, largest).astype(dtype).astype(F32)


def by_blocks(x: Array, block: int, codec: Callable[[Array], Array]) -> Array:
    """Apply a codec to blocks of consecutive elements of each row; the last one may be shorter."""
    rows = x.reshape(-1, x.shape[-1])
    out = np.empty_like(rows)
    for start in range(0, rows.shape[1], block):
        part = slice(start, start + block)
        out[:, part] = codec(rows[:, part])
    return out.reshape(x.shape)


def scaled_integers(x: Array, largest: int) -> Array:
    """Round rows to integers of up to ``largest`` times a scale of each row, and return floats."""
    scale = np.max(np.abs(x), axis=-1, keepdims=True) / largest
    scale[scale == 0] = 1
    return (np.rint(x / scale) * scale).astype(F32)


def fp8_by_blocks(x: Array) -> Array:
    """Round to e4m3 with a scale for each tile of 128 by 128, and return floats."""
    out = np.empty_like(x)
    for row in range(0, x.shape[0], 128):
        for column in range(0, x.shape[1], 128):
            tile = x[row : row + 128, column : column + 128]
            scale = F32(max(np.max(np.abs(tile)) / E4M3_MAX, 1e-12))
            codes = clipped_codes(tile / scale, ml_dtypes.float8_e4m3fn, E4M3_MAX)
            out[row : row + 128, column : column + 128] = codes * scale
    return out


def quantised(x: Array, scheme: str) -> Array:
    """Return a matrix after quantisation and decoding; vectors stay, as quantisers leave them."""
    if scheme == "f16":
        return x.astype(np.float16).astype(F32)
    if x.ndim < 2:
        return x
    if scheme == "e4m3":
        return clipped_codes(x, ml_dtypes.float8_e4m3fn, E4M3_MAX)
    if scheme == "e5m2":
        return clipped_codes(x, ml_dtypes.float8_e5m2, E5M2_MAX)
    if scheme == "fp8 by 128":
        return fp8_by_blocks(x)
    if scheme == "int8 by row":
        return scaled_integers(x, 127)
    if scheme == "int8 by 32":
        return by_blocks(x, 32, lambda part: scaled_integers(part, 127))
    if scheme == "int4 by 32":
        return by_blocks(x, 32, lambda part: scaled_integers(part, 7))
    raise ValueError(scheme)


def stochastic(x: Array, rng: Rng) -> Array:
    """Round to one of the two neighbours in bf16, by chance."""
    noise = rng.integers(0, 1 << 16, x.shape, dtype=np.uint32)
    bits = np.ascontiguousarray(x, F32).view(np.uint32) + noise
    return (bits & np.uint32(0xFFFF0000)).view(F32)


def by_units(x: Array, units: Array) -> Array:
    """Move elements by whole units in the last place of bf16."""
    return bf16(x + units.astype(F32) * ulp(x))
