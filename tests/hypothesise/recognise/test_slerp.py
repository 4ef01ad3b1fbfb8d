"""Spherical interpolation between two whole checkpoints."""

import numpy as np
import pytest
from common.families import found_in, made, stored
from common.recognised import assert_named, best_of, nothing_is_named
from common.spheres import FAMILY, SMALL, child_of, slerp
from parentage.hypothesise import RECOGNISERS


@pytest.mark.parametrize(("first", "second", "t"), [("base", "one", 0.35), ("one", "two", 0.7)])
def test_the_two_are_named_with_t(tmp_path, first, second, t):
    child = child_of(lambda x: slerp(x(first), x(second), t), FAMILY)
    best = best_of(tmp_path, FAMILY, child, ["one", "two", "three"])
    weights = {first: None, second: None}
    assert_named(best, SMALL, method="slerp", base=first, parameters={"t": t}, weights=weights)


def test_without_a_parent_there_is_nothing_to_name(tmp_path):
    child = child_of(lambda x: slerp(x("one"), x("two"), 0.7), FAMILY)
    assert nothing_is_named(found_in(tmp_path, FAMILY, child, ["one"]))


def test_a_fine_tune_is_on_no_arc(tmp_path):
    f = found_in(tmp_path, FAMILY, stored(FAMILY["three"]), ["one", "two"])
    assert list(RECOGNISERS["slerp"].estimate(f)) == []


def test_slerp_of_close_relatives_is_a_line(tmp_path):
    family = made({"one": 2e-4}, 7, SMALL)
    child = child_of(lambda x: slerp(x("base"), x("one"), 0.6), family)
    best = best_of(tmp_path, family, child, ["one"])
    assert best.mismatched == 0
    named = {best.recipe.method, *(x.split(" ")[0] for x in best.recipe.equivalents)}
    assert {"linear", "slerp"} <= named


def test_refining_moves_weights_of_slices_alone(tmp_path):
    child = child_of(lambda x: slerp(x("base"), x("one"), 0.35), FAMILY)
    f = found_in(tmp_path, FAMILY, child, ["one"])
    recogniser = RECOGNISERS["slerp"]
    (recipe,) = recogniser.estimate(f)
    better = recogniser.refine(f, recipe)
    assert better.parameters == recipe.parameters
    for name, table in recipe.fitted.items():
        moved = np.array([better.fitted[name][tensor] - x for tensor, x in table.items()])
        assert np.abs(moved).max() < 1e-3


@pytest.mark.parametrize("factor", [2.0, 0.5, 1.3])
def test_a_copy_that_was_rescaled_lies_on_no_arc(tmp_path, factor):
    f = found_in(tmp_path, FAMILY, stored(scaled(FAMILY["one"], factor)), ["one", "two"])
    assert list(RECOGNISERS["slerp"].estimate(f)) == []


def scaled(tensors, factor):
    return {name: factor * x.astype(np.float64) for name, x in tensors.items()}
