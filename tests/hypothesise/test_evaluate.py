"""Recipes carried out on a sample."""

from __future__ import annotations

from dataclasses import replace

from common.families import FAMILY, found_in
from common.merges import times
from parentage.hypothesise import count_matches
from parentage.recipe import Ingredient, Recipe


def test_weights_that_sum_to_nothing_divide_nothing(tmp_path):
    child = times(FAMILY, {"one": 0.5, "two": -0.5})
    ingredients = (Ingredient("one", 0.5), Ingredient("two", -0.5))
    recipe = Recipe("task_arithmetic", ingredients, "base", {"normalize": True})
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    assert count_matches([replace(recipe, parameters={})], f.sample, f)[0].mismatched.sum() == 0
    assert count_matches([recipe], f.sample, f)[0].mismatched.sum() == 0
