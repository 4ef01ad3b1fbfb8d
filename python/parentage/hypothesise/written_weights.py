"""Weights as a person would have written them: decimals, fractions, ratios, knots over layers.

What cells and least squares show of weights is known up to a tolerance; arithmetic that rounds
more than once moves it as well. Each form that may have been written is tried by a replay on the
sample, so wrong ones cost time.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from parentage.support import Floats

MOST_KNOTS = 16
"""Knots over layers up to which the fewest that do are looked for: nobody writes more of them, but
for one a layer."""

NEGLIGIBLE = 1e-4
"""Weight below which a parent takes no part."""

RATIO = 24
"""Largest sum of whole numbers in whose ratio weights may have been written."""

BF16_WEIGHT_ERROR = 4e-3
"""How far a weight that was rounded to bf16 is from the one that was written, at most below one."""

NOISE = 2e-4
"""How far weighted least squares is from the weights that arithmetic in bf16 used: measured 5e-5 on
a million elements."""

CHOICES = 9
"""Decimals tried for a weight, at most."""

MOST_CHOICES = 20_000
"""Combinations of decimals of all weights, at most."""


def written_forms(
    values: list[float], tolerance: list[float], free: float, *, own: bool
) -> Iterator[tuple[list[float], float]]:
    """Yield parents' weights and the base's: decimals, fractions, ratios, and as they are.

    ``values`` and ``tolerance`` are those of the parents. ``free`` is the base's weight beyond what
    makes the sum one. It counts where the base has a weight of its ``own``, which is then written
    as the parents' are; else the base's weight is what is missing to one.
    """
    rest = 1.0 + (free if own else 0.0) - sum(values)
    if abs(rest) < NEGLIGIBLE:
        rest = 0.0
    aims = [*values, rest] if own else values
    limits = [*tolerance, max(tolerance, default=0.0)] if own else tolerance

    def near(candidate: list[float]) -> bool:
        """Return whether weights are within the tolerance of those given."""
        return all(abs(a - b) <= t for a, b, t in zip(candidate, aims, limits, strict=True))

    def parted(chosen: list[float], missing: float) -> tuple[list[float], float]:
        """Return the parents' weights, and the base's: its own, or what is ``missing``."""
        return (chosen[:-1], chosen[-1]) if own else (chosen, missing)

    for digits in range(1, 7):
        chosen = [round(value, digits) for value in aims]
        if near(chosen):
            yield parted(chosen, round(1.0 - sum(chosen), digits))
            break
    fractions = [Fraction(value).limit_denominator(99) for value in aims]
    chosen = [float(fraction) for fraction in fractions]
    if near(chosen):
        yield parted(chosen, 0.0 if sum(fractions) == 1 else 1.0 - sum(chosen))
    if not own:
        whole = whole_ratio([*values, rest] if rest else values, max(tolerance, default=0.0))
        if whole is not None:
            yield list(whole[: len(values)]), float(sum(whole[len(values) :]))
    yield values, rest


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights that may have been written for arithmetic that rounds them."""

    weights: tuple[float, ...]
    distance: float
    """Largest distance of the effective weights they come to from those that were found."""
    digits: int
    """Decimals that all of the weights have together."""

    @property
    def rank(self) -> tuple[float, int, float, tuple[float, ...]]:
        """The order in which candidates are tried: by distance; within the noise, by digits."""
        return max(self.distance, NOISE), self.digits, self.distance, self.weights


def candidates(
    effective: Sequence[float],
    comes_to: Callable[[Sequence[float]], Sequence[float]],
    *,
    last_follows: bool = False,
    digits: int = 3,
) -> list[Candidate]:
    """Return short decimals that come to effective weights in some arithmetic, best first.

    Parameters
    ----------
    effective
        What least squares finds.
    comes_to
        The effective weights of written ones, as the arithmetic rounds them.
    last_follows
        Whether the last weight is what the others leave of one.
    digits
        Most decimals of a weight.

    Returns
    -------
    list
        Of weights that come to the same effective weights, the shortest alone.
    """
    free = effective[:-1] if last_follows else effective
    most = CHOICES
    while most > 2 and most ** len(free) > MOST_CHOICES:
        most -= 1
    step = 10.0**-digits
    choices = []
    for value in free:
        near = {round(value, fewer) for fewer in range(1, digits)}
        near |= {round(round(value, digits) + k * step, digits) for k in range(-CHOICES, CHOICES)}
        reach = BF16_WEIGHT_ERROR * max(1.0, abs(value))
        kept = [x for x in near if abs(x - value) <= reach and x != 0.0] or [value]
        choices.append(sorted(kept, key=lambda x: (abs(x - value), x))[:most])
    best: dict[tuple[float, ...], Candidate] = {}
    for chosen in product(*choices):
        weights = (*chosen, round(1.0 - sum(chosen), 6)) if last_follows else chosen
        reached = tuple(comes_to(weights))
        distance = max(abs(a - b) for a, b in zip(reached, effective, strict=True))
        candidate = Candidate(weights, distance, sum(map(_digits, weights)))
        same = best.get(reached)
        if same is None or (candidate.digits, candidate.weights) < (same.digits, same.weights):
            best[reached] = candidate
    return sorted(best.values(), key=lambda candidate: candidate.rank)


def whole_ratio(values: Sequence[float], tolerance: float) -> tuple[float, ...] | None:
    """Return the smallest positive whole numbers in the ratio of values that sum to one, if any.

    >>> whole_ratio([0.6, 0.4], 1e-9), whole_ratio([0.61, 0.39], 1e-9)
    ((3.0, 2.0), None)
    """
    for total in range(2, RATIO + 1):
        whole = [round(value * total) for value in values]
        near = all(abs(a / total - b) <= tolerance for a, b in zip(whole, values, strict=True))
        if near and min(whole) > 0 and sum(whole) == total:
            return tuple(map(float, whole))
    return None


def _digits(value: float) -> int:
    """Return the decimals that a number is written with, ten at most."""
    return next((digits for digits in range(10) if abs(round(value, digits) - value) <= 1e-12), 10)


def shortest_decimal(value: float, tolerance: float) -> float:
    """Return the shortest decimal within ``tolerance``, or the value.

    >>> shortest_decimal(0.59999998, 1e-6), shortest_decimal(0.57142857, 1e-9)
    (0.6, 0.57142857)
    """
    for digits in range(1, 9):
        if abs(round(value, digits) - value) <= tolerance:
            return round(value, digits)
    return value


def fit_gradient(
    values: Floats, t: list[float], held: NDArray[np.bool_], tolerance: Floats
) -> list[float]:
    """Return the fewest knots, at equal steps from 0 to 1, that interpolate to ``values`` at ``t``.

    They are the values themselves where :data:`MOST_KNOTS` do not.
    ``values`` and ``tolerance`` are (len(t),), as is ``held``, which says where there is a value.

    >>> fit_gradient(np.array([0.1, 0.5, 0.9]), [0.0, 0.5, 1.0], np.ones(3, bool), np.full(3, 1e-9))
    [0.1, 0.9]
    """
    count = len(t)
    for number in range(1, min(count, MOST_KNOTS + 1)):
        design = design_of(np.array(t), number)
        solution = np.linalg.lstsq(design[held], values[held], rcond=None)[0]
        if np.all(np.abs(design @ solution - values)[held] <= tolerance[held]):
            return [shortest_decimal(float(x), 1e-7) for x in solution]
    return [float(x) for x in values]


def design_of(t: Floats, number: int) -> Floats:
    """Return (len(t), number) what each of ``number`` knots at equal steps adds at every t."""
    design = np.zeros((len(t), number))
    rows, scaled = np.arange(len(t)), np.asarray(t) * (number - 1)
    first = scaled.astype(np.intp)
    second = np.minimum(number - 1, first + 1)
    design[rows, first] += 1.0 - (scaled - first)
    design[rows, second] += scaled - first
    return design


def resample_knots(values: list[float], number: int) -> list[float]:
    """Return ``number`` knots that interpolate as ``values`` do, where they can."""
    if len(values) == number:
        return values
    at = [k / (number - 1) if number > 1 else 0.0 for k in range(number)]
    grid = [k / (len(values) - 1) if len(values) > 1 else 0.0 for k in range(len(values))]
    return [float(x) for x in np.interp(at, grid, values)]
