"""Averages that are carried on from checkpoint to checkpoint, each step rounded."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.blends import BF16_LEAST_SHARE, EVERYTHING, FLOAT32_LEAST_SHARE
from parentage.hypothesise.written_weights import BF16_WEIGHT_ERROR, shortest_decimal
from parentage.methods import linear, running
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Setting

FINE_WEIGHT_ERROR = 1e-4
"""How far weights that float32 arithmetic moved are from those that were written, at most."""

MOST_PERMUTED = 3
"""Checkpoints up to which every order is tried; of more, the order in which they were offered and
its reverse, the base first or last."""

PREFIXES = {"BF16": ("bfloat16", "float16"), "F16": ("float16",)}
"""Coarse dtypes in which a child of a dtype may have been computed."""

KNOWN_OF_TWO = ("decay",)
"""Forms that give of two checkpoints what plain scripts do."""

KNOWN_OF_BASE = ("decay", "step", "step-divided", "lerp")
"""Forms that give of the base and another what plain scripts and task arithmetic do."""

CHAINS = ("decay", "decay-fma", "lerp")
"""Forms in which a merge of two is merged with a third."""

IN_THE_MIDDLE = 1e-3
"""Weights closer than this to 0 are no weights."""


def carried_on(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield the averages of the checkpoints that the best blend of one weight each is of.

    None where it reproduces next to nothing, or all: then no arithmetic has to be found. Of two
    checkpoints, weights of their own for groups of slices are tried as well.
    """
    yield from _by_group(estimates)
    blend = estimates.constant
    if not BF16_LEAST_SHARE <= blend.share < 1.0:
        return
    found = estimates.effective or _of_cells(estimates)
    is_coarse = blend.share < EVERYTHING
    error = BF16_WEIGHT_ERROR if is_coarse else FINE_WEIGHT_ERROR
    aims = {name: weight for name, weight in found.items() if abs(weight) > error}
    is_of_base = len(aims) == 2 and estimates.columns.base in aims
    if len(aims) < 2 or (is_of_base and blend.share >= FLOAT32_LEAST_SHARE):
        return
    prefixes = PREFIXES.get(estimates.out_dtype, ()) if is_coarse else ()
    if abs(sum(aims.values()) - 1.0) <= len(aims) * error:
        yield from _averages(estimates, aims, error, ("float32", *prefixes))
    if len(aims) == 3:
        yield from _differences(estimates, aims, error, ("float32", *prefixes))


def _by_group(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield averages of two or three checkpoints whose weights are tables by name.

    Of three, chains of merges of two, as graphs of nodes make them.
    """
    blend = estimates.blends[-1]
    if blend.kind in ("constant", "layers", "slices") or blend.share < BF16_LEAST_SHARE:
        return
    for written in estimates.written_weights_of(blend):
        count = len(written.weights)
        if count not in (2, 3) or written.is_coarse or not written.normalized:
            continue
        forms = CHAINS if count == 3 else [x for x in running.FORMS if x not in KNOWN_OF_TWO]
        for order in permutations(written.weights):
            for form in forms:
                if form == "decay" and order[0] > order[1]:
                    # A sum of two rounded products has no order.
                    continue
                weights = tuple((name, written.weights[name]) for name in order)
                yield _recipe(estimates, weights, f"float32-{form}")


def _of_cells(estimates: SampleEstimates) -> dict[str, float]:
    """Return the weights by checkpoint, the base's last, that cells of the best blend admit."""
    (weights,) = estimates.constant.weights
    names, base = estimates.columns.names, estimates.columns.base
    found = {names[i]: float(weights[i]) for i in estimates.columns.parent_indices}
    return {**found, base: 1.0 + float(weights[0]) - sum(found.values())}


def _averages(
    estimates: SampleEstimates,
    aims: dict[str, float],
    error: float,
    prefixes: Sequence[str],
) -> Iterator[Recipe]:
    """Yield averages in every order and form: means first, then decays, then chains."""
    seen: set[tuple[tuple[str, float], ...]] = set()
    known = KNOWN_OF_BASE if estimates.columns.base in aims else KNOWN_OF_TWO
    for written in _written(aims, estimates.columns.base, error):
        if written in seen:
            continue
        seen.add(written)
        for prefix in prefixes:
            for form in running.FORMS:
                if len(written) == 2 and form in known:
                    continue
                yield _recipe(estimates, written, f"{prefix}-{form}")


def _written(
    aims: dict[str, float], base: str, error: float
) -> Iterator[tuple[tuple[str, float], ...]]:
    """Yield checkpoints with weights, in the order in which they may have been averaged."""
    orders = [*_orders(list(aims), base)]
    count = len(aims)
    if all(abs(weight - 1.0 / count) <= error for weight in aims.values()):
        for order in orders:
            yield tuple((name, 1.0) for name in order)
    for order in orders:
        weights = [aims[name] for name in order]
        if min(np.abs(np.cumsum(weights))) < IN_THE_MIDDLE:
            continue
        found = running.shares(weights)
        # A share is known as well as its weight, next to the sum of weights so far.
        slack = [error / abs(total) for total in np.cumsum(weights)[1:]]
        middle = float(np.mean(found))
        for digits in (1, 2, 3, 4):
            decay = round(middle, digits)
            if all(abs(share - decay) <= s for share, s in zip(found, slack, strict=True)):
                yield tuple(zip(order, running.weights_of([decay] * len(found)), strict=True))
                break
        short = [shortest_decimal(share, s) for share, s in zip(found, slack, strict=True)]
        yield tuple(zip(order, running.weights_of(short), strict=True))
        precise = [shortest_decimal(share, s / 16) for share, s in zip(found, slack, strict=True)]
        yield tuple(zip(order, running.weights_of(precise), strict=True))


def _orders(names: list[str], base: str) -> Iterator[tuple[str, ...]]:
    """Yield orders of checkpoints: all of a few; else as offered and reversed."""
    if len(names) <= MOST_PERMUTED:
        yield from permutations(names)
        return
    rest = [name for name in names if name != base]
    own = [base] if base in names else []
    yield from dict.fromkeys(
        tuple(order)
        for order in ([*own, *rest], [*own, *rest[::-1]], [*rest, *own], [*rest[::-1], *own])
    )


def _differences(
    estimates: SampleEstimates,
    aims: dict[str, float],
    error: float,
    prefixes: Sequence[str],
) -> Iterator[Recipe]:
    """Yield a checkpoint plus a multiple of the difference of two others, in every arithmetic."""
    for first, one, two in permutations(aims):
        weight = shortest_decimal((aims[one] - aims[two]) / 2.0, error)
        is_difference = abs(aims[first] - 1.0) <= error and abs(aims[one] + aims[two]) <= 2 * error
        if is_difference and weight > 0.0:
            written = ((first, 1.0), (one, weight), (two, -weight))
            for prefix in prefixes:
                yield _recipe(estimates, written, f"{prefix}-difference")


def _recipe(
    estimates: SampleEstimates, written: tuple[tuple[str, Setting], ...], arithmetic: str
) -> Recipe:
    assert arithmetic in linear.ARITHMETICS, arithmetic
    return Recipe(
        "linear",
        tuple(Ingredient(name, weight) for name, weight in written),
        None,
        {},
        arithmetic,
        estimates.out_dtype,
    )
