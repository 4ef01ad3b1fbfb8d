"""Weighted sums in float64, in a program of float32 operations.

A number is held as the sum of two float32 numbers, 48 bits in all (Dekker 1971). Rounded to
float32 once, that is what float64 arithmetic gives but where its sum lies within 2^-46 of a tie: of
some millions of elements, one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value
    from parentage.support import Floats


def sum64(replaying: Replaying, columns: Sequence[Value], weights: Sequence[Floats]) -> Value:
    """Return the sum of w_i p_i, rounded to float32 once; ``weights`` are (S,) float64 each."""
    zero = replaying.scalar(0.0)
    high, low = zero, zero
    for column, weight in zip(columns, weights, strict=True):
        leading = weight.astype(np.float32).astype(np.float64)
        rest = weight - leading
        first = replaying.scalar(leading)
        product = column * first
        error = replaying.program.fma(column, first, zero - product)
        error = replaying.program.fma(column, replaying.scalar(rest), error)
        # Knuth's sum of two: what rounding took from it is exact.
        total = high + product
        part = total - high
        lost = (high - (total - part)) + (product - part)
        high, low = total, (low + error) + lost
    return high + low
