"""Recipes compiled to programs of the core."""

import numpy as np
import pytest
from common.carried import recipe_of
from common.families import FAMILY, found_in, stored
from parentage.replay import compile_recipe

COLUMNS = {"base": 0, "one": 1, "two": 2}


@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    child = stored(FAMILY["one"])
    return found_in(tmp_path_factory.mktemp("build"), FAMILY, child, ["one", "two"])


def test_results_are_rounded_to_the_dtype_that_is_written(estimates):
    for dtype, rounds in (("BF16", ["BF16"]), ("F16", ["F16"]), ("F32", [])):
        recipe = recipe_of("linear", {"one": 0.5, "two": 0.5}, out_dtype=dtype)
        program, results = compile_recipe(recipe, COLUMNS, estimates.slices)
        assert len(results) == 1
        assert [each for name, _, each in program.steps if name == "round"] == rounds
        assert program.slices == len(estimates.slices)


def test_results_are_as_many_as_choices_that_are_left_open(estimates):
    recipe = recipe_of("arcee_fusion", {"one": None}, "base")
    assert len(compile_recipe(recipe, COLUMNS, estimates.slices)[1]) == 2


def test_it_reproduces_what_it_describes(estimates):
    copy = recipe_of("linear", {"one": 1.0})
    other = recipe_of("linear", {"two": 1.0})
    compiled = [compile_recipe(each, COLUMNS, estimates.slices) for each in (copy, other)]
    shares = estimates.sample.replay(compiled).share
    assert shares[0] == 1.0
    assert shares[1] < 0.1


def test_decoys_have_displacements_in_another_order(estimates):
    recipe = recipe_of("task_arithmetic", {"one": 1.0}, "base")
    ours = compile_recipe(recipe, COLUMNS, estimates.slices)
    decoy = compile_recipe(recipe, COLUMNS, estimates.slices, frozenset({1}))
    assert {name for name, _ in ours[0].operations} & {"reversed"} == set()
    assert {name for name, _ in decoy[0].operations} & {"reversed"} == {"reversed"}
    shares = estimates.sample.replay([ours, decoy]).share
    assert shares[0] == 1.0
    assert shares[1] < 0.1
    assert np.isfinite(shares).all()
