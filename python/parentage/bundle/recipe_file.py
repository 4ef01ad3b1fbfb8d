"""The recipe as a file of its own, for people and for mergekit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from parentage.methods import to_mergekit
from parentage.replay import Recipe
from parentage.support import RecipeError

if TYPE_CHECKING:
    from typing import Any

    from parentage.recipe import Recipe as Data

RECIPE = "recipe.yaml"
"""Name of the file."""

MEANT = ("method", "base", "parameters", "arithmetic", "out_dtype", "out_dtypes", "sources")
"""What a configuration has to say again, beside weights, to be the recipe."""


def recipe_yaml(recipe: Data) -> str:
    """Return YAML that ``parentage replay`` reads and that is this recipe.

    It is a configuration of mergekit where that says the same, read again; else the recipe as JSON,
    which is YAML.

    >>> from parentage.recipe import Ingredient, Recipe
    >>> parts = (Ingredient("a", 0.6), Ingredient("b", 0.4))
    >>> print(recipe_yaml(Recipe("linear", parts, arithmetic="float32-fma")))
    merge_method: linear
    models:
    - model: a
      parameters:
        weight: 0.6
    - model: b
      parameters:
        weight: 0.4
    dtype: float32
    out_dtype: bfloat16
    <BLANKLINE>
    """
    try:
        text = to_mergekit(recipe)
        if _meaning(Recipe.from_json(text)) == _meaning(recipe):
            return text
    except RecipeError:
        pass
    return recipe.to_json()


def _meaning(recipe: Data) -> dict[str, Any]:
    """Return what decides the bytes of what a recipe gives."""
    told: dict[str, Any] = json.loads(recipe.to_json())
    left = {name: told[name] for name in (*MEANT, "fitted", "matrices")}
    weights = [(each["name"], each["weight"], each.get("density")) for each in told["parents"]]
    return {**left, "weights": weights, **{n: told.get(n) for n in ("layers", "adapters")}}
