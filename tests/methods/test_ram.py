"""The base plus displacements, a mean of them where several parents changed an element."""

from dataclasses import replace

import numpy as np
import pytest
from common.carried import (
    LITTLE,
    assert_computes,
    assert_described,
    assert_refused,
    carried_out,
    compared,
    configuration,
    recipe_of,
)
from common.masked import BOTH, Case, merged

NAMES = ("one", "two")
RECIPE = recipe_of("ram", dict.fromkeys(NAMES), "base")


def formula(epsilon):
    def child(_, x):
        deltas = np.stack([x(name) - x("base") for name in NAMES])
        counts = np.abs(deltas) > epsilon
        return x("base") + (deltas * counts).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)

    return child


@pytest.mark.parametrize("epsilon", [None, 0.015])
def test_displacements_above_epsilon_are_averaged(tmp_path, epsilon):
    parameters = {} if epsilon is None else {"epsilon": epsilon}
    recipe = replace(RECIPE, parameters=parameters)
    assert_computes(tmp_path, recipe, formula(1e-5 if epsilon is None else epsilon))


@pytest.mark.parametrize("dtype", BOTH)
def test_every_arithmetic_gives_the_bits_of_numpy(tmp_path, dtype):
    child = merged(Case("ram", (None, None), dtype=dtype), LITTLE)
    found = compared(tmp_path, replace(RECIPE, arithmetic=dtype), child)
    assert (found.mismatched, found.explained) == (0, 0)


def test_what_one_parent_changed_alone_is_whole(tmp_path):
    family = {**LITTLE, "two": LITTLE["base"]}
    found = carried_out(tmp_path, RECIPE, family)
    for tensor, one in family["one"].items():
        assert found[tensor].astype(np.float32) == pytest.approx(one, rel=1e-2, abs=1e-4)


def test_mergekit_is_told_epsilon():
    found = configuration(replace(RECIPE, parameters={"epsilon": 1e-4}))
    assert (found["merge_method"], found["parameters"]) == ("ram", {"epsilon": 1e-4})
    assert [each["model"] for each in found["models"]] == list(NAMES)


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, base=None), "needs a base")
    assert_refused(replace(RECIPE, parameters={"r": 0.1}), "no parameter 'r'")
