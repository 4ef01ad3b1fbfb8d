"""What is stored as a function of another's tensor, and whether it is that function's value."""

import numpy as np
import pytest
from parentage.align.layouts.functions import FUNCTIONS, agrees, function_of

KEY = "layers.0.linear_attn.A_log"
GIVEN = np.array([0.5, -1.0, 2.0, 0.0, 1.5, -3.0])
SHAPES = {KEY: (6,), "layers.0.linear_attn.norm.weight": (8,)}


def is_it(computed, given=GIVEN, shapes=SHAPES):
    with np.errstate(all="ignore"):
        return agrees(FUNCTIONS[0], computed, given, KEY, shapes.get)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("blk.0.ssm_a", "backbone.layers.0.mixer.A_log"), True),
        (("model.layers.0.linear_attn.A_log", "blk.0.ssm_a"), False),
        (("blk.0.ssm_a", "blk.0.ssm_a"), None),
        (("a.A_log", "b.A_log"), None),
    ],
)
def test_one_of_two_names_is_that_of_what_is_computed(names, found):
    function = function_of(KEY, *names)
    assert (None if function is None else function[1]) == found


def test_other_tensors_are_no_function():
    assert function_of("layers.0.linear_attn.D", "blk.0.ssm_a", "a.A_log") is None


def test_values_agree_to_within_rounding_in_any_order_of_heads():
    right = -np.exp(GIVEN)
    assert is_it(right)
    assert is_it(right * (1 + 2.0**-9))
    assert not is_it(right * (1 + 2.0**-7))
    assert is_it(right.reshape(2, 3).T.ravel())
    assert not is_it(right.reshape(2, 3).T.ravel(), shapes={})
    assert not is_it(right[::-1])
    assert not is_it(np.exp(GIVEN))
    assert not is_it(right[:-1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e6])
def test_what_is_not_finite_agrees_with_nothing(bad):
    given = GIVEN.copy()
    given[2] = bad
    with np.errstate(all="ignore"):
        computed = -np.exp(given)
    assert not is_it(computed, given)
    assert not is_it(np.nan_to_num(computed), given)
    right = -np.exp(GIVEN)
    right[1] = bad
    assert not is_it(right)
