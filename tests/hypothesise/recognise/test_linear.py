"""Weighted sums of whole checkpoints, in the orders and arithmetics that could matter."""

import numpy as np
import pytest
from common.families import FAMILY, found_in, stored
from common.merges import LINEAR, merged
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise import RECOGNISERS, WrittenWeights, count_matches
from parentage.hypothesise.recognise.linear import doubt, effective, recipes

COARSE = [name for name in LINEAR if not name.startswith("float32")]


def tried(folder, child, parents):
    """Return recipes that the recogniser yields, and how many elements each misses."""
    f = found_in(folder, FAMILY, child, parents)
    found = list(RECOGNISERS["linear"].estimate(f))
    return found, [int(each.mismatched.sum()) for each in count_matches(found, f.sample, f)]


@pytest.mark.parametrize("arithmetic", ["float32-fma", "bfloat16"])
def test_the_recipe_of_a_merge_is_among_those_that_are_tried(tmp_path, arithmetic):
    found, missed = tried(
        tmp_path, merged("linear", arithmetic, {"one": 0.6, "base": 0.4}), ["one", "two"]
    )
    exact = [recipe for recipe, count in zip(found, missed, strict=True) if count == 0]
    assert arithmetic in {recipe.arithmetic for recipe in exact}
    assert all(set(recipe.parents_added) == {"one", "base"} for recipe in exact)
    # Wrong ones cost time.
    assert len(found) < 250


def test_no_recipe_of_a_fine_tune_gives_much_of_it(tmp_path):
    found, missed = tried(tmp_path, stored(FAMILY["other"]), ["one", "two"])
    elements = sum(x.size for x in FAMILY["base"].values())
    assert all(count > 0.8 * elements for count in missed)
    assert all(recipe.method == "linear" for recipe in found)


def form(is_coarse=False, normalized=True, **weights):
    return WrittenWeights(weights, {}, normalized, is_coarse)


def test_fused_chains_have_an_order_and_sums_of_two_have_none():
    found = list(recipes(form(a=0.6, b=0.4, z=0.0), "BF16"))
    assert {each.parents_added for each in found if each.arithmetic == "float32-fma"} == {
        ("a", "b"),
        ("b", "a"),
    }
    assert [each.parents_added for each in found if each.arithmetic == "float32"] == [("a", "b")]
    three = list(recipes(form(a=0.5, b=0.3, c=0.2), "BF16"))
    assert [each.arithmetic for each in three].count("float32") == 6
    five = list(recipes(form(a=0.2, b=0.2, c=0.2, d=0.2, e=0.2), "BF16"))
    assert [each.arithmetic for each in five].count("float32-fma") == 1


def test_what_is_not_normalised_says_so_and_nothing_has_no_recipe():
    assert {each.parameters.get("normalize") for each in recipes(form(a=1.0, b=0.5), "F16")} == {
        None
    }
    odd = list(recipes(form(normalized=False, a=1.0, b=0.5), "F16"))
    assert all(each.parameters == {"normalize": False} for each in odd)
    assert {each.out_dtype for each in odd} == {"F16"}
    assert list(recipes(form(a=0.0), "BF16")) == []
    coarse = {each.arithmetic for each in recipes(form(is_coarse=True, a=0.6, b=0.4), "BF16")}
    assert coarse == set(COARSE)


@given(st.lists(st.floats(0.05, 1.0), min_size=2, max_size=4))
def test_weights_that_are_rounded_to_bf16_come_to_others(weights):
    assert effective(weights, "float32", normalize=True) == weights
    found = effective(weights, "bfloat16", normalize=False)
    for weight, one in zip(weights, found, strict=True):
        assert abs(one - weight) <= doubt(weight, "bfloat16")
    shares = effective(weights, "bfloat16", normalize=True)
    assert sum(shares) == pytest.approx(1.0, abs=2**-7)
    assert np.array(shares) == pytest.approx(np.array(weights) / sum(weights), rel=0.02)
