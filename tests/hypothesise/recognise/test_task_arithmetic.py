"""The base plus weighted displacements: which weights, lambdas and orders are tried."""

import pytest
from common.families import FAMILY, found_in, stored
from common.merges import merged, times
from parentage.hypothesise import RECOGNISERS, count_matches


def exact(folder, child, parents):
    """Return the recipes that the recogniser yields and that give all of the child."""
    f = found_in(folder, FAMILY, child, parents)
    found = list(RECOGNISERS["task_arithmetic"].estimate(f))
    counts = count_matches(found, f.sample, f)
    assert len(found) < 500
    return [
        recipe for recipe, each in zip(found, counts, strict=True) if each.mismatched.sum() == 0
    ]


@pytest.mark.parametrize("arithmetic", ["float32-fma", "bfloat16-script"])
def test_the_recipe_of_a_merge_is_among_those_that_are_tried(tmp_path, arithmetic):
    found = exact(tmp_path, merged("task_arithmetic", arithmetic, {"one": 0.6}), ["one", "two"])
    assert arithmetic in {recipe.arithmetic for recipe in found}
    assert {recipe.base for recipe in found} == {"base"}
    assert {recipe.parents_added for recipe in found} == {("one",)}


def test_weights_times_a_lambda_are_tried(tmp_path):
    child = times(FAMILY, {"one": 0.3, "two": 0.5}, 0.8)
    found = exact(tmp_path, child, ["one", "two"])
    weights = [{each.name: each.weight for each in recipe.ingredients} for recipe in found]
    said = [(recipe.parameters, each) for recipe, each in zip(found, weights, strict=True)]
    assert ({"lambda": 0.8}, {"one": 0.3, "two": 0.5}) in said


def test_sums_that_are_divided_are_tried(tmp_path):
    child = times(FAMILY, {"one": 0.3, "two": 0.5}, normalize=True)
    found = exact(tmp_path, child, ["one", "two"])
    assert any(recipe.parameters == {"normalize": True} for recipe in found)


def test_fused_operations_are_of_one_parent_alone(tmp_path):
    child = merged("task_arithmetic", "float32", {"one": 0.5, "two": 0.3})
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    for recipe in RECOGNISERS["task_arithmetic"].estimate(f):
        assert "fma" not in recipe.arithmetic or len(recipe.ingredients) == 1


def test_nothing_gives_a_fine_tune(tmp_path):
    assert exact(tmp_path, stored(FAMILY["other"]), ["one", "two"]) == []
