"""Recipes with all that can be done with them."""

import json

import pytest
from common.two_parents import RECIPE, fields, places
from parentage import Recipe, RecipeError
from parentage.methods import to_mergekit
from parentage.recipe import Recipe as Data


def test_it_is_the_data_with_verbs_and_nothing_is_lost():
    data = Data(**fields(arithmetic="float32", equivalents=("slerp (float32)",)))
    recipe = Recipe.of(data)
    assert all(getattr(recipe, name) == getattr(data, name) for name in fields())
    assert recipe.to_json() == data.to_json()
    assert repr(recipe) == repr(data)


def test_it_is_read_from_its_own_file_and_from_its_text(merged):
    recipe = Recipe.open(merged / "recipe.json")
    assert isinstance(recipe, Recipe)
    assert isinstance(Recipe.from_json(recipe.to_json()), Recipe)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.checkpoints == ("one", "two")


def test_a_file_that_is_none_is_an_error_that_names_it(merged):
    (merged / "bad.json").write_text(json.dumps({"method": "linear"}))
    with pytest.raises(RecipeError, match=r"bad\.json"):
        Recipe.open(merged / "bad.json")
    with pytest.raises(RecipeError, match="recipe: not JSON"):
        Recipe.from_json("{")


def test_it_says_to_mergekit_what_the_function_says():
    paths = {"one": "/models/one"}
    assert RECIPE.to_mergekit(paths) == to_mergekit(RECIPE, paths)
    assert "/models/one" in RECIPE.to_mergekit(paths)


def test_what_it_writes_is_what_it_reproduces(merged):
    recipe = Recipe.open(merged / "recipe.json")
    found = recipe.replay(places(merged), merged / "child")
    assert (found.mismatched, found.share) == (0, 1.0)
    written = recipe.write(places(merged), merged / "out")
    assert written.folder == merged / "out"
    assert recipe.replay(places(merged), merged / "out").mismatched == 0
