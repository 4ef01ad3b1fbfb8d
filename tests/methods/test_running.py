"""Averages that are carried on, and the shares that their steps have."""

from __future__ import annotations

import pytest
from common.averages import child_of
from common.families import FAMILY, found_in
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise import count_matches
from parentage.methods.running import ARITHMETICS, shares, weights_of
from parentage.recipe import Ingredient, Recipe

OUT = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5))
def test_weights_have_the_shares_they_were_made_of(given_):
    weights = weights_of(given_)
    assert sum(weights) == pytest.approx(1.0)
    assert shares(weights) == pytest.approx(given_, rel=1e-5)


@given(st.integers(2, 9))
def test_equal_weights_have_the_shares_of_a_running_mean(count):
    assert shares([1.0] * count) == pytest.approx([1.0 / k for k in range(2, count + 1)])


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_a_replay_gives_the_bits_that_numpy_gives(tmp_path, arithmetic):
    for i, weights in enumerate(({"one": 1.0, "two": 1.0, "three": 1.0}, {"two": 0.3, "one": 0.7})):
        child = child_of(FAMILY, weights, arithmetic)
        found = found_in(tmp_path / str(i), FAMILY, child, ["one", "two", "three"])
        recipe = Recipe(
            "linear",
            tuple(Ingredient(*each) for each in weights.items()),
            arithmetic=arithmetic,
            out_dtype=OUT[arithmetic.partition("-")[0]],
        )
        (count,) = count_matches([recipe], found.sample, found)
        assert int(count.mismatched.sum()) == 0


def test_the_forms_differ():
    """In float32; to 16 bits a step that is divided rounds as one that is multiplied does."""
    weights = {"one": 0.5, "two": 0.3, "three": 0.2}
    names = [name for name in ARITHMETICS if name.startswith("float32")]
    seen = [
        b"".join(each.tobytes() for each in child_of(FAMILY, weights, name).values())
        for name in names
    ]
    assert len(set(seen)) == len(names)
