"""Columns of the golden file that are too long to be written down, from a few numbers."""

from __future__ import annotations

import numpy as np


def splitmix(seed: int, length: int) -> np.ndarray:
    """The first words of SplitMix64 (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, length + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def generated(dtype: str, made: dict[str, int]) -> bytes:
    """The bf16 or f16 that an entry ``made`` stands for.

    Words of ``seed`` give sign, some bits of the exponent, and significand: magnitudes from 2^-9
    on, over eight binades of bf16 and four of f16. Words of ``moves`` move the bits by up to
    ``most`` either way. ``nan`` is one that is NaN. Or all elements have the bits ``constant``.
    """
    if "constant" in made:
        return np.full(made["length"], made["constant"], "<u2").tobytes()
    length, most = made["length"], made["most"]
    words = splitmix(made["seed"], length)
    least, spread = (118 << 7, 0x3FF) if dtype == "BF16" else (6 << 10, 0xFFF)
    bits = (words >> np.uint64(63) << np.uint64(15)) | np.uint64(least)
    bits = bits + (words & np.uint64(spread))
    moves = splitmix(made["moves"], length) % np.uint64(2 * most + 1)
    bits = (bits + moves - np.uint64(most)).astype("<u2")
    if "nan" in made:
        bits[made["nan"]] = 0x7FC0 if dtype == "BF16" else 0x7E00
    return bits.tobytes()


def long(columns: int, length: int, most: int, **nan: int) -> list[dict[str, int]]:
    """A base of many elements, and relatives of it."""
    made = [
        {"length": length, "seed": 1, "moves": 2 + i, "most": most * (i > 0)}
        for i in range(columns)
    ]
    made[-1].update(nan)
    return made
