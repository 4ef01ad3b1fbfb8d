"""The file of a recipe is read by a replay as the recipe that it is of."""

import json

import pytest
import yaml
from common.bundles import PLACES
from parentage import Recipe
from parentage.bundle import RECIPE, recipe_yaml
from parentage.recipe import Ingredient

PLAIN = Recipe("linear", (Ingredient("parent", 0.6), Ingredient("base", 0.4)), arithmetic="float32")
FUSED = Recipe(
    "linear", (Ingredient("parent", 0.6), Ingredient("base", 0.4)), arithmetic="float32-fma"
)
SLERP = Recipe("slerp", (Ingredient("base"), Ingredient("parent")), parameters={"t": 0.3})
COPIES = Recipe(
    "passthrough", (Ingredient("parent"),), sources={"a.weight": "parent"}, arithmetic="copy"
)
FITTED = Recipe(
    "karcher",
    (Ingredient("base"), Ingredient("parent")),
    fitted={"a.weight": {"x": 0.1234567890123}},
)


@pytest.mark.parametrize("recipe", [PLAIN, FUSED, SLERP, COPIES, FITTED])
def test_it_is_yaml_and_the_same_recipe_again(recipe):
    text = recipe_yaml(recipe)
    assert isinstance(yaml.safe_load(text), dict)
    again = Recipe.from_json(text)
    assert recipe_yaml(again) == text
    for name in ("method", "arithmetic", "out_dtype", "sources", "fitted", "base"):
        assert getattr(again, name) == getattr(recipe, name), name


def test_it_is_what_mergekit_reads_where_that_means_the_same():
    assert recipe_yaml(FUSED).startswith("merge_method: linear")
    # Another arithmetic than mergekit's own is no configuration of it.
    assert json.loads(recipe_yaml(PLAIN))["arithmetic"] == "float32"


def test_that_of_a_bundle_gives_the_child(made):
    recipe = Recipe.open(made / RECIPE)
    found = recipe.replay({name: PLACES[name] for name in recipe.checkpoints}, PLACES["child"])
    assert (found.mismatched, found.elements) == (0, 294_488)
