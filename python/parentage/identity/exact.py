"""Exact intervals and tests of counts, with nothing but the standard library and numpy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.95
"""Confidence of intervals."""

_MOST_COUNTED = 1000
"""Coin tosses whose outcomes a float64 counts from one to all."""

_MOST_STEPS = 1 << 26
"""Additions that a test takes, at most, before its differences are rounded."""


def interval(count: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson 1934).

    It holds at its level for draws with one probability, and by Hoeffding (1956) for the
    mean of unequal ones: answers to different questions are not equally likely to claim a name.

    >>> [round(each, 3) for each in interval(95, 120)]
    [0.708, 0.86]
    >>> [round(each, 3) for each in interval(0, 120)]
    [0.0, 0.03]
    """
    if of == 0:
        return 0.0, 1.0
    tail = (1.0 - level) / 2.0
    low = 0.0 if count == 0 else _quantile(tail, count, of - count + 1)
    high = 1.0 if count == of else _quantile(1.0 - tail, count + 1, of - count)
    return low, high


def sign_flip(differences: Sequence[int]) -> float:
    """Return log10 of the exact two-sided p-value of a sum whose terms have signs by chance.

    Each term is the difference of two counts in one question. If both ways of asking were alike,
    its sign would be a coin toss, whatever its size and however the answers to one question hang
    together: questions are the units of this test, not answers. With all differences of one size
    it is the sign test.

    >>> round(10 ** sign_flip([1, 2, 3, 2]), 3), sign_flip([0, 0])
    (0.125, 0.0)
    """
    signed = [each for each in differences if each]
    if not signed:
        return 0.0
    shared = math.gcd(*signed)
    # Rounded alike on both sides of zero, signs are chance as before.
    steps = sum(abs(each) // shared for each in signed) * len(signed)
    shared *= -(-steps // _MOST_STEPS)
    signed = [(1 if each > 0 else -1) * round(abs(each) / shared) for each in signed]
    sizes = [abs(each) for each in signed if each]
    seen = abs(sum(signed))
    total = sum(sizes)
    ways = np.zeros(total + 1)
    ways[0] = 1.0
    reached = 0
    halved = max(0, len(sizes) - _MOST_COUNTED)
    for at, size in enumerate(sorted(sizes)):
        # ways[k]: outcomes in which the terms with a plus add up to k.
        grown = ways[: reached + size + 1].copy()
        grown[size:] += ways[: reached + 1]
        reached += size
        ways[: reached + 1] = grown * 0.5 if at < halved else grown
    # |plus - minus| >= seen, with minus = total - plus; parity makes the division exact.
    least = (total + seen) // 2
    tail = float(ways[least:].sum())
    if seen == 0:
        return 0.0
    log10_p = math.log10(2.0 * tail) - (len(sizes) - halved) * math.log10(2.0)
    return min(0.0, log10_p)


def fisher(one: int, of_one: int, other: int, of_other: int) -> float:
    """Return log10 of Fisher's exact two-sided p-value of two shares.

    Every answer counts as a draw of its own.

    >>> round(10 ** fisher(8, 10, 1, 6), 4)
    0.035
    """
    total, marked = of_one + of_other, one + other
    least, most = max(0, marked - of_other), min(of_one, marked)

    def weight(count: int) -> float:
        return (
            _log_choose(of_one, count)
            + _log_choose(of_other, marked - count)
            - _log_choose(total, marked)
        )

    logs = [weight(count) for count in range(least, most + 1)]
    seen = weight(one)
    # Outcomes as likely as this one count, in spite of rounding.
    chosen = [each for each in logs if each <= seen + 1e-7]
    highest = max(chosen)
    log_p = highest + math.log(math.fsum(math.exp(each - highest) for each in chosen))
    return min(0.0, log_p / math.log(10.0))


def _log_choose(of: int, count: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(count + 1) - math.lgamma(of - count + 1)


def _quantile(share: float, a: float, b: float) -> float:
    """Return the quantile of a beta distribution, by halving."""
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2.0
        if middle in (low, high):
            return middle
        if _beta(middle, a, b) < share:
            low = middle
        else:
            high = middle


def _beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function by its continued fraction.

    Formula: DLMF 8.17.22, evaluated by Lentz's method; it converges fast below the mean.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _beta(1.0 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + step * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + step / c
            c = c if abs(c) > tiny else tiny
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * fraction / a
