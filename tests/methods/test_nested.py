"""Merges of merges: the inner one is rounded as it was when it was stored."""

from dataclasses import replace

import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_described,
    assert_refused,
    carried_out,
    recipe_of,
)
from common.families import bf16
from common.merges import linear_f32, linear_fma
from conftest import BF16
from parentage.methods import to_mergekit
from parentage.support import RecipeError

RECIPE = recipe_of("nested", {"one": 0.6, "two": 0.4, "base": 0.3}, None, parameters={"outer": 0.7})


@pytest.mark.parametrize(
    ("arithmetic", "blend"), [("float32-fma", linear_fma), ("float32", linear_f32)]
)
def test_both_blends_are_rounded(tmp_path, arithmetic, blend):
    found = carried_out(tmp_path, replace(RECIPE, arithmetic=arithmetic))
    is_other = False
    for tensor in TINY:
        one, two, base = (LITTLE[name][tensor] for name in ("one", "two", "base"))
        inner = blend([one, two], [0.6, 0.4], normalize=False)
        outer = blend([bf16(inner), base], [0.7, 0.3], normalize=False)
        assert found[tensor].tobytes() == outer.astype(BF16).tobytes()
        whole = blend([inner, base], [0.7, 0.3], normalize=False)
        is_other |= found[tensor].tobytes() != whole.astype(BF16).tobytes()
    assert is_other, "the inner rounding shows"


def test_the_inner_blend_has_the_dtype_of_its_slice(tmp_path):
    """Where a slice is written as float32, what is blended further is float32 there as well."""
    name = next(iter(TINY))
    found = carried_out(tmp_path, replace(RECIPE, out_dtypes={name: "F32"}))
    one, two, base = (LITTLE[each][name] for each in ("one", "two", "base"))
    inner = linear_f32([one, two], [0.6, 0.4], normalize=False)
    outer = linear_f32([inner, base], [0.7, 0.3], normalize=False)
    assert found[name].tobytes() == outer.tobytes()


def test_mergekit_has_no_such_method():
    with pytest.raises(RecipeError, match="mergekit has nothing that does what nested does"):
        to_mergekit(RECIPE)


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, parameters={}), "needs the parameter 'outer'")
    assert_refused(replace(RECIPE, ingredients=RECIPE.ingredients[:2]), "takes 3 parents")
    assert_refused(replace(RECIPE, arithmetic="bfloat16"), "no arithmetic 'bfloat16'")
