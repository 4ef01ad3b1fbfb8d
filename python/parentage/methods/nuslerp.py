"""Spherical interpolation between two checkpoints, or between two displacements from a base."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.methods.mergekit import configuration
from parentage.recipe import Method, Parameter
from parentage.support import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from parentage.recipe import Recipe, Replaying
    from parentage.stream import Value
    from parentage.support import Floats

ARITHMETICS = {
    "float32": "sines, products, their sum and the quotient rounded to float32",
    "bfloat16": "the same rounded to bf16, displacements too: mergekit with dtype bfloat16",
}

STRAIGHT = 1.0 - 1e-15
"""Cosine from which on the two are one direction, and the interpolation is linear."""

FAMILIES = ("rows", "columns")
"""Vectors that are turned by themselves, where it is not the whole tensor: mergekit's
``nuslerp_flatten: false``, without and with ``nuslerp_row_wise``."""


def replay(replaying: Replaying) -> Sequence[Value]:
    """Return (sin((1 - t) theta) x + sin(t theta) y) / sin theta.

    The three sines are fitted by slice, or follow from angles by row.
    """
    one, two = replaying.parents()
    base = None if replaying.recipe.base is None else replaying.base()
    dtype = replaying.dtype
    if base is not None:
        one, two = (one - base).round(dtype), (two - base).round(dtype)
    vectors = replaying.recipe.parameters.get("vectors")
    if vectors is not None:
        t = _share(replaying.recipe)
        angles = [replaying.recipe.matrices.get(each.name) for each in replaying.slices]
        first, second, sine = (
            replaying.program.low_rank([_of_angle(angle, number, t) for angle in angles]).round(
                dtype
            )
            for number in range(3)
        )
    else:
        first, second = (
            replaying.scalar(np.nan_to_num(replaying.fitted(name))) for name in ("first", "second")
        )
        sine = replaying.scalar(np.nan_to_num(replaying.fitted("sine"), nan=1.0))
    total = ((first * one).round(dtype) + (second * two).round(dtype)).round(dtype)
    result = (total / sine).round(dtype)
    return [result if base is None else (base + result).round(dtype)]


def objection(recipe: Recipe) -> str | None:
    """Return why a recipe can not be carried out: vectors are turned by one share for all."""
    if "vectors" in recipe.parameters and len(_plain_weights(recipe)) != 2:
        return "two weights, each a number, are needed where vectors are turned"
    return None


def _plain_weights(recipe: Recipe) -> list[float]:
    weights = [each.weight for each in recipe.ingredients]
    return [float(weight) for weight in weights if isinstance(weight, int | float)]


def _share(recipe: Recipe) -> float:
    why = objection(recipe)
    if why is not None:
        raise RecipeError(why)
    weights = _plain_weights(recipe)
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


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    vectors = recipe.parameters.get("vectors")
    if vectors is None:
        return configuration(recipe, paths)
    settings = {"nuslerp_flatten": False, "nuslerp_row_wise": vectors == "columns"}
    plain = replace(recipe, parameters={})
    return configuration(plain, paths, **settings)


METHOD = Method(
    name="nuslerp",
    formula="[sin((1 - t) theta) x_1 + sin(t theta) x_2] / sin theta, t = w_2 / (w_1 + w_2), of "
    "whole checkpoints, or b plus that of displacements",
    source="Shoemake 1985; mergekit merge_methods/nuslerp.py",
    parameters={
        "t": Parameter("w_2 / (w_1 + w_2) where it is not one number for all"),
        "vectors": Parameter(
            "what is turned by itself, where it is not the whole tensor", FAMILIES
        ),
    },
    arithmetics=ARITHMETICS,
    replay=replay,
    fitted={
        "first": "sin((1 - t) theta), where whole tensors are turned",
        "second": "sin(t theta)",
        "sine": "sin theta",
    },
    mergekit=mergekit,
    objection=objection,
    parents=2,
)
