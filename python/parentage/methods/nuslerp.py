"""Spherical interpolation between two checkpoints, or between two displacements from a base."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage.errors import RecipeError
from parentage.methods import rows, span
from parentage.methods.method import Method, Replaying, configuration
from parentage.recipe import Ingredient, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.align import Slice
    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Value

ARITHMETICS = {
    "float32": "sines, products, their sum and the quotient rounded to float32",
    "bfloat16": "the same rounded to bf16, displacements too: mergekit with dtype bfloat16",
}
STRAIGHT = 1.0 - 1e-15
"""Cosine from which on the two are one direction, and the interpolation is linear."""


FAMILIES = ("rows", "columns")
"""Vectors that are turned by themselves, where it is not the whole tensor: mergekit's
``nuslerp_flatten: false``, without and with ``nuslerp_row_wise``."""
DIGITS = 3
"""Decimals of t that are tried by row, where it can not be told as sharply as by tensor."""


def replay(r: Replaying) -> Sequence[Value]:
    """Return (sin((1 - t) theta) x + sin(t theta) y) / sin theta.

    The three sines are fitted by slice, or follow from angles by row.
    """
    one, two = (r.column(each.name) for each in r.recipe.ingredients)
    base = None if r.recipe.base is None else r.column(r.recipe.base)
    dtype = "BF16" if r.recipe.arithmetic == "bfloat16" else None
    if base is not None:
        one, two = (one - base).round(dtype), (two - base).round(dtype)
    vectors = r.recipe.parameters.get("vectors")
    if vectors is not None:
        if vectors not in FAMILIES:
            raise RecipeError(f"vectors is one of {', '.join(FAMILIES)}, not {vectors!r}")
        t = _share(r.recipe)
        angles = [r.recipe.matrices.get(each.name) for each in r.slices]
        first, second, sine = (
            r.program.low_rank([_of_angle(angle, number, t) for angle in angles]).round(dtype)
            for number in range(3)
        )
    else:
        first, second = (r.scalar(np.nan_to_num(r.fitted(name))) for name in ("first", "second"))
        sine = r.scalar(np.nan_to_num(r.fitted("sine"), nan=1.0))
    total = ((first * one).round(dtype) + (second * two).round(dtype)).round(dtype)
    result = (total / sine).round(dtype)
    return [result if base is None else (base + result).round(dtype)]


def _share(recipe: Recipe) -> float:
    weights = [float(each.weight) for each in recipe.ingredients if isinstance(each.weight, float)]
    if len(weights) != 2:
        raise RecipeError("two weights, each a number, are needed where vectors are turned")
    total = sum(weights)
    return 0.5 if abs(total) < 1e-6 else weights[1] / total


def sines(theta: Floats, t: float) -> tuple[Floats, Floats, Floats]:
    """Return sin((1 - t) theta), sin(t theta) and sin theta; 1 - t, t and 1 where that is 0."""
    straight = np.abs(np.cos(theta)) >= STRAIGHT
    return (
        np.where(straight, 1.0 - t, np.sin((1.0 - t) * theta)),
        np.where(straight, t, np.sin(t * theta)),
        np.where(straight, 1.0, np.sin(theta)),
    )


def _of_angle(
    angle: tuple[Floats, Floats] | None, number: int, t: float
) -> tuple[Floats, Floats] | None:
    """Return the factors of one of the three sines, of those of the angle."""
    if angle is None:
        return None
    left, right = (np.asarray(each, np.float64) for each in angle)
    # One of the two is all ones, along the vectors.
    if np.all(right == 1.0):
        return sines(left, t)[number], right
    return left, sines(right, t)[number]


def estimate(f: Findings) -> Iterator[Recipe]:
    """Yield the interpolation between any two whose span, or whose displacements' span, has it."""
    for columns, weights in span.sets(f, span.raw_fit, 0, (2,)):
        yield from _recipes(f, (columns[0], columns[1]), weights, raw=True)
    for columns, weights in span.sets(f, span.displaced_fit, 1, (2,)):
        yield from _recipes(f, (columns[0], columns[1]), weights, raw=False)
    if rows.worth_it(f):
        yield from _by_vector(f)


def _by_vector(f: Findings) -> Iterator[Recipe]:
    """Yield what turns every row, or column, by itself, if cells of one tensor admit it."""
    index = rows.telling(f)
    if index is None:
        return
    each = f.slices[index]
    best: tuple[float, int, bool, tuple[int, int], float] | None = None
    for raw in (False, True):
        for pair in combinations(range(0 if raw else 1, 1 + len(f.parents)), 2):
            values = f.whole(index, (0, *pair))
            for axis in (rows.ROWS, rows.COLUMNS):
                t, share = _turned(f, each, values, axis, raw=raw)
                if best is None or share > best[0]:
                    best = share, axis, raw, pair, t
    if best is None or best[0] < rows.SEEN:
        return
    _, axis, raw, pair, t = best

    def angle(each: Slice, values: Floats) -> Floats:
        return _angles(each, values, axis, raw=raw)

    matrices = dict(rows.by_slice(f, (0, *pair), angle, axis))
    for arithmetic in ARITHMETICS:
        yield Recipe(
            "nuslerp",
            (Ingredient(f.names[pair[0]], round(1.0 - t, 10)), Ingredient(f.names[pair[1]], t)),
            None if raw else f.base,
            {"vectors": FAMILIES[(rows.ROWS, rows.COLUMNS).index(axis)]},
            arithmetic,
            f.out_dtype,
            matrices=matrices,
        )


def _parts(values: Floats, *, raw: bool) -> Floats:
    """Return what is interpolated, of elements of the base, the two and the child."""
    return values[:, 1:3] if raw else values[:, 1:3] - values[:, :1]


def _angles(each: Slice, values: Floats, axis: int, *, raw: bool) -> Floats:
    """Return the angle between the two, by vector."""
    gram = rows.products(each, _parts(values, raw=raw), axis)
    norms = np.sqrt(np.maximum(gram[:, 0, 0] * gram[:, 1, 1], LEAST_NORMS))
    return np.arccos(np.clip(gram[:, 0, 1] / norms, -1.0, 1.0))


def _turned(
    f: Findings, each: Slice, values: Floats, axis: int, *, raw: bool
) -> tuple[float, float]:
    """Return the t that most cells of a tensor admit, of those near least squares, and how many."""
    parts = rows.vectors(each, _parts(values, raw=raw), axis)
    aim = values[:, 3:] if raw else values[:, 3:] - values[:, :1]
    target = rows.vectors(each, aim, axis)[:, :, 0]
    theta = _angles(each, values, axis, raw=raw)
    gram = np.einsum("vnk,vnl->vkl", parts, parts)
    right = np.einsum("vnk,vn->vk", parts, target)
    below = gram[:, 0, 0] * gram[:, 1, 1] - gram[:, 0, 1] ** 2
    good = below > 1e-9 * gram[:, 0, 0] * gram[:, 1, 1]
    if not good.any():
        return 0.5, 0.0
    second = (gram[:, 0, 0] * right[:, 1] - gram[:, 0, 1] * right[:, 0])[good] / below[good]
    found = span.interpolation(np.cos(theta[good]), np.clip(second, -1.0, 2.0), STRAIGHT)
    if not np.isfinite(found).any():
        return 0.5, 0.0
    middle = float(np.nanmedian(found))
    child = rows.vectors(each, values[:, 3:], axis)[:, :, 0]
    start = child - target
    best = middle, 0.0
    for digits in range(1, DIGITS + 1):
        for step in range(-2, 3):
            t = round(round(middle, digits) + step * 10.0**-digits, digits)
            first, second_, sine = (x[:, None] for x in sines(theta, t))
            turned = (first * parts[:, :, 0] + second_ * parts[:, :, 1]) / sine
            share = rows.admitted(f, child, start + turned)
            if share > best[1]:
                best = t, share
    return best


LEAST_NORMS = 1e-28
"""Least product of squared norms, so that vectors of zeros have some angle."""


def _recipes(
    f: Findings, pair: tuple[int, int], weights: np.ndarray, *, raw: bool
) -> Iterator[Recipe]:
    for arithmetic in ARITHMETICS:
        yield _recipe(f, pair, weights, arithmetic, raw=raw)


def _recipe(
    f: Findings, pair: tuple[int, int], weights: np.ndarray, arithmetic: str, *, raw: bool
) -> Recipe:
    found, widths, known = span.located(f, pair, weights, raw=raw)
    gram = f.raw_gram if raw else f.sample.gram.total
    _, cosine = span.cosines(gram, pair)
    angle = cosine[:, 0, 1]
    t = span.interpolation(angle, np.clip(found[:, 1], -1.0, 2.0), STRAIGHT)
    known &= np.isfinite(t)
    slack = 2e-4 if f.sample.is_whole else 2e-3
    if arithmetic == "bfloat16":
        # Angles in bf16 are off by some thousandths, and the weights with them.
        known, slack = f.sample.weight >= 1024, 2e-2
    setting = f.describe(t, np.maximum(16.0 * widths, slack), known)
    values = span.setting_values(f, setting)
    theta = np.arccos(angle)
    straight = np.abs(angle) >= STRAIGHT
    sine = np.where(straight, 1.0, np.sin(theta))
    first = np.where(straight, 1.0 - values, np.sin((1.0 - values) * theta))
    second = np.where(straight, values, np.sin(values * theta))
    if isinstance(setting, float):
        shares = (round(1.0 - setting, 10), setting)
        ingredients = tuple(
            Ingredient(f.names[i], share) for i, share in zip(pair, shares, strict=True)
        )
    else:
        ingredients = tuple(Ingredient(f.names[i]) for i in pair)
    return Recipe(
        "nuslerp",
        ingredients,
        None if raw else f.base,
        {} if isinstance(setting, float) else {"t": setting},
        arithmetic,
        f.out_dtype,
        {
            "first": span.table(f, first),
            "second": span.table(f, second),
            "sine": span.table(f, sine),
        },
    )


def refine(f: Findings, recipe: Recipe) -> Recipe:
    """Move both weights of every slice to where the fewest elements mismatch."""
    return span.climb(f, recipe, ("first", "second")) if recipe.fitted else recipe


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    vectors = recipe.parameters.get("vectors")
    if vectors is None:
        return configuration(recipe, paths, recipe.arithmetic)
    settings = {"nuslerp_flatten": False, "nuslerp_row_wise": vectors == "columns"}
    plain = replace(recipe, parameters={})
    return configuration(plain, paths, recipe.arithmetic, **settings)


METHOD = Method(
    name="nuslerp",
    formula="[sin((1 - t) theta) x_1 + sin(t theta) x_2] / sin theta, t = w_2 / (w_1 + w_2), of "
    "whole checkpoints, or b plus that of displacements",
    source="Shoemake 1985; mergekit merge_methods/nuslerp.py",
    parameters={
        "t": "w_2 / (w_1 + w_2) where it is not one number for all",
        "vectors": "rows or columns, where each is turned by itself (default: the whole tensor)",
    },
    arithmetics=ARITHMETICS,
    estimate=estimate,
    replay=replay,
    mergekit=mergekit,
    refine=refine,
)
