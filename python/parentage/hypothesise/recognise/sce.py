"""The base plus a mean, weighted by energy, of displacements where those differ the most."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import to_bf16
from parentage.hypothesise.recognise.masks.bands import bands_of, shares_above, shortest_between
from parentage.hypothesise.recognise.masks.mixture import MOST_PARENTS, is_unexplained
from parentage.hypothesise.recognise.masks.recipes import recipes
from parentage.hypothesise.recognise.masks.scales import step_scales, table
from parentage.hypothesise.recognise.masks.trials import beats_decoys, in_best_order, is_exact
from parentage.hypothesise.recognise.masks.view import View, deepest_overlap
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.methods import masked, sce
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.hypothesise.recognise.masks.bands import Band
    from parentage.hypothesise.recognise.masks.view import Bools, Places
    from parentage.support import Floats

LEAST_ENERGY = 1e-6
"""Sum of mean squares, over all parents, below which all have the same weight."""

ALIKE = 5e-3
"""Difference in :func:`won_share` that does not tell one set of parents from another."""

BY_SIZE = ("ties", "breadcrumbs", "breadcrumbs_ties")
"""Methods whose masks are known once their thresholds are; those drawn by chance explain anything
that may have been dropped."""

GATE = 0.95
"""Least :func:`won_share` for a recipe to be fitted."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes of the parents whose displacements elements with a single winner have.

    A winner is a parent whose displacement has the sign of the sum.
    """
    if len(estimates.columns.parents) < 2 or not is_unexplained(estimates):
        return
    # Sums of what a threshold of size left are told to the last element: nothing is to be fitted.
    if any(x.method in BY_SIZE and is_exact(estimates, x) for x in recipes(estimates)):
        return
    for arithmetic in sce.ARITHMETICS:
        preview = View(estimates, estimates.small, arithmetic)
        sets = subsets(len(estimates.columns.parents), 2)
        shares = [(won_share(preview, axes), axes) for axes in sets]
        share, largest = max(shares)
        if share < GATE:
            continue
        # A parent that hardly moved hardly counts: the fewest that do as well come first.
        fewest = next(axes for other, axes in shares if other >= share - ALIKE)
        view = (
            preview
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
    sizes = range(least, most + 1)
    return [members for size in sizes for members in combinations(range(count), size)]


def winners(deltas: Floats) -> Bools:
    """Return (parents, elements) which displacements have the sign of their sum."""
    sign = np.where(deltas.sum(axis=0) >= 0.0, 1.0, -1.0)
    won: Bools = np.sign(deltas) == sign
    return won


def won_share(view: View, axes: tuple[int, ...]) -> float:
    """Return the share of changed elements with one winner that have that parent's displacement."""
    deltas = view.deltas[list(axes)]
    won = winners(deltas)
    large = np.abs(deltas).sum(axis=0) > 2.0 * view.width
    rows = np.flatnonzero((won.sum(axis=0) == 1) & view.moved & large)
    if len(rows) < 20:
        return 0.0
    admitted = view.admits((deltas * won).sum(axis=0))
    return float(admitted[rows].mean())


def fitted(estimates: SampleEstimates, view: View, axes: tuple[int, ...]) -> Recipe:
    """Return the recipe with weights and thresholds of its own for every slice."""
    deltas = view.deltas[list(axes)]
    won = winners(deltas)
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
    variance = variances(view, deltas)
    kept, dropped = known_selection(view, deltas, won, variance)
    if dropped is not None:
        bands = bands_of(variance, kept, dropped, view, is_capped=False)
        recipe, present = _selected(estimates, view, recipe, variance, bands)
    weights = energies(view, deltas * present)
    is_coarse = view.arithmetic == "bfloat16"
    weights = to_bf16(weights) if is_coarse else refined(view, deltas, won & present, weights)

    def with_weights(weights: Sequence[Floats]) -> Recipe:
        """Return the recipe with weights (S,) of each parent."""
        tables = {
            f"weight:{name}": table(estimates, by_slice, view.owner)
            for name, by_slice in zip(names, weights, strict=True)
        }
        return replace(recipe, fitted={**recipe.fitted, **tables})

    by_parent = list(weights)
    if is_coarse:
        by_parent = step_scales(estimates, by_parent, with_weights, ((1.0, 2), (1.0, 1)), -8)
    return with_weights(by_parent)


def variances(view: View, deltas: Floats) -> Floats:
    """Return (elements,) the variance of displacements over parents, by which sce selects."""
    count = np.float32(len(deltas))
    narrow = deltas.astype(np.float32)
    mean = (narrow.sum(axis=0, dtype=np.float32) / count).astype(np.float32)
    squares = ((narrow - mean) ** 2).sum(axis=0, dtype=np.float32)
    variance = (squares / count).astype(np.float64)
    return to_bf16(variance) if view.arithmetic == "bfloat16" else variance


def known_selection(
    view: View, deltas: Floats, won: Bools, variance: Floats
) -> tuple[Bools, Bools | None]:
    """Return (elements,) which are known to be selected, and which not; ``None`` if all may be.

    Elements that changed were selected; others were not, if a displacement that won is so large
    that it would show.
    """
    smallest = np.where(won, np.abs(deltas), np.inf).min(axis=0)
    told = np.isfinite(smallest) & (smallest > 2.0 * view.width)
    dropped = ~view.moved & told & (variance > 0.0)
    kept = view.moved & (variance > 0.0)
    is_selective = float(dropped.sum()) > 1e-3 * float((kept & told).sum() + dropped.sum())
    return kept, dropped if is_selective else None


def _selected(
    estimates: SampleEstimates, view: View, recipe: Recipe, variance: Floats, bands: Sequence[Band]
) -> tuple[Recipe, Bools]:
    """Return the recipe with its share and thresholds of variances, and who is selected by them.

    The second is (elements,).
    """
    spare = 0.0 if view.arithmetic == "bfloat16" else 1e-5
    low = np.array([band.low for band in bands]) * (1.0 - spare)
    high = np.minimum(np.array([band.high for band in bands]) * (1.0 + spare), masked.LARGEST)
    present = (variance > high[view.owner]) | ((variance >= low[view.owner]) & view.moved)
    rows = np.flatnonzero(variance > 0.0)
    least, most, step = shares_above(variance[rows], view.owner[rows], low, high)
    tables = {
        "low:variance": table(estimates, low, view.owner),
        "high:variance": table(estimates, high, view.owner),
    }
    share = shortest_between(least, most + step)
    return replace(recipe, parameters={"select_topk": share}, fitted=tables), present


def energies(view: View, deltas: Floats) -> Floats:
    """Return (parents, S) each parent's share of the mean square displacements of a slice."""
    counts = np.maximum(np.bincount(view.owner, minlength=view.slices), 1.0)
    is_coarse = view.arithmetic == "bfloat16"
    squares = to_bf16(deltas * deltas) if is_coarse else deltas * deltas
    means = np.array([np.bincount(view.owner, square, view.slices) for square in squares]) / counts
    means = to_bf16(means) if is_coarse else means
    sums = means.sum(axis=0)
    sums = to_bf16(sums) if is_coarse else sums
    shares = means / np.maximum(sums, 1e-300)
    energy: Floats = np.where(sums < LEAST_ENERGY, 1.0 / len(deltas), shares)
    return energy


def refined(view: View, deltas: Floats, won: Bools, weights: Floats) -> Floats:
    """Return weights (parents, S) that most cells admit, each in turn with the others held.

    ``won`` (parents, elements) are the displacements that are averaged.
    """
    weights = weights.copy()
    for _ in range(2):
        for i in range(len(deltas)):
            low, high, owner = _weight_intervals(view, deltas, won, weights, i)
            middle, _, depth = deepest_overlap(low, high, owner, view.slices)
            weights[i] = np.where(depth >= 8, middle, weights[i])
    refined: Floats = weights / np.maximum(weights.sum(axis=0), 1e-300)
    return refined


def _weight_intervals(
    view: View, deltas: Floats, won: Bools, weights: Floats, i: int
) -> tuple[Floats, Floats, Places]:
    """Return the ends and slices of narrow intervals of parent ``i``'s weight, near to what it is.

    Of elements in which others won, too: one alone has its displacement whatever its weight is.
    """
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
    low = np.clip(np.minimum(one, two), 0.0, 1.0)
    high = np.minimum(np.maximum(one, two), 1.0)
    inside = (high > 0.0) & (high < 1.0)
    rows, rest, low, high = rows[inside], rest[inside], low[inside], high[inside]
    # So far they are of the parent's share of the sum of weights.
    low, high = rest * low / (1.0 - low), rest * high / (1.0 - high)
    owner = view.owner[rows]
    at = weights[i, owner]
    near = (high > 0.7 * at) & (low < 1.4 * at) & (high - low < 0.5 * at)
    return low[near], high[near], owner[near]


RECOGNISER = Recogniser(estimate)
