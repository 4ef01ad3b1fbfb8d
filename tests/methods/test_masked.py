"""The table of masked sums: what its rows differ in."""

from dataclasses import replace

import pytest
from common.carried import assert_described, assert_refused, configuration, recipe_of
from parentage.methods import METHODS
from parentage.methods.masked import MASKED
from parentage.recipe import Ingredient

INGREDIENTS = (Ingredient("one", 0.6, None, 0.5), Ingredient("two", 0.3, None, 0.25))


def test_rows_stand_in_the_registry_in_their_order():
    names = [method.name for method in MASKED]
    assert len(set(names)) == 7
    assert [name for name in METHODS if name in names] == names


@pytest.mark.parametrize("method", MASKED, ids=lambda each: each.name)
def test_a_row_says_what_its_formula_says(method):
    assert method.needs_base
    assert method.parents is None
    is_by_size = "low:NAME" in method.fitted
    assert is_by_size == ("random" not in method.formula)
    assert ("scale:NAME" in method.fitted) == (not is_by_size) == ("rescale" in method.parameters)
    assert method.parameters["normalize"].default == ("/ sum_i" in method.formula)
    assert ("epsilon" in method.parameters) == (
        "by rank" in method.formula or "della" in method.name
    )
    assert ("gamma" in method.parameters) == ("breadcrumbs" in method.name)


@pytest.mark.parametrize("method", MASKED, ids=lambda each: each.name)
def test_mergekit_is_told_some_parameters_of_each_model_and_some_of_all(method):
    parameters = {
        name: 0.125 if parameter.type is float else True
        for name, parameter in method.parameters.items()
    }
    recipe = replace(
        recipe_of(method.name, {}, "base", parameters=parameters), ingredients=INGREDIENTS
    )
    assert_described(recipe)
    found = configuration(recipe)
    assert found["merge_method"] == method.name
    assert found["base_model"] == "base"
    by_model = {name: x for name, x in parameters.items() if name in ("gamma", "epsilon")}
    assert found["models"] == [
        {"model": "one", "parameters": {"weight": 0.6, "density": 0.5, **by_model}},
        {"model": "two", "parameters": {"weight": 0.3, "density": 0.25, **by_model}},
    ]
    assert found["parameters"] == {k: x for k, x in parameters.items() if k not in by_model}


@pytest.mark.parametrize("method", MASKED, ids=lambda each: each.name)
def test_bad_settings_are_refused(method):
    recipe = recipe_of(method.name, {"one": 0.5}, "base")
    assert_refused(replace(recipe, base=None), "needs a base")
    assert_refused(replace(recipe, arithmetic="float32-fma"), "no arithmetic")
    assert_refused(replace(recipe, parameters={"t": 0.5}), "no parameter 't'")
    assert_refused(replace(recipe, parameters={"normalize": 1.0}), "true or false")
    assert_refused(replace(recipe, ingredients=(Ingredient("one", 0.5, None, 1.5),)), "density")
