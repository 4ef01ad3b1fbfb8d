"""The base plus weighted displacements, in every arithmetic."""

from dataclasses import replace

import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_computes,
    assert_described,
    assert_refused,
    carried_out,
    configuration,
    recipe_of,
)
from common.families import F32, bf16
from common.merges import DELTA, times
from conftest import BF16

TWO = recipe_of("task_arithmetic", {"one": 0.3, "two": 0.5}, "base")


@pytest.mark.parametrize("weight", [0.3, 0.8])
@pytest.mark.parametrize("arithmetic", DELTA)
def test_every_arithmetic_gives_the_bits_of_numpy(tmp_path, arithmetic, weight):
    recipe = recipe_of("task_arithmetic", {"one": weight}, "base", arithmetic=arithmetic)
    found = carried_out(tmp_path, recipe)
    for tensor in TINY:
        columns = [LITTLE["one"][tensor]]
        expected = DELTA[arithmetic](LITTLE["base"][tensor], columns, [weight]).astype(BF16)
        assert found[tensor].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("arithmetic", "rounding"), [("float32", F32), ("bfloat16", bf16)], ids=["float32", "bfloat16"]
)
@pytest.mark.parametrize("normalize", [False, True])
def test_sums_are_divided_and_multiplied_in_that_order(tmp_path, arithmetic, rounding, normalize):
    parameters = {"lambda": 0.8, **({"normalize": True} if normalize else {})}
    recipe = replace(TWO, arithmetic=arithmetic, parameters=parameters)
    found = carried_out(tmp_path, recipe)
    expected = times(LITTLE, {"one": 0.3, "two": 0.5}, 0.8, rounding, normalize)
    assert all(found[tensor].tobytes() == expected[tensor].tobytes() for tensor in TINY)


def test_it_is_what_the_formula_says(tmp_path):
    recipe = replace(TWO, parameters={"lambda": 0.5})

    def formula(_, x):
        return x("base") + 0.5 * (0.3 * (x("one") - x("base")) + 0.5 * (x("two") - x("base")))

    assert_computes(tmp_path, recipe, formula)


def test_mergekit_is_told_base_and_lambda():
    found = configuration(replace(TWO, parameters={"lambda": 0.8}, arithmetic="bfloat16"))
    assert found["merge_method"] == "task_arithmetic"
    assert found["base_model"] == "base"
    assert found["parameters"] == {"lambda": 0.8}
    assert found["dtype"] == "bfloat16"
    assert "out_dtype" not in found


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(TWO)
    assert "on base" in TWO.describe()
    assert_refused(replace(TWO, base=None), "needs a base")
    assert_refused(replace(TWO, arithmetic="float32-fma"), "takes one parent, and here are 2")
    one = recipe_of("task_arithmetic", {"one": 0.3}, "base", arithmetic="float32-fma-far")
    assert_described(one)
    assert_refused(replace(one, parameters={"normalize": True}), "neither divides")
    assert_refused(replace(one, parameters={"density": 0.5}), "no parameter 'density'")
