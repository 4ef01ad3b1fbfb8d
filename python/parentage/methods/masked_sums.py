"""Sums of displacements of which some are dropped, written down as operations.

Which elements were dropped is not in a recipe: a rule by size leaves those at the threshold open,
and a mask drawn at random leaves all open. So a replay gives several results, one for each choice,
and an element that equals any of them is explained.
"""

from __future__ import annotations

from functools import reduce
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.recipe import Replaying
    from parentage.stream import Value
    from parentage.support import Floats

LARGEST = float(np.finfo(np.float32).max)
"""A threshold that nothing exceeds."""

ALL_SUBSETS = 2
"""Most parents with elected signs of which every subset is tried at the thresholds."""

SINGLES = 3
"""Most parents of which each alone is tried there, if the sum is divided as well: more are more
than a program can have."""


def sum_in_order(values: Sequence[Value]) -> Value:
    """Return the sum, added up in order."""
    return reduce(lambda a, b: a + b, values)


def replay_by_size(replaying: Replaying, *, elected: bool, normalize: bool) -> list[Value]:
    """Return sums of the displacements whose size is in its band.

    The band of a parent begins between ``low`` and ``high`` and ends between ``top_low`` and
    ``top_high``, numbers by slice that are read off the child. Displacements between them are free:
    one result drops all of a parent's, another keeps them.
    """
    base, deltas, weights = _displacements(replaying)
    zero = replaying.scalar(0.0)
    choices: list[tuple[Value, Value]] = []
    for each, delta, weight in zip(replaying.recipe.ingredients, deltas, weights, strict=True):
        size = abs(delta)
        term = (delta * replaying.scalar(weight)).round(replaying.dtype)
        low, high = (
            replaying.fitted(f"low:{each.name}", 0.0),
            replaying.fitted(f"high:{each.name}", LARGEST),
        )
        most = replaying.program.select(size >= replaying.scalar(low), term, zero)
        fewest = replaying.program.select(size > replaying.scalar(high), term, zero)
        if f"top_low:{each.name}" in replaying.recipe.fitted:
            top_low = replaying.scalar(replaying.fitted(f"top_low:{each.name}", LARGEST))
            top_high = replaying.scalar(replaying.fitted(f"top_high:{each.name}", LARGEST))
            most = replaying.program.select(size > top_high, zero, most)
            fewest = replaying.program.select(size >= top_low, zero, fewest)
        choices.append((fewest, most))
    normalize = _is_normalized(replaying, normalize)
    few = elected and len(choices) > ALL_SUBSETS
    kept = _kept_at_thresholds(len(choices), few=few)
    if elected and normalize and len(choices) > SINGLES:
        kept = [kept[0], kept[-1]]
    results = []
    for bits in kept:
        terms = [choice[bit] for choice, bit in zip(choices, bits, strict=True)]
        if elected:
            results.append(_elected_sum(replaying, base, terms, weights, normalize=normalize))
        else:
            divisor = replaying.scalar(sum(weights)) if normalize else None
            results.append(_added(replaying, base, sum_in_order(terms), divisor))
    return results


def replay_by_chance(replaying: Replaying, *, elected: bool, normalize: bool) -> list[Value]:
    """Return one result for each subset of parents, since a random mask may have kept any.

    With sign election only subsets of one sign are possible, so that subsets of several parents
    give two results: of the parents whose displacement is positive, and of those where it is
    negative. Kept displacements are multiplied by ``scale``, a number by slice that is read off the
    child.
    """
    base, deltas, weights = _displacements(replaying)
    zero = replaying.scalar(0.0)
    terms = []
    for each, delta, weight in zip(replaying.recipe.ingredients, deltas, weights, strict=True):
        if f"scale:{each.name}" in replaying.recipe.fitted:
            delta = (delta * replaying.scalar(replaying.fitted(f"scale:{each.name}", 1.0))).round(
                replaying.dtype
            )
        terms.append((delta * replaying.scalar(weight)).round(replaying.dtype))
    normalize = _is_normalized(replaying, normalize)
    scalars = [replaying.scalar(weight) for weight in weights]
    results = [_added(replaying, base, zero, None)]
    for count in range(1, 1 + len(terms)):
        for kept in combinations(range(len(terms)), count):
            if not elected:
                divisor = replaying.scalar(sum(weights)) if normalize else None
                results.append(
                    _added(replaying, base, sum_in_order([terms[i] for i in kept]), divisor)
                )
            elif count == 1:
                divisor = scalars[kept[0]] if normalize else None
                results.append(_added(replaying, base, terms[kept[0]], divisor))
            else:
                chosen = [(terms[i], scalars[i]) for i in kept]
                for side in (replaying.program.maximum, replaying.program.minimum):
                    agreeing = [(side(term, zero), weight) for term, weight in chosen]
                    results.append(_sum_of_agreeing(replaying, base, agreeing, normalize=normalize))
    return results


def _is_normalized(replaying: Replaying, default: bool) -> bool:
    return bool(replaying.recipe.parameters.get("normalize", default))


def _displacements(replaying: Replaying) -> tuple[Value, list[Value], list[Floats]]:
    """Return the base, displacements and weights, rounded as the arithmetic rounds them."""
    base = replaying.base()
    deltas = [(parent - base).round(replaying.dtype) for parent in replaying.parents()]
    weights = replaying.weights()
    if replaying.dtype is not None:
        weights = [to_bf16(weight) for weight in weights]
    return base, deltas, weights


def _kept_at_thresholds(count: int, *, few: bool) -> list[tuple[int, ...]]:
    """Return which of ``count`` parents keep what is at their threshold (1) or drop it (0).

    All subsets of them; or, if ``few``, none, each alone, and all at once.

    >>> _kept_at_thresholds(2, few=False), len(_kept_at_thresholds(4, few=True))
    ([(0, 0), (0, 1), (1, 0), (1, 1)], 6)
    """
    if not few:
        return list(product((0, 1), repeat=count))
    single = [tuple(int(i == j) for j in range(count)) for i in range(count)]
    return [(0,) * count, *single, (1,) * count]


def _elected_sum(
    replaying: Replaying,
    base: Value,
    terms: Sequence[Value],
    weights: Sequence[Floats],
    *,
    normalize: bool,
) -> Value:
    """Return the base plus the sum, or the mean, of terms whose sign is that of the sum of all."""
    zero = replaying.scalar(0.0)
    is_positive = sum_in_order(terms) >= zero
    agreeing = [
        replaying.program.select(
            is_positive,
            replaying.program.maximum(term, zero),
            replaying.program.minimum(term, zero),
        )
        for term in terms
    ]
    pairs = [(term, replaying.scalar(w)) for term, w in zip(agreeing, weights, strict=True)]
    return _sum_of_agreeing(replaying, base, pairs, normalize=normalize)


def _sum_of_agreeing(
    replaying: Replaying, base: Value, agreeing: Sequence[tuple[Value, Value]], *, normalize: bool
) -> Value:
    """Return the base plus the sum of terms; divided by the weights of those that are not 0."""
    zero = replaying.scalar(0.0)
    change = sum_in_order([term for term, _ in agreeing])
    divisor = None
    if normalize:
        divisor = sum_in_order([replaying.program.select(term, w, zero) for term, w in agreeing])
    return _added(replaying, base, change, divisor)


def _added(replaying: Replaying, base: Value, change: Value, divisor: Value | None) -> Value:
    """Return the base plus a sum of displacements, divided and multiplied as the recipe says."""
    change = change.round(replaying.dtype)
    if divisor is not None:
        one = replaying.scalar(1.0)
        divisor = divisor.round(replaying.dtype)
        # Where nothing was added up there is nothing to divide by.
        change = (change / replaying.program.select(divisor, divisor, one)).round(replaying.dtype)
    if "lambda" in replaying.recipe.parameters:
        change = (change * replaying.scalar(replaying.parameter("lambda"))).round(replaying.dtype)
    result = base + change
    # Results are rounded to the dtype of the file anyway.
    return result if replaying.recipe.out_dtype == "BF16" else result.round(replaying.dtype)
