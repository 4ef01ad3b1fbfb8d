"""What was done to a slice: every kind is recognised, and none where something else was done."""

from __future__ import annotations

import numpy as np
import pytest
from common.changes import FLOATS, SHAPE, changed, told, trained, weights
from hypothesis import given
from hypothesis import strategies as st
from parentage.places import describe_change
from parentage.places.change import KINDS
from parentage.places.pair import cast, units

ALWAYS = {"elements", "differing", "share", "rms", "roundings"}
dtypes = pytest.mark.parametrize("dtype", FLOATS)


@dtypes
def test_equal_numbers_are_no_change(dtype):
    x = weights(dtype)
    change = told(x, x, dtype)
    assert (change.kind, change.text) == ("none", "bit for bit the same")
    assert change.numbers["differing"] == 0


@dtypes
def test_a_blend_that_is_rounded_once_is_no_change(dtype):
    x = 0.6 * weights(dtype) + 0.4 * weights(dtype, seed=3)
    assert told(cast(x, dtype), x, dtype).kind == "none"


@dtypes
def test_nan_are_counted_with_their_rows_and_the_rest_is_told(dtype):
    x = weights(dtype)
    child = changed(x, (5, slice(0, 3)), np.nan)
    assert told(child, x, dtype).text == (
        "3 of its 6,144 numbers NaN in row 5; the rest bit for bit the same"
    )
    assert told(child * 2.0, x, dtype).text == (
        "3 of its 6,144 numbers NaN in row 5; the rest: scaled by 2"
    )
    assert told(x * np.nan, x, dtype).text == "all NaN"
    assert told(child, child, dtype).kind == "none"
    assert told(x, child, dtype).text.startswith("3 of its 6,144 numbers were infinite or NaN")


def test_infinite_and_huge_numbers_are_numbers():
    x = weights("F32")
    assert told(changed(x, (1, 1), np.inf), x, "F32").text.startswith("1 of its 6,144 numbers inf")
    change = told(changed(x, (1, 1), 1e30), x, "F32")
    assert (change.kind, change.text) == (
        "few",
        "1 of its 6,144 elements differ in row 1, by up to 1e+30",
    )


@dtypes
def test_parts_of_several_kinds_are_told_by_what_they_are(dtype):
    x = weights(dtype)
    rng = np.random.default_rng(8)
    row = told(changed(x, [7], cast(rng.normal(0, 0.02, (1, 64)), dtype)), x, dtype)
    assert row.kind == "rows"
    assert row.text.startswith("1 of its 96 rows (7) differ: ")
    column = told(changed(x, (slice(None), 9), cast(rng.normal(0, 0.02, 96), dtype)), x, dtype)
    assert column.kind == "columns"
    few = told(changed(x, ([1, 2, 3], [4, 5, 6]), 100.0), x, dtype)
    assert (few.kind, few.numbers["few"]) == ("few", 3)


@dtypes
def test_a_row_that_changed_is_told_where_arithmetic_is_not_known(dtype):
    x, y = weights(dtype), weights(dtype, seed=3)
    blend = 0.6 * x + 0.4 * y
    child = cast(cast(0.6 * x, dtype) + cast(0.4 * y, dtype), dtype)
    assert told(child, blend, dtype, x=x, y=y).kind == "units"
    child[7] = cast(np.random.default_rng(8).normal(0, 0.02, 64), dtype)
    change = told(child, blend, dtype, x=x, y=y)
    assert change.kind == "rows"
    assert change.text.endswith("the rest within two units in the last place")


@dtypes
@pytest.mark.parametrize("size", [0.0003, 0.002, 0.02])
def test_training_is_nothing_but_moved(dtype, size):
    x = weights(dtype)
    for seed in range(4):
        child = cast(x + trained(seed=seed, size=size), dtype)
        assert told(child, x, dtype, other=weights(dtype, seed=9)).kind == "moved"


@dtypes
def test_thinned_out_and_rescaled(dtype):
    x = weights(dtype)
    kept = np.random.default_rng(4).random(SHAPE) > 0.3
    change = told(cast(np.where(kept, x / 0.7, 0.0), dtype), x, dtype)
    assert change.kind == "zero"
    assert "of its elements 0, the rest: scaled by 1.4" in change.text


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(FLOATS),
    st.sampled_from([(1, 40), (40, 1), (8, 8), (33, 17), (7, 3, 2), (48,)]),
    st.sampled_from(["none", "some", "all", "huge", "copies", "nan", "zeros", "grid"]),
)
def test_whatever_the_numbers_are_something_true_is_said(seed, dtype, shape, how):
    rng = np.random.default_rng(seed)
    x = weights(dtype, shape, seed)
    child = {
        "none": x,
        "some": np.where(rng.random(shape) < 0.1, rng.normal(size=shape), x),
        "all": rng.normal(size=shape),
        "huge": x * rng.choice([1.0, 1e30], shape),
        "copies": np.roll(x, 1, axis=0),
        "nan": np.where(rng.random(shape) < 0.1, np.nan, x),
        "zeros": np.where(rng.random(shape) < 0.5, 0.0, x),
        "grid": np.rint(x * 100) / 100,
    }[how]
    child = cast(child, dtype)
    change = told(child, x, dtype, other=weights(dtype, shape, seed + 1))
    assert change.kind in KINDS
    assert change.numbers.keys() >= ALWAYS
    assert "{" not in change.text
    differing = int((~((child == x) | (np.isnan(child) & np.isnan(x)))).sum())
    assert change.numbers["differing"] == differing
    assert (change.kind == "none") == (differing == 0)
    again = told(child, x, dtype, other=weights(dtype, shape, seed + 1))
    assert again == change


def test_integers_are_compared_as_they_are():
    x = np.arange(64.0).reshape(8, 8)
    assert told(x, x, "I64").kind == "none"
    assert told(changed(x, (0, 1), 7.0), x, "I64").kind == "few"


def test_arguments_that_do_not_agree_are_refused():
    x = np.zeros(6)
    with pytest.raises(ValueError, match="different sizes"):
        describe_change(x, np.zeros(5), {}, (2, 3), "F32")
    with pytest.raises(ValueError, match="no whole rows"):
        describe_change(x, x, {}, (2, 4), "F32")
    with pytest.raises(ValueError, match="no arithmetic"):
        describe_change(x, x, {}, (2, 3), "BOOL")
    assert describe_change(x[:0], x[:0], {}, (0, 3), "F32").text == "empty"


@dtypes
def test_a_unit_here_and_there_is_units(dtype):
    x = weights(dtype)
    some = np.random.default_rng(2).random(SHAPE) < 0.2
    child = x + np.where(some, units(x, dtype), 0.0)
    change = told(child, x, dtype)
    assert change.kind == "units"
    assert change.numbers["one"] == pytest.approx(some.mean())


@dtypes
def test_what_was_done_to_a_blend_is_told_beside_what_arithmetic_leaves(dtype):
    x, y = weights(dtype), weights(dtype, seed=3)
    blend = 0.6 * x + 0.4 * y
    child = cast(cast(0.6 * x, dtype) + cast(0.4 * y, dtype), dtype)
    size = np.abs(child)
    smallest = np.where(size < np.quantile(size, 0.05), 0.0, child)
    change = told(smallest, blend, dtype, x=x, y=y)
    assert change.kind == "zero"
    assert "the smallest in magnitude; the rest within two units" in change.text
    at_random = np.random.default_rng(1).random(SHAPE) < 0.05
    change = told(np.where(at_random, 0.0, child), blend, dtype, x=x, y=y)
    assert "of its elements 0; the rest within two units" in change.text


def test_numbers_of_the_rest_are_those_of_the_rest():
    x = weights("BF16")
    unit = units(x, "BF16")
    child = changed(x + np.where(np.arange(64) % 2 == 0, unit, 0.0), (5, slice(0, 32)), np.nan)
    text = told(child, x, "BF16").text
    assert text.startswith("32 of its 6,144 numbers NaN in row 5; the rest: 49.7% of its elements")
