"""The mean of whole checkpoints on a sphere."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.methods import span
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value

NEAR = 0.005
"""Most mean distance between least-squares weights and those that the method gives."""
ITERATIONS = 10
TOLERANCE = 1e-5


def replay(r: Replaying) -> Sequence[Value]:
    """Return the sum of checkpoints with a weight each per slice, fitted."""
    columns = [r.column(each.name) for each in r.recipe.ingredients]
    weights = [r.scalar(np.nan_to_num(r.fitted(f"weight_{i}"))) for i in range(len(columns))]
    return [reduce(lambda a, b: a + b, [c * w for c, w in zip(columns, weights, strict=True)])]


def combined(norms: Floats, cosine: Floats) -> Floats:
    """Return (S, n) what the mean multiplies each checkpoint by.

    The iteration is the tool's, on coefficients of the unit vectors in place of the vectors.
    """
    count = norms.shape[1]
    share = 1.0 / count
    mean = np.full_like(norms, share)

    def length(x: Floats) -> Floats:
        square = np.einsum("si,sij,sj->s", x, cosine, x)
        out: Floats = np.sqrt(np.clip(square, 0.0, None))
        return out

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
        out: Floats = np.where(norms > 0, scale[:, None] * mean / norms, 0.0)
    return out


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the checkpoints whose mean is near to what least squares finds."""
    for columns, found in span.sets(f, span.raw_fit, 0, range(2, 2 + len(f.parents))):
        norms, cosine = span.cosines(f.raw_gram, columns)
        weights = combined(norms, cosine)
        size = f.sample.weight
        gap = np.abs(weights - found).max(axis=1)
        if float((gap * size).sum() / max(size.sum(), 1.0)) > NEAR:
            continue
        yield Recipe(
            "karcher",
            tuple(Ingredient(f.names[i]) for i in columns),
            None,
            {},
            "float32",
            f.out_dtype,
            {f"weight_{i}": span.table(f, weights[:, i]) for i in range(len(columns))},
        )


def refine(f: Findings, recipe: Recipe) -> Recipe:
    """Move the weights of every slice to where the fewest elements mismatch."""
    return span.climb(f, recipe, tuple(recipe.fitted), rounds=3)


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    return configuration(recipe, paths)


METHOD = Method(
    name="karcher",
    formula="the Riemannian mean of x_i / |x_i| on the sphere, times the mean of |x_i|",
    source="Karcher 1977, Riemannian center of mass; mergekit merge_methods/karcher.py",
    parameters={},
    arithmetics={"float32": "each weight, product and sum rounded; the tool's own order has more"},
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    refine=refine,
)
