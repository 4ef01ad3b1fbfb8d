"""The base moved towards a parent by a fixed distance."""

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
from common.families import F32, bf16
from conftest import BF16

RECIPE = recipe_of("nearswap", {"one": None}, "base", parameters={"t": 0.01})


def test_elements_move_by_t_or_all_the_way_where_they_are_nearer(tmp_path):
    def formula(_, x):
        delta = x("one") - x("base")
        return x("base") + np.sign(delta) * np.minimum(np.abs(delta), 0.01)

    assert_computes(tmp_path, RECIPE, formula)


@pytest.mark.parametrize(("arithmetic", "q"), [("float32", F32), ("bfloat16", bf16)])
def test_every_arithmetic_gives_the_bits_of_numpy(tmp_path, arithmetic, q):
    found = carried_out(tmp_path, replace(RECIPE, arithmetic=arithmetic))
    for tensor in TINY:
        base, one = LITTLE["base"][tensor], LITTLE["one"][tensor]
        distance = np.maximum(np.abs(q(base - one)), q(1e-6))
        weight = np.clip(q(q(F32(1.0) / distance) * F32(0.01)), F32(0), F32(1))
        expected = q(q(weight * one) + q(q(F32(1.0) - weight) * base))
        assert found[tensor].tobytes() == expected.astype(BF16).tobytes()


def test_mergekit_is_told_t():
    found = configuration(RECIPE)
    assert (found["merge_method"], found["parameters"]) == ("nearswap", {"t": 0.01})


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, parameters={}), "needs the parameter 't'")
    assert_refused(replace(RECIPE, base=None), "needs a base")
    assert_refused(replace(RECIPE, ingredients=RECIPE.ingredients * 2), "takes 1 parents|twice")
