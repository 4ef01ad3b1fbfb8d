"""The base and the mean of its fine-tunes, weighted by the angle between them."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.by_row import (
    ROWS,
    SEEN,
    admitted,
    by_slice,
    length,
    products,
    telling,
    worth_it,
)
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.span import climb, displaced_fit, sets, table
from parentage.methods import model_stock
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.align import Slice
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

LEAST_PRODUCT = 1e-6
"""Least product of two norms, as in mergekit: smaller ones are replaced by it."""

NEAR = 0.05
"""Largest mean distance between least-squares weights and those that the angles predict."""


def ratio(gram: Floats, columns: Sequence[int]) -> Floats:
    """Return t (S,) = n c / (1 + (n - 1) c), where c is the mean cosine between n displacements.

    ``gram`` is (S, columns, columns).
    """
    part = gram[:, columns][:, :, columns]
    norms = np.sqrt(np.diagonal(part, axis1=1, axis2=2))
    count = len(columns)
    cosines = [
        np.clip(part[:, i, j] / np.maximum(norms[:, i] * norms[:, j], LEAST_PRODUCT), -1.0, 1.0)
        for i, j in combinations(range(count), 2)
    ]
    mean = np.mean(cosines, axis=0)
    below = 1.0 + (count - 1) * mean
    is_singular = np.abs(below) < 1e-6
    t: Floats = np.where(is_singular, 0.0, count * mean / np.where(is_singular, 1.0, below))
    return t


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes for parents whose mean, weighted by t, is near to what least squares finds."""
    every = estimates.columns.parent_indices
    for columns, weights in sets(estimates, displaced_fit, 1, range(2, 1 + len(every))):
        t = ratio(estimates.sample.gram.total, columns)
        used = estimates.sample.weight
        gap = np.abs(weights - t[:, None] / len(columns)).max(axis=1)
        if float((gap * used).sum() / max(used.sum(), 1.0)) > NEAR:
            continue
        if not estimates.sample.is_whole:
            t = weights.sum(axis=1)
        for arithmetic in model_stock.ARITHMETICS:
            yield Recipe(
                "model_stock",
                tuple(Ingredient(estimates.columns.names[i]) for i in columns),
                estimates.columns.base,
                {},
                arithmetic,
                estimates.out_dtype,
                {"t": table(estimates, t)},
            )
    yield from _by_row(estimates)


def _by_row(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes for parents whose means, weighted row by row, the cells of one tensor admit."""
    index = telling(estimates)
    if index is None or not worth_it(estimates):
        return
    parents = estimates.columns.parent_indices
    shares: list[tuple[float, tuple[int, ...]]] = []
    for size in range(2, 1 + len(parents)):
        for columns in combinations(parents, size):
            values = estimates.whole(index, (0, *columns))
            slice_ = estimates.slices[index]
            base, child = values[:, 0], values[:, -1]
            t = np.repeat(_ratios(slice_, values), length(slice_, ROWS))
            predicted = t * values[:, 1:-1].mean(axis=1) + (1.0 - t) * base
            shares.append((admitted(estimates, child, predicted), columns))
    share, columns = max(shares, default=(0.0, ()))
    if share < SEEN:
        return
    matrices = dict(by_slice(estimates, (0, *columns), _ratios, ROWS))
    for arithmetic in model_stock.ARITHMETICS:
        yield Recipe(
            "model_stock",
            tuple(Ingredient(estimates.columns.names[i]) for i in columns),
            estimates.columns.base,
            {"filter_wise": True},
            arithmetic,
            estimates.out_dtype,
            matrices=matrices,
        )


def _ratios(slice_: Slice, values: Floats) -> Floats:
    """Return t (rows,) of a slice.

    ``values`` (elements, columns) are those of the base, the parents and the child.
    """
    displaced = values[:, 1:-1] - values[:, :1]
    gram = products(slice_, displaced, ROWS)
    return ratio(gram, range(displaced.shape[1]))


def refine(estimates: SampleEstimates, recipe: Recipe) -> Recipe:
    """Return the recipe with t of every slice moved to where the fewest elements mismatch."""
    return climb(estimates, recipe, ("t",)) if recipe.fitted else recipe


RECOGNISER = Recogniser(estimate, refine)
