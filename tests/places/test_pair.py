"""Units, casts and what is the same in both."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from conftest import DTYPES
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import half_cells
from parentage.places.pair import LARGEST, Pair, cast, every, units

DTYPES_CAST = ["BF16", "F16", "F32", "F8_E4M3", "F8_E5M2"]


@pytest.mark.parametrize("dtype", DTYPES_CAST)
def test_casts_are_those_of_the_dtype(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=4096) * 2.0 ** rng.integers(-30, 8, 4096)
    x = np.clip(x, -LARGEST.get(dtype, 1e4), LARGEST.get(dtype, 1e4))
    # ml_dtypes rounds by way of float32.
    x = x.astype(np.float32).astype(np.float64)
    expected = x.astype(np.float32).astype(DTYPES[dtype]).astype(np.float64)
    assert np.array_equal(cast(x, dtype), expected)


def test_integers_are_left_as_they_are():
    assert cast(np.array([1.5, 3.0]), "I64").tolist() == [1.5, 3.0]
    assert units(np.array([1.5, 300.0]), "I64").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", DTYPES_CAST)
def test_units_are_twice_the_outer_half_of_cells(dtype):
    x = np.random.default_rng(0).normal(size=512)
    x = cast(np.append(x, [0.0, 1.0, -2.0]), dtype)
    expected = 2.0 * np.maximum(*half_cells(x, dtype))
    assert np.array_equal(units(x, dtype), expected)


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_spread_indices_are_distinct_and_reach_both_ends(count, most):
    places = every(count, most)
    assert len(places) == min(count, most)
    assert (np.diff(places) > 0).all()
    assert places[0] == 0
    assert most == 1 or places[-1] == count - 1


def test_numbers_are_shares_and_roundings():
    x = np.ones((2, 2))
    pair = Pair(np.array([[1.0, 1.0], [1.0, 1.5]]), x, {}, "BF16")
    assert pair.numbers["share"] == 0.25
    assert pair.numbers["rms"] == pytest.approx(0.25)
    assert pair.numbers["roundings"] == pytest.approx(0.25 / (2.0**-7 / 12**0.5))
    assert ml_dtypes.finfo(ml_dtypes.bfloat16).eps == 2.0**-7
