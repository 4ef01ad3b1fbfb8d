"""The base plus a mean, weighted by energy, of displacements where those differ the most."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.bands import bands_of, shares_above, shortest_between
from parentage.hypothesise.recognise.masks.mixture import MOST_PARENTS, is_unexplained
from parentage.hypothesise.recognise.masks.scales import step_scales, table
from parentage.hypothesise.recognise.masks.trials import beats_decoys, in_best_order, is_exact
from parentage.hypothesise.recognise.masks.view import View, deepest_overlap
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import masked, sce
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

LEAST_ENERGY = 1e-6
"""Sum of mean squares below which all weights are alike."""

ALIKE = 5e-3
"""Shares at the gate that tell no set of parents from another."""

GATE = 0.95
"""Share of elements with one parent on the winning side that are that parent's."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes of the parents that elements with one of them on the winning side are of."""
    if len(estimates.columns.parents) < 2 or not is_unexplained(estimates):
        return
    for arithmetic in sce.ARITHMETICS:
        look = View(estimates, estimates.small, arithmetic)
        found = [(gate(look, axes), axes) for axes in subsets(len(estimates.columns.parents), 2)]
        share, largest = max(found)
        if share < GATE:
            continue
        # A parent that hardly moved hardly counts: the fewest that do as well come first.
        fewest = next(axes for each, axes in found if each >= share - ALIKE)
        view = (
            look
            if estimates.small is estimates.sample
            else View(estimates, estimates.sample, arithmetic)
        )
        for axes in dict.fromkeys((fewest, largest)):
            recipe = fitted(estimates, view, axes)
            if beats_decoys(estimates, recipe):
                recipe = in_best_order(estimates, recipe)
                yield recipe
                if is_exact(estimates, recipe):
                    return


def subsets(count: int, least: int) -> list[tuple[int, ...]]:
    """Return the sets of 0 .. count - 1 with at least ``least`` and at most four members.

    >>> subsets(3, 2)
    [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    """
    most = min(count, MOST_PARENTS)
    return [each for size in range(least, most + 1) for each in combinations(range(count), size)]


def winners(deltas: Floats) -> Floats:
    """Return (parents, elements) which displacements have the sign of their sum."""
    sign = np.where(deltas.sum(axis=0) >= 0.0, 1.0, -1.0)
    out: Floats = np.sign(deltas) == sign
    return out


def gate(view: View, axes: tuple[int, ...]) -> float:
    """Return the share of changed elements with one winner that have that parent's displacement."""
    deltas = view.deltas[list(axes)]
    won = winners(deltas)
    large = np.abs(deltas).sum(axis=0) > 2.0 * view.width
    rows = np.flatnonzero((won.sum(axis=0) == 1) & view.moved & large)
    if len(rows) < 20:
        return 0.0
    ok = view.admits((deltas * won).sum(axis=0))
    return float(ok[rows].mean())


def fitted(estimates: SampleEstimates, view: View, axes: tuple[int, ...]) -> Recipe:
    """Return the recipe with weights and thresholds of its own for every slice."""
    deltas = view.deltas[list(axes)]
    coarse = view.arithmetic == "bfloat16"
    won = winners(deltas)
    narrow = deltas.astype(np.float32)
    mean = (narrow.sum(axis=0, dtype=np.float32) / np.float32(len(axes))).astype(np.float32)
    squares = ((narrow - mean) ** 2).sum(axis=0, dtype=np.float32)
    variance = (squares / np.float32(len(axes))).astype(np.float64)
    if coarse:
        variance = to_bf16(variance)
    smallest = np.where(won, np.abs(deltas), np.inf).min(axis=0)
    told = np.isfinite(smallest) & (smallest > 2.0 * view.width)
    dropped = ~view.moved & told & (variance > 0.0)
    kept = view.moved & (variance > 0.0)
    is_selected = float(dropped.sum()) > 1e-3 * float((kept & told).sum() + dropped.sum())
    names = [estimates.columns.parents[axis] for axis in axes]
    recipe = Recipe(
        "sce",
        tuple(Ingredient(name) for name in names),
        estimates.columns.base,
        {},
        view.arithmetic,
        estimates.out_dtype,
    )
    present = np.ones(view.size, bool)
    tables: dict[str, dict[str, float]] = {}
    if is_selected:
        bands = bands_of(variance, kept, dropped, view, is_capped=False)
        spare = 0.0 if coarse else 1e-5
        low = np.array([each.low for each in bands]) * (1.0 - spare)
        high = np.minimum(np.array([each.high for each in bands]) * (1.0 + spare), masked.LARGEST)
        present = (variance > high[view.owner]) | ((variance >= low[view.owner]) & view.moved)
        tables["low:variance"] = table(estimates, low, view.owner)
        tables["high:variance"] = table(estimates, high, view.owner)
        rows = np.flatnonzero(variance > 0.0)
        bottom, top, step = shares_above(variance[rows], view.owner[rows], low, high)
        recipe = replace(recipe, parameters={"select_topk": shortest_between(bottom, top + step)})
    weights = energies(view, deltas * present)
    weights = to_bf16(weights) if coarse else refined(view, deltas, won & present, weights)

    def with_weights(some: Sequence[Floats]) -> Recipe:
        own = {
            f"weight:{name}": table(estimates, each, view.owner)
            for name, each in zip(names, some, strict=True)
        }
        return replace(recipe, fitted={**tables, **own})

    scales = list(weights)
    if coarse:
        scales = step_scales(estimates, scales, with_weights, ((1.0, 2), (1.0, 1)), -8)
    return with_weights(scales)


def energies(view: View, deltas: Floats) -> Floats:
    """Return (parents, S) each parent's share of the mean square displacements."""
    counts = np.maximum(np.bincount(view.owner, minlength=view.slices), 1.0)
    squares = deltas * deltas
    if view.arithmetic == "bfloat16":
        squares = to_bf16(squares)
    means = np.array([np.bincount(view.owner, square, view.slices) for square in squares]) / counts
    if view.arithmetic == "bfloat16":
        means = to_bf16(means)
    sums = means.sum(axis=0)
    if view.arithmetic == "bfloat16":
        sums = to_bf16(sums)
    shares = means / np.maximum(sums, 1e-300)
    out: Floats = np.where(sums < LEAST_ENERGY, 1.0 / len(deltas), shares)
    return out


def refined(view: View, deltas: Floats, won: Floats, weights: Floats) -> Floats:
    """Return weights where most cells meet, each in turn with the others held."""
    weights = weights.copy()
    for _ in range(2):
        for i in range(len(deltas)):
            others = won.copy()
            others[i] = False
            shares = weights[:, view.owner] * others
            rest = shares.sum(axis=0)
            rows = np.flatnonzero(won[i] & (rest > 0.0) & view.moved)
            rest = rest[rows]
            mean = (shares[:, rows] * deltas[:, rows]).sum(axis=0) / rest
            slope = deltas[i, rows] - mean
            good = np.abs(slope) > 0.0
            rows, rest, mean, slope = rows[good], rest[good], mean[good], slope[good]
            one, two = (view.low[rows] - mean) / slope, (view.high[rows] - mean) / slope
            low, high = (
                np.clip(np.minimum(one, two), 0.0, 1.0),
                np.minimum(np.maximum(one, two), 1.0),
            )
            inside = (high > 0.0) & (high < 1.0)
            rows, rest, low, high = rows[inside], rest[inside], low[inside], high[inside]
            # u is the parent's share of the sum of weights.
            low, high = rest * low / (1.0 - low), rest * high / (1.0 - high)
            at = weights[i, view.owner[rows]]
            near = (high > 0.7 * at) & (low < 1.4 * at) & (high - low < 0.5 * at)
            middle, _, depth = deepest_overlap(
                low[near], high[near], view.owner[rows[near]], view.slices
            )
            weights[i] = np.where(depth >= 8, middle, weights[i])
    out: Floats = weights / np.maximum(weights.sum(axis=0), 1e-300)
    return out


RECOGNISER = Recogniser(estimate)
