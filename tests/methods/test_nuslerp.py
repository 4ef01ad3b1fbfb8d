"""Spherical interpolation between checkpoints or displacements, whole or vector by vector."""

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
from hypothesis import given
from hypothesis import strategies as st
from parentage.methods.nuslerp import objection, sines
from parentage.support import RecipeError

RECIPE = recipe_of("nuslerp", {"one": 0.7, "two": 0.3})


def parts(tensor, base):
    start = 0.0 if base is None else LITTLE[base][tensor].astype(F64)
    return [LITTLE[name][tensor].astype(F64) - start for name in ("one", "two")]


def angles(tensor, base, axis=None):
    one, two = parts(tensor, base)
    product = (one * two).sum(axis=axis, keepdims=True)
    norms = [np.sqrt((x * x).sum(axis=axis, keepdims=True)) for x in (one, two)]
    return np.arccos(product / (norms[0] * norms[1]))


def arc(tensor, base, theta):
    one, two = parts(tensor, base)
    turned = (np.sin(0.7 * theta) * one + np.sin(0.3 * theta) * two) / np.sin(theta)
    return turned if base is None else LITTLE[base][tensor].astype(F64) + turned


@pytest.mark.parametrize("base", [None, "base"])
def test_whole_tensors_are_turned_by_one_angle(tmp_path, base):
    def sine(share):
        return by_tensor(lambda name: np.sin(share * angles(name, base).item()))

    fitted = {"first": sine(0.7), "second": sine(0.3), "sine": sine(1.0)}
    recipe = replace(RECIPE, base=base, fitted=fitted)
    assert_computes(tmp_path, recipe, lambda name, _: arc(name, base, angles(name, base)), LITTLE)


@pytest.mark.parametrize("base", [None, "base"])
@pytest.mark.parametrize(("vectors", "axis"), [("rows", -1), ("columns", 0)])
def test_rows_or_columns_are_turned_by_an_angle_each(tmp_path, base, vectors, axis):
    def of(tensor):
        return angles(tensor, base, axis if len(TINY[tensor]) > 1 else None)

    matrices = {}
    for tensor, shape in TINY.items():
        ones = np.ones((1, shape[-1])) if axis == -1 or len(shape) == 1 else np.ones((shape[0], 1))
        theta = of(tensor).reshape(-1, 1) if axis == -1 or len(shape) == 1 else of(tensor)
        matrices[tensor] = (ones, theta) if axis == 0 and len(shape) > 1 else (theta, ones)
    recipe = replace(RECIPE, base=base, parameters={"vectors": vectors}, matrices=matrices)
    assert_computes(tmp_path, recipe, lambda name, _: arc(name, base, of(name)))


@given(st.floats(1e-3, 3.1), st.floats(0.0, 1.0))
def test_sines_are_those_of_the_angle_and_of_its_two_parts(theta, t):
    found = [x.item() for x in sines(np.array(theta), t)]
    assert found == pytest.approx([np.sin((1 - t) * theta), np.sin(t * theta), np.sin(theta)])


def test_vectors_of_one_direction_are_interpolated_along_a_line():
    assert [x.item() for x in sines(np.array(0.0), 0.25)] == [0.75, 0.25, 1.0]
    assert [x.item() for x in sines(np.array(np.pi), 0.25)] == [0.75, 0.25, 1.0]


def test_mergekit_is_told_what_is_turned():
    assert "parameters" not in configuration(RECIPE)
    for vectors, is_columns in (("rows", False), ("columns", True)):
        found = configuration(replace(RECIPE, base="base", parameters={"vectors": vectors}))
        assert found["parameters"] == {"nuslerp_flatten": False, "nuslerp_row_wise": is_columns}
        assert found["base_model"] == "base"
        assert [each["parameters"]["weight"] for each in found["models"]] == [0.7, 0.3]


def test_it_is_described_and_bad_settings_are_refused(tmp_path):
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, ingredients=RECIPE.ingredients[:1]), "takes 2 parents")
    assert_refused(replace(RECIPE, parameters={"vectors": "diagonals"}), '"rows" or "columns"')
    assert objection(RECIPE) is None
    open_ = recipe_of("nuslerp", {"one": None, "two": 0.3}, parameters={"vectors": "rows"})
    assert_refused(open_, "two weights")
    with pytest.raises(RecipeError, match="two weights"):
        assert_computes(tmp_path, open_, lambda _, x: x("one"))
