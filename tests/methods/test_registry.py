"""All methods that a recipe may name, and their way to mergekit."""

import pytest
import yaml
from common.carried import recipe_of
from parentage.methods import METHODS, to_mergekit
from parentage.support import RecipeError

WITHOUT_MERGEKIT = {"nested", "lora"}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_computes_and_where_that_is_defined(name):
    method = METHODS[name]
    assert method.name == name
    assert method.formula
    assert method.source
    assert method.arithmetics
    assert all(method.arithmetics.values())
    assert all(parameter.text for parameter in method.parameters.values())
    assert ("mergekit merge_methods/" in method.source) == (name not in WITHOUT_MERGEKIT)
    assert (method.mergekit is None) == (name in WITHOUT_MERGEKIT)


def test_methods_that_say_less_come_first():
    order = list(METHODS)
    assert order[:3] == ["passthrough", "linear", "task_arithmetic"]
    assert order.index("ties") < order.index("dare_ties") < order.index("della")


def test_paths_stand_in_for_names_where_they_are_told():
    recipe = recipe_of("task_arithmetic", {"one": 0.5, "two": 0.5}, "base")
    found = yaml.safe_load(to_mergekit(recipe, {"one": "/models/one", "base": "org/base"}))
    assert [each["model"] for each in found["models"]] == ["/models/one", "two"]
    assert found["base_model"] == "org/base"


@pytest.mark.parametrize("name", sorted(WITHOUT_MERGEKIT))
def test_what_mergekit_lacks_is_refused_by_name(name):
    with pytest.raises(RecipeError, match=f"does what {name} does"):
        to_mergekit(recipe_of(name, {"one": 1.0}))
