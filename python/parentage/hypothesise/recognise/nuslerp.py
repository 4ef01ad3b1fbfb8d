"""Spherical interpolation between two checkpoints, or between two displacements from a base."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.by_row import (
    COLUMNS,
    ROWS,
    SEEN,
    admitted,
    by_slice,
    products,
    telling,
    vectors,
    worth_it,
)
from parentage.hypothesise.recognise.recogniser import Recogniser
from parentage.hypothesise.recognise.span import (
    climb,
    cosines,
    displaced_fit,
    interpolation,
    located,
    raw_fit,
    sets,
    setting_values,
    table,
)
from parentage.methods import nuslerp
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parentage.align import Slice
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

DIGITS = 3
"""Decimals of t that are tried by row, where it can not be told as sharply as by tensor."""

LEAST_NORMS = 1e-28
"""Least product of squared norms, so that vectors of zeros have some angle."""


def estimate(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes for two checkpoints whose span, or that of displacements, holds the child."""
    for columns, weights in sets(estimates, raw_fit, 0, (2,)):
        yield from _recipes(estimates, (columns[0], columns[1]), weights, raw=True)
    for columns, weights in sets(estimates, displaced_fit, 1, (2,)):
        yield from _recipes(estimates, (columns[0], columns[1]), weights, raw=False)
    if worth_it(estimates):
        yield from _by_vector(estimates)


def _by_vector(estimates: SampleEstimates) -> Iterator[Recipe]:
    """Yield recipes with an angle per row, or per column, if one test tensor's cells admit them."""
    index = telling(estimates)
    if index is None:
        return
    slice_ = estimates.slices[index]
    best: tuple[float, int, bool, tuple[int, int], float] | None = None
    for raw in (False, True):
        for pair in combinations(range(0 if raw else 1, 1 + len(estimates.columns.parents)), 2):
            values = estimates.whole(index, (0, *pair))
            for axis in (ROWS, COLUMNS):
                t, share = _turned(estimates, slice_, values, axis, raw=raw)
                if best is None or share > best[0]:
                    best = share, axis, raw, pair, t
    if best is None or best[0] < SEEN:
        return
    _, axis, raw, pair, t = best

    angles = partial(_angles, axis=axis, raw=raw)
    matrices = dict(by_slice(estimates, (0, *pair), angles, axis))
    for arithmetic in nuslerp.ARITHMETICS:
        yield Recipe(
            "nuslerp",
            (
                Ingredient(estimates.columns.names[pair[0]], round(1.0 - t, 10)),
                Ingredient(estimates.columns.names[pair[1]], t),
            ),
            None if raw else estimates.columns.base,
            {"vectors": nuslerp.FAMILIES[(ROWS, COLUMNS).index(axis)]},
            arithmetic,
            estimates.out_dtype,
            matrices=matrices,
        )


def _parts(values: Floats, *, raw: bool) -> Floats:
    """Return (elements, 2) what is interpolated: two checkpoints (``raw``), or displacements.

    ``values`` (elements, 4) are those of the base, the two and the child.
    """
    return values[:, 1:3] if raw else values[:, 1:3] - values[:, :1]


def _angles(slice_: Slice, values: Floats, axis: int, *, raw: bool) -> Floats:
    """Return (vectors,) the angles between what is interpolated, of elements (elements, 4)."""
    gram = products(slice_, _parts(values, raw=raw), axis)
    norms = np.sqrt(np.maximum(gram[:, 0, 0] * gram[:, 1, 1], LEAST_NORMS))
    return np.arccos(np.clip(gram[:, 0, 1] / norms, -1.0, 1.0))


def _turned(
    estimates: SampleEstimates, slice_: Slice, values: Floats, axis: int, *, raw: bool
) -> tuple[float, float]:
    """Return the t that most cells of a tensor admit, of those near least squares, and their share.

    ``values`` (elements, 4) are those of the base, the two checkpoints and the child.
    """
    parts = vectors(slice_, _parts(values, raw=raw), axis)
    aim = values[:, 3:] if raw else values[:, 3:] - values[:, :1]
    target = vectors(slice_, aim, axis)[:, :, 0]
    theta = _angles(slice_, values, axis, raw=raw)
    gram = np.einsum("vnk,vnl->vkl", parts, parts)
    right = np.einsum("vnk,vn->vk", parts, target)
    below = gram[:, 0, 0] * gram[:, 1, 1] - gram[:, 0, 1] ** 2
    good = below > 1e-9 * gram[:, 0, 0] * gram[:, 1, 1]
    if not good.any():
        return 0.5, 0.0
    second = (gram[:, 0, 0] * right[:, 1] - gram[:, 0, 1] * right[:, 0])[good] / below[good]
    fitted = interpolation(np.cos(theta[good]), np.clip(second, -1.0, 2.0), nuslerp.STRAIGHT)
    if not np.isfinite(fitted).any():
        return 0.5, 0.0
    middle = float(np.nanmedian(fitted))
    child = vectors(slice_, values[:, 3:], axis)[:, :, 0]
    start = child - target
    best = middle, 0.0
    for digits in range(1, DIGITS + 1):
        for step in range(-2, 3):
            t = round(round(middle, digits) + step * 10.0**-digits, digits)
            first, second_, sine = (x[:, None] for x in nuslerp.sines(theta, t))
            turned = (first * parts[:, :, 0] + second_ * parts[:, :, 1]) / sine
            share = admitted(estimates, child, start + turned)
            if share > best[1]:
                best = t, share
    return best


def _recipes(
    estimates: SampleEstimates, pair: tuple[int, int], weights: Floats, *, raw: bool
) -> Iterator[Recipe]:
    """Yield the interpolation between two columns in every arithmetic."""
    for arithmetic in nuslerp.ARITHMETICS:
        yield _recipe(estimates, pair, weights, arithmetic, raw=raw)


def _recipe(
    estimates: SampleEstimates,
    pair: tuple[int, int],
    weights: Floats,
    arithmetic: str,
    *,
    raw: bool,
) -> Recipe:
    """Return the interpolation between two columns, of least-squares weights (S, 2).

    The columns are those of checkpoints (``raw``), or of their displacements.
    """
    refined, widths, known = located(estimates, pair, weights, raw=raw)
    gram = estimates.raw_gram if raw else estimates.sample.gram.total
    _, cosine = cosines(gram, pair)
    t = interpolation(cosine[:, 0, 1], np.clip(refined[:, 1], -1.0, 2.0), nuslerp.STRAIGHT)
    known &= np.isfinite(t)
    slack = 2e-4 if estimates.sample.is_whole else 2e-3
    if arithmetic == "bfloat16":
        # Angles in bf16 are off by some thousandths, and the weights with them.
        known, slack = estimates.sample.weight >= 1024, 2e-2
    setting = estimates.describe(t, np.maximum(16.0 * widths, slack), known)
    one, two = (estimates.columns.names[i] for i in pair)
    ingredients = (Ingredient(one), Ingredient(two))
    if isinstance(setting, float):
        ingredients = (Ingredient(one, round(1.0 - setting, 10)), Ingredient(two, setting))
    return Recipe(
        "nuslerp",
        ingredients,
        None if raw else estimates.columns.base,
        {} if isinstance(setting, float) else {"t": setting},
        arithmetic,
        estimates.out_dtype,
        _sines(estimates, cosine[:, 0, 1], setting_values(estimates, setting)),
    )


def _sines(estimates: SampleEstimates, cosine: Floats, t: Floats) -> dict[str, dict[str, float]]:
    """Return the sines that a replay needs, by slice, for ``cosine`` and ``t`` (S,).

    Where vectors are nearly parallel, they are the numbers that make the interpolation linear.
    """
    theta = np.arccos(cosine)
    straight = np.abs(cosine) >= nuslerp.STRAIGHT
    sine = np.where(straight, 1.0, np.sin(theta))
    first = np.where(straight, 1.0 - t, np.sin((1.0 - t) * theta))
    second = np.where(straight, t, np.sin(t * theta))
    return {
        "first": table(estimates, first),
        "second": table(estimates, second),
        "sine": table(estimates, sine),
    }


def refine(estimates: SampleEstimates, recipe: Recipe) -> Recipe:
    """Return the recipe with both weights of every slice moved to the fewest mismatches."""
    return climb(estimates, recipe, ("first", "second")) if recipe.fitted else recipe


RECOGNISER = Recogniser(estimate, refine)
