"""The mean of whole checkpoints on a sphere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.span import climb, cosines, raw_fit, sets, table
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

NEAR = 0.005
"""Largest mean distance between least-squares weights and those that the method gives."""

ITERATIONS = 10
"""Most iterations, as in the tool."""

TOLERANCE = 1e-5
"""Length of a step at which the tool stops."""


def combined(norms: Floats, cosine: Floats) -> Floats:
    """Return (S, n) the weights of checkpoints in their mean on the sphere.

    ``norms`` are (S, n), ``cosine`` (S, n, n). The iteration is the tool's, on coefficients of the
    unit vectors in place of the vectors.
    """
    count = norms.shape[1]
    share = 1.0 / count
    mean = np.full_like(norms, share)

    def length(x: Floats) -> Floats:
        """Return (S,) the norms of sums of unit vectors with coefficients (S, n)."""
        square = np.einsum("si,sij,sj->s", x, cosine, x)
        norm: Floats = np.sqrt(np.clip(square, 0.0, None))
        return norm

    mean /= np.where(length(mean) > 0, length(mean), 1.0)[:, None]
    active = np.ones(len(norms), dtype=bool)
    for _ in range(ITERATIONS):
        tangent = np.zeros_like(mean)
        for i in range(count):
            dot = np.clip(np.einsum("sj,sj->s", cosine[:, i], mean), -1.0, 1.0)
            theta = np.arccos(dot)
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = np.where(theta < TOLERANCE, 0.0, share * theta / np.sin(theta))
            unit = np.zeros(count)
            unit[i] = 1.0
            tangent += factor[:, None] * (unit[None, :] - dot[:, None] * mean)
        size = length(tangent)
        active &= size >= TOLERANCE
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = np.cos(size)[:, None] * mean + (np.sin(size) / size)[:, None] * tangent
        mean = np.where(active[:, None], moved, mean)
        mean /= np.where(length(mean) > 0, length(mean), 1.0)[:, None]
    scale = share * norms.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights: Floats = np.where(norms > 0, scale[:, None] * mean / norms, 0.0)
    return weights


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield a recipe for checkpoints whose mean is near to what least squares finds."""
    for columns, fitted in sets(
        estimates, raw_fit, 0, range(2, 2 + len(estimates.columns.parents))
    ):
        norms, cosine = cosines(estimates.raw_gram, columns)
        weights = combined(norms, cosine)
        size = estimates.sample.weight
        gap = np.abs(weights - fitted).max(axis=1)
        if float((gap * size).sum() / max(size.sum(), 1.0)) > NEAR:
            continue
        yield Recipe(
            "karcher",
            tuple(Ingredient(estimates.columns.names[i]) for i in columns),
            None,
            {},
            "float32",
            estimates.out_dtype,
            {f"weight_{i}": table(estimates, weights[:, i]) for i in range(len(columns))},
        )


def refine(estimates: SampleEstimates, recipe: Recipe) -> Recipe:
    """Return the recipe with the weights of every slice moved to the fewest mismatches."""
    return climb(estimates, recipe, tuple(recipe.fitted), rounds=3)


RECOGNISER = Recogniser(estimate, refine)
