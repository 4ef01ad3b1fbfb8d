"""Recipes carried out on checkpoints of a few hundred elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import load, write_checkpoint
from parentage.methods import METHODS, from_json, to_mergekit
from parentage.recipe import Ingredient, Recipe
from parentage.replay import Comparison, compare, write
from parentage.support import RecipeError

from common.families import F32, F64, Array, Tensors, made, stored

TINY: dict[str, tuple[int, ...]] = {
    "model.layers.0.self_attn.q_proj.weight": (8, 16),
    "model.layers.1.mlp.up_proj.weight": (16, 8),
    "model.norm.weight": (8,),
}
LITTLE = made({"one": 0.02, "two": 0.02, "three": 0.02}, 3, TINY)
"""A family with displacements as large as its weights."""


def recipe_of(
    method: str, weights: Mapping[str, Any], base: str | None = None, **fields: Any
) -> Recipe:
    """Return a recipe of checkpoints with their weights; ``fields`` are those of a recipe."""
    ingredients = tuple(Ingredient(name, weight) for name, weight in weights.items())
    return Recipe(method, ingredients, base, **fields)


def by_tensor(number: Any, names: Sequence[str] = tuple(TINY)) -> dict[str, float]:
    """Return a number of each tensor, as recipes have those that are read off the child."""
    return {name: float(number(name)) for name in names}


def folders(folder: Path, recipe: Recipe, family: Mapping[str, Tensors]) -> dict[str, Path]:
    """Write the checkpoints of a family that a recipe names, and return where they are."""
    return {
        name: write_checkpoint(folder / name, stored(family[name])) for name in recipe.checkpoints
    }


def carried_out(
    folder: Path, recipe: Recipe, family: Mapping[str, Tensors] = LITTLE
) -> dict[str, Array]:
    """Return the tensors that a recipe gives of a family, as they are stored."""
    write(recipe, folders(folder, recipe, family), folder / "out")
    return load(folder / "out")


def compared(
    folder: Path, recipe: Recipe, child: Tensors, family: Mapping[str, Tensors] = LITTLE
) -> Comparison:
    """Return what a recipe reproduces of a child, of a family."""
    places = folders(folder, recipe, family)
    return compare(recipe, places, write_checkpoint(folder / "child", child))


def assert_computes(
    folder: Path, recipe: Recipe, formula: Any, family: Mapping[str, Tensors] = LITTLE
) -> None:
    """Assert that a recipe gives what a formula does in float64, but for roundings to float32.

    ``formula`` is given a tensor's name and a function from checkpoints to its elements.
    """
    found = carried_out(folder, replace(recipe, out_dtype="F32"), family)
    for tensor in family["base"]:
        expected = formula(tensor, lambda name, at=tensor: family[name][at].astype(F64))
        assert found[tensor].dtype == F32
        assert found[tensor] == pytest.approx(np.asarray(expected), rel=3e-5, abs=1e-7), tensor


def configuration(recipe: Recipe) -> dict[str, Any]:
    """Return what a reader of YAML finds in mergekit's configuration of a recipe."""
    found: dict[str, Any] = yaml.safe_load(to_mergekit(recipe))
    return found


def assert_described(recipe: Recipe) -> None:
    """Assert that method and checkpoints are named in a line, and that JSON keeps all of it."""
    line = recipe.describe()
    assert recipe.method in line
    assert all(name in line for name in recipe.parents_added)
    assert recipe.arithmetic in METHODS[recipe.method].arithmetics
    assert from_json(recipe.to_json()) == recipe


def assert_refused(recipe: Recipe, told: str) -> None:
    """Assert that a recipe is not read, and that the reason is told."""
    with pytest.raises(RecipeError, match=told):
        from_json(recipe.to_json())
