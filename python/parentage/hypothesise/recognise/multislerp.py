"""Barycentric interpolation on a sphere, of checkpoints or of displacements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.span import climb, cosines, displaced_fit, raw_fit, sets, table
from parentage.hypothesise.written_weights import shortest_decimal
from parentage.methods import multislerp
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

NEAR = 0.02
"""Largest mean distance between least-squares weights and those that the method gives."""

STEPS = 25
"""Gauss-Newton steps."""


def parts(norms: Floats, cosine: Floats, weights: Floats) -> dict[str, Floats]:
    """Return the numbers (S,) that a replay needs, for weights (n,) that sum to one.

    ``norms`` are (S, n), ``cosine`` (S, n, n).
    """
    mean = np.sqrt(np.einsum("i,sij,j->s", weights, cosine, weights))
    safe = np.where(mean > 0, mean, 1.0)
    unit = weights[None, :] / safe[:, None]
    dots = np.einsum("sij,sj->si", cosine, unit)
    # The tangent in terms of the unit vectors.
    tangent = weights[None, :] - (dots @ weights)[:, None] * unit
    length = np.sqrt(np.clip(np.einsum("si,sij,sj->s", tangent, cosine, tangent), 0.0, None)) + 1e-8
    return {
        **{f"norm_{i}": norms[:, i] + 1e-8 for i in range(norms.shape[1])},
        "mean": safe,
        **{f"dot_{i}": dots[:, i] for i in range(norms.shape[1])},
        "cosine": np.cos(length),
        "sine": np.sin(length) / length,
        "length": norms @ weights,
    }


def combined(norms: Floats, cosine: Floats, weights: Floats) -> Floats:
    """Return (S, n) the weights of checkpoints or displacements in their interpolation.

    ``norms`` are (S, n), ``cosine`` (S, n, n), and ``weights`` (n,) those of the interpolation.
    """
    numbers = parts(norms, cosine, weights)
    unit = weights[None, :] / numbers["mean"][:, None]
    dots = np.stack([numbers[f"dot_{i}"] for i in range(norms.shape[1])], axis=1)
    tangent = weights[None, :] - (dots @ weights)[:, None] * unit
    on_units = unit * numbers["cosine"][:, None] + tangent * numbers["sine"][:, None]
    length = numbers["length"][:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        multiples: Floats = np.where(norms > 0, on_units * length / norms, 0.0)
    return multiples


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes with the weights for which the method comes nearest to least squares."""
    sizes = range(2, 1 + len(estimates.columns.parents) + 1)
    for raw, fits in ((True, raw_fit), (False, displaced_fit)):
        for columns, fitted in sets(estimates, fits, 0 if raw else 1, sizes):
            if len(columns) < 2 or (not raw and 0 in columns):
                continue
            gram = estimates.raw_gram if raw else estimates.sample.gram.total
            norms, cosine = cosines(gram, columns)
            size = estimates.sample.weight * (norms.min(axis=1) > 0)
            weights, gap = _fitted(norms, cosine, fitted, size)
            if gap > NEAR:
                continue
            shares = [shortest_decimal(float(x), 2e-3) for x in weights]
            for chosen in (shares, [1.0 / len(columns)] * len(columns)):
                exact = np.array(chosen) / sum(chosen)
                numbers = parts(norms, cosine, exact)
                for arithmetic in multislerp.ARITHMETICS:
                    yield Recipe(
                        "multislerp",
                        tuple(
                            Ingredient(estimates.columns.names[i], share)
                            for i, share in zip(columns, chosen, strict=True)
                        ),
                        None if raw else estimates.columns.base,
                        {},
                        arithmetic,
                        estimates.out_dtype,
                        {name: table(estimates, values) for name, values in numbers.items()},
                    )


def _fitted(norms: Floats, cosine: Floats, aim: Floats, size: Floats) -> tuple[Floats, float]:
    """Return weights (n,) by Gauss-Newton on all slices, and the mean distance that is left.

    ``aim`` (S, n) is what :func:`combined` is to give, ``size`` (S,) how much each slice counts.
    """
    count = norms.shape[1]
    weights = np.full(count, 1.0 / count)
    root = np.sqrt(size / max(size.sum(), 1.0))[:, None]
    for _ in range(STEPS):
        at = combined(norms, cosine, weights)
        columns = []
        for i in range(count - 1):
            step = np.zeros(count)
            step[i], step[-1] = 1e-5, -1e-5
            columns.append(((combined(norms, cosine, weights + step) - at) * root).ravel() / 1e-5)
        design = np.stack(columns, axis=1)
        if not np.isfinite(design).all():
            break
        change = np.linalg.lstsq(design, ((aim - at) * root).ravel(), rcond=None)[0]
        change = np.clip(change, -0.1, 0.1)
        weights = weights + np.append(change, -change.sum())
    gap = np.abs(np.nan_to_num(combined(norms, cosine, weights)) - aim).max(axis=1)
    return weights, float((gap * size).sum() / max(size.sum(), 1.0))


def refine(estimates: SampleEstimates, recipe: Recipe) -> Recipe:
    """Return the recipe with fitted numbers of every slice moved to the fewest mismatches."""
    if recipe.arithmetic == "bfloat16":
        return climb(estimates, recipe, tuple(recipe.fitted), rounds=3)
    return climb(estimates, recipe, ("length", "sine"), rounds=2)


RECOGNISER = Recogniser(estimate, refine)
