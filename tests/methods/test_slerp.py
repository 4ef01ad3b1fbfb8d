"""Spherical interpolation between two whole checkpoints."""

from dataclasses import replace

import numpy as np
import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_computes,
    assert_described,
    assert_refused,
    by_tensor,
    configuration,
    recipe_of,
)
from common.families import F64

RECIPE = recipe_of("slerp", {"one": None, "two": None}, "one", parameters={"t": 0.3})


def angle(tensor):
    one, two = (LITTLE[name][tensor].astype(F64) for name in ("one", "two"))
    return np.arccos((one * two).sum() / (np.linalg.norm(one) * np.linalg.norm(two)))


def test_the_child_is_on_the_arc_between_the_two(tmp_path):
    recipe = replace(
        RECIPE,
        fitted={
            "first": by_tensor(lambda name: np.sin(0.7 * angle(name)) / np.sin(angle(name))),
            "second": by_tensor(lambda name: np.sin(0.3 * angle(name)) / np.sin(angle(name))),
        },
    )

    def formula(tensor, x):
        theta = angle(tensor)
        return (np.sin(0.7 * theta) * x("one") + np.sin(0.3 * theta) * x("two")) / np.sin(theta)

    assert all(angle(tensor) > 0.1 for tensor in TINY if "norm" not in tensor)
    assert_computes(tmp_path, recipe, formula)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_without_fitted_weights_it_is_a_line(tmp_path, t):
    recipe = replace(RECIPE, parameters={"t": t})
    assert_computes(tmp_path, recipe, lambda _, x: (1.0 - t) * x("one") + t * x("two"))


def test_t_may_be_a_gradient_over_layers(tmp_path):
    recipe = replace(RECIPE, parameters={"t": {"gradient": [0.2, 0.8]}})

    def formula(tensor, x):
        t = 0.8 if ".layers.1." in tensor else 0.2
        return (1.0 - t) * x("one") + t * x("two")

    assert_computes(tmp_path, recipe, formula)


def test_mergekit_is_told_t_and_the_first_as_base():
    assert configuration(RECIPE) == {
        "merge_method": "slerp",
        "base_model": "one",
        "models": [{"model": "one"}, {"model": "two"}],
        "parameters": {"t": 0.3},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, parameters={}), "needs the parameter 't'")
    assert_refused(replace(RECIPE, ingredients=RECIPE.ingredients[:1]), "takes 2 parents")
    assert_refused(replace(RECIPE, arithmetic="bfloat16"), "no arithmetic")
