"""The base plus a mean, weighted by energy, of displacements where those differ the most."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.methods import masks
from parentage.methods.linear import bf16
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "d_i, variance, weights, products, sums in order and quotient rounded to float32",
    "bfloat16": "the same rounded to bf16, sums once",
}
LEAST_ENERGY = 1e-6
"""Sum of mean squares below which all weights are alike."""
LEAST_DIVISOR = 1e-6
"""What the sum of weights is at least."""
ALIKE = 5e-3
"""Shares at the gate that tell no set of parents from another."""
GATE = 0.95
"""Share of elements with one parent on the winning side that are that parent's."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return the mean where the variance is above its threshold, else the base; free at it."""
    base = r.column(r.recipe.base or "")
    dtype = "BF16" if masks.is_coarse(r.recipe) else None
    names = [each.name for each in r.recipe.ingredients]
    deltas = [(r.column(name) - base).round(dtype) for name in names]
    zero = r.scalar(0.0)
    is_positive = masks.total(deltas) >= zero
    weights = []
    for name, delta in zip(names, deltas, strict=True):
        weight = r.scalar(r.fitted(f"weight:{name}", 1.0 / len(names)))
        over = r.program.select(delta > zero, weight, zero)
        under = r.program.select(zero > delta, weight, zero)
        weights.append(r.program.select(is_positive, over, under))
    products = [(d * w).round(dtype) for d, w in zip(deltas, weights, strict=True)]
    least = float(bf16(np.array([LEAST_DIVISOR]))[0]) if dtype else LEAST_DIVISOR
    divisor = r.program.maximum(masks.total(weights).round(dtype), r.scalar(least))
    change = (masks.total(products).round(dtype) / divisor).round(dtype)
    merged = (base + change).round(dtype)
    if "low:variance" not in r.recipe.fitted:
        return [merged]
    count = r.scalar(float(len(deltas)))
    mean = masks.total(deltas) / count
    variance = (masks.total([(d - mean) * (d - mean) for d in deltas]) / count).round(dtype)
    low = r.scalar(r.fitted("low:variance", 0.0))
    high = r.scalar(r.fitted("high:variance", masks.LARGEST))
    return [
        r.program.select(variance > high, merged, base),
        r.program.select(variance >= low, merged, base),
    ]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield recipes of the parents that elements with one of them on the winning side are of."""
    if len(f.parents) < 2 or not masks.applies(f):
        return
    for arithmetic in ARITHMETICS:
        look = masks.View(f, f.small, arithmetic)
        found = [(gate(look, axes), axes) for axes in subsets(len(f.parents), 2)]
        share, largest = max(found)
        if share < GATE:
            continue
        # A parent that hardly moved hardly counts: the fewest that do as well come first.
        fewest = next(axes for each, axes in found if each >= share - ALIKE)
        view = look if f.small is f.sample else masks.View(f, f.sample, arithmetic)
        for axes in dict.fromkeys((fewest, largest)):
            recipe = fitted(f, view, axes)
            if masks.worthwhile(f, recipe):
                recipe = masks.ordered(f, recipe)
                yield recipe
                if masks.is_exact(f, recipe):
                    return


def subsets(count: int, least: int) -> list[tuple[int, ...]]:
    """Return the sets of 0 .. count - 1 with at least ``least`` and at most four members.

    >>> subsets(3, 2)
    [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    """
    most = min(count, masks.MOST_PARENTS)
    return [each for size in range(least, most + 1) for each in combinations(range(count), size)]


def winners(deltas: Floats) -> Floats:
    """Return (parents, elements) which displacements have the sign of their sum."""
    sign = np.where(deltas.sum(axis=0) >= 0.0, 1.0, -1.0)
    out: Floats = np.sign(deltas) == sign
    return out


def gate(view: masks.View, axes: tuple[int, ...]) -> float:
    """Return the share of changed elements with one winner that have that parent's displacement."""
    deltas = view.deltas[list(axes)]
    won = winners(deltas)
    large = np.abs(deltas).sum(axis=0) > 2.0 * view.width
    rows = np.flatnonzero((won.sum(axis=0) == 1) & view.moved & large)
    if len(rows) < 20:
        return 0.0
    ok = view.admits((deltas * won).sum(axis=0))
    return float(ok[rows].mean())


def fitted(f: Findings, view: masks.View, axes: tuple[int, ...]) -> Recipe:
    """Return the recipe with weights and thresholds of its own for every slice."""
    deltas = view.deltas[list(axes)]
    coarse = view.arithmetic == "bfloat16"
    won = winners(deltas)
    narrow = deltas.astype(np.float32)
    mean = (narrow.sum(axis=0, dtype=np.float32) / np.float32(len(axes))).astype(np.float32)
    squares = ((narrow - mean) ** 2).sum(axis=0, dtype=np.float32)
    variance = (squares / np.float32(len(axes))).astype(np.float64)
    if coarse:
        variance = bf16(variance)
    smallest = np.where(won, np.abs(deltas), np.inf).min(axis=0)
    told = np.isfinite(smallest) & (smallest > 2.0 * view.width)
    dropped = ~view.moved & told & (variance > 0.0)
    kept = view.moved & (variance > 0.0)
    is_selected = float(dropped.sum()) > 1e-3 * float((kept & told).sum() + dropped.sum())
    names = [f.parents[axis] for axis in axes]
    recipe = Recipe(
        "sce",
        tuple(Ingredient(name) for name in names),
        f.base,
        {},
        view.arithmetic,
        f.out_dtype,
    )
    present = np.ones(view.size, bool)
    tables: dict[str, dict[str, float]] = {}
    if is_selected:
        bands = masks.bands_of(variance, kept, dropped, view, is_capped=False)
        spare = 0.0 if coarse else 1e-5
        low = np.array([each.low for each in bands]) * (1.0 - spare)
        high = np.minimum(np.array([each.high for each in bands]) * (1.0 + spare), masks.LARGEST)
        present = (variance > high[view.owner]) | ((variance >= low[view.owner]) & view.moved)
        tables["low:variance"] = masks.table(f, low, view.owner)
        tables["high:variance"] = masks.table(f, high, view.owner)
        rows = np.flatnonzero(variance > 0.0)
        bottom, top, step = masks.shares_above(variance[rows], view.owner[rows], low, high)
        recipe = replace(recipe, parameters={"select_topk": masks.within(bottom, top + step)})
    weights = energies(view, deltas * present)
    weights = bf16(weights) if coarse else refined(view, deltas, won & present, weights)

    def with_weights(some: Sequence[Floats]) -> Recipe:
        own = {
            f"weight:{name}": masks.table(f, each, view.owner)
            for name, each in zip(names, some, strict=True)
        }
        return replace(recipe, fitted={**tables, **own})

    scales = list(weights)
    if coarse:
        scales = masks.stepped(f, scales, with_weights, ((1.0, 2), (1.0, 1)), -8)
    return with_weights(scales)


def energies(view: masks.View, deltas: Floats) -> Floats:
    """Return (parents, S) each parent's share of the mean square displacements."""
    counts = np.maximum(np.bincount(view.owner, minlength=view.slices), 1.0)
    squares = deltas * deltas
    if view.arithmetic == "bfloat16":
        squares = bf16(squares)
    means = np.array([np.bincount(view.owner, square, view.slices) for square in squares]) / counts
    if view.arithmetic == "bfloat16":
        means = bf16(means)
    sums = means.sum(axis=0)
    if view.arithmetic == "bfloat16":
        sums = bf16(sums)
    shares = means / np.maximum(sums, 1e-300)
    out: Floats = np.where(sums < LEAST_ENERGY, 1.0 / len(deltas), shares)
    return out


def refined(view: masks.View, deltas: Floats, won: Floats, weights: Floats) -> Floats:
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
            middle, _, depth = masks.deepest(
                low[near], high[near], view.owner[rows[near]], view.slices
            )
            weights[i] = np.where(depth >= 8, middle, weights[i])
    out: Floats = weights / np.maximum(weights.sum(axis=0), 1e-300)
    return out


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    return configuration(recipe, paths, "bfloat16" if masks.is_coarse(recipe) else "float32")


METHOD = Method(
    name="sce",
    formula="b + sum_i w_i d_i m_i / sum_i w_i m_i where var(d) is among the largest, else b; "
    "w_i: share of the mean squares, m_i: sign is that of sum_i d_i",
    source="Wan et al. 2024, FuseChat, arXiv:2408.07990; mergekit merge_methods/sce.py",
    parameters={"select_topk": "share of the elements whose variance is not 0 that change"},
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
)
