"""Weighted sums of whole checkpoints, in every arithmetic."""

from dataclasses import replace

import numpy as np
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
from common.merges import LINEAR
from conftest import BF16
from parentage.methods import METHODS
from parentage.recipe import Ingredient, Recipe

WEIGHTS = {"one": 0.45, "two": 0.33, "base": 0.22}
RECIPE = recipe_of("linear", WEIGHTS, arithmetic="float32-fma")


@pytest.mark.parametrize("arithmetic", LINEAR)
def test_every_arithmetic_gives_the_bits_of_numpy(tmp_path, arithmetic):
    found = carried_out(tmp_path, replace(RECIPE, arithmetic=arithmetic))
    for tensor in TINY:
        columns = [LITTLE[name][tensor] for name in WEIGHTS]
        expected = LINEAR[arithmetic](columns, list(WEIGHTS.values())).astype(BF16)
        assert found[tensor].tobytes() == expected.tobytes()


@pytest.mark.parametrize("normalize", [True, False])
def test_sums_are_divided_by_the_sum_of_weights_unless_told_otherwise(tmp_path, normalize):
    parameters = {} if normalize else {"normalize": False}
    recipe = recipe_of("linear", {"one": 3.0, "two": 2.0}, parameters=parameters)

    def formula(_, x):
        return (3.0 * x("one") + 2.0 * x("two")) / (5.0 if normalize else 1.0)

    assert_computes(tmp_path, recipe, formula)


def test_mergekit_is_told_weights_and_dtypes():
    assert configuration(replace(RECIPE, parameters={"normalize": False})) == {
        "merge_method": "linear",
        "models": [
            {"model": name, "parameters": {"weight": weight}} for name, weight in WEIGHTS.items()
        ],
        "parameters": {"normalize": False},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, arithmetic="float8"), "no arithmetic")
    assert_refused(replace(RECIPE, parameters={"lambda": 1.0}), "no parameter 'lambda'")
    assert_refused(recipe_of("linear", {"one": 0.5, "two": -0.5}), "sum to 0")
    # In float32 these sum to 0 as well.
    assert_refused(recipe_of("linear", {"one": 1.0, "two": 1e-9 - 1.0}), "sum to 0")
    assert np.float32(1.0) + np.float32(1e-9 - 1.0) == 0.0


def test_one_checkpoint_times_a_number_is_no_merge():
    alone = Recipe("linear", (Ingredient("one", -1.0),), parameters={"normalize": False})
    assert METHODS["linear"].verdict(alone) == "re-encoded"
    two = Recipe("linear", (Ingredient("one", -1.0), Ingredient("two", 2.0)))
    assert METHODS["linear"].verdict(two) == "merge"
