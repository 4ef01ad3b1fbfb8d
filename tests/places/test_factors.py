"""Factors and weights that rounding cells admit."""

from __future__ import annotations

import numpy as np
import pytest
from common.changes import FLOATS, SHAPE, told, trained, weights
from hypothesis import given
from hypothesis import strategies as st
from parentage.places.factors import interval
from parentage.places.pair import cast, units

dtypes = pytest.mark.parametrize("dtype", FLOATS)


@dtypes
@pytest.mark.parametrize("factor", [2.0, 1.25, 1.01, 0.5, -0.8])
def test_one_factor_is_found(dtype, factor):
    x = weights(dtype)
    change = told(cast(x * factor, dtype), x, dtype)
    assert change.kind == "scaled"
    assert change.numbers["factor"] == factor


def test_a_few_numbers_that_differ_have_no_factor():
    # Those with the largest significands are a unit smaller: a factor of 0.998 gives that.
    x = cast(np.linspace(1.0, 1.9, 120), "BF16")
    child = cast(x * 0.9975, "BF16")
    few = np.where(np.arange(120) > 110, child, x)
    assert told(few, x, "BF16").kind == "units"


@dtypes
def test_a_blend_that_was_scaled_has_a_factor_and_one_that_is_a_unit_off_has_none(dtype):
    x, y = weights(dtype), weights(dtype, seed=3)
    blend = 0.6 * x + 0.4 * y
    child = cast(cast(0.6 * x, dtype) + cast(0.4 * y, dtype), dtype)
    assert told(child, blend, dtype, x=x, y=y).kind == "units"
    stored = cast(blend, dtype)
    off = np.random.default_rng(1).random(SHAPE) < 0.01
    near = stored + np.where(off, units(stored, dtype), 0.0)
    assert told(near, blend, dtype, x=x, y=y).kind == "units"
    assert told(cast(near * 1.25, dtype), blend, dtype, x=x, y=y).kind == "scaled"


@dtypes
def test_factors_by_row_and_column_are_found(dtype):
    x = weights(dtype)
    rng = np.random.default_rng(2)
    rows = told(cast(x * rng.uniform(0.5, 2, (96, 1)), dtype), x, dtype)
    assert (rows.kind, "each row by one factor" in rows.text) == ("scaled", True)
    columns = told(cast(x * rng.uniform(0.5, 2, (1, 64)), dtype), x, dtype)
    assert (columns.kind, "each column by one factor" in columns.text) == ("scaled", True)


def test_signs_are_told():
    x = weights("BF16")
    signs = np.where(np.arange(96)[:, None] % 3 == 0, -1.0, 1.0)
    assert told(x * signs, x, "BF16").text == "the sign of 32 of its 96 rows changed"
    assert told(-x, x, "BF16").text == "its sign changed"


@dtypes
@pytest.mark.parametrize("weight", [0.3, 0.02])
def test_another_weight_is_found(dtype, weight):
    base = weights(dtype)
    parent = cast(base + trained(size=0.01), dtype)
    child = cast(base + weight * (parent - base), dtype)
    change = told(child, 0.6 * parent + 0.4 * base, dtype, base=base, parent=parent)
    assert change.kind == "weight"
    assert change.text == f"what {weight} parent + {1 - weight} base gives"
    seen = told(child, base, dtype, "base", parent=parent)
    assert seen.text.startswith(f"what {weight} parent")


@dtypes
def test_noise_has_no_factor_and_no_weight(dtype):
    base = weights(dtype)
    parent = cast(base + trained(size=0.01), dtype)
    rng = np.random.default_rng(1)
    child = cast(base + 0.3 * (parent - base) + rng.normal(0, 0.002, SHAPE), dtype)
    assert told(child, base, dtype, parent=parent).kind not in ("scaled", "weight")


@given(st.floats(-3, 3), st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_factor_and_every_factor_in_it_serves(factor, seed):
    rng = np.random.default_rng(seed)
    value = rng.normal(size=16)
    value[0] = 0.0
    half = np.full(16, 0.01)
    target = factor * value + rng.uniform(-0.009, 0.009, 16)
    low, high = interval(value, target, half, None)
    assert low <= factor <= high
    for inside in np.linspace(low, high, 5):
        assert (np.abs(inside * value - target) <= half * (1 + 1e-9)).all()


def both_sides(source, rows, columns):
    return (source * rows[:, None] * columns).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("powers", [True, False])
def test_neurons_that_were_rescaled_are_rows_and_columns_scaled(powers):
    rng = np.random.default_rng(4)
    source = rng.standard_normal((64, 48)).astype(np.float32).astype(np.float64)
    rows, columns = (np.exp2(rng.uniform(-1.5, 1.5, size)) for size in source.shape)
    if powers:
        rows, columns = np.exp2(np.round(np.log2(rows))), np.exp2(np.round(np.log2(columns)))
    change = told(both_sides(source, rows, columns), source, "F32")
    assert change is not None
    assert change.kind == "scaled"
    assert "rows and columns" in change.pattern


def test_a_coarse_matrix_that_moved_between_its_units_is_not_scaled_on_both_sides():
    rng = np.random.default_rng(6)
    source = cast(rng.standard_normal((64, 48)), "BF16")
    rows = np.where(np.arange(64) == 5, 1.5, 1.0)
    moved = cast(source * rows[:, None] * (1.0 + 0.006 * rng.choice([-1, 1], (64, 48))), "BF16")
    change = told(moved, source, "BF16")
    assert change is None or "rows and columns" not in change.pattern


@pytest.mark.parametrize("size", [1e-6, 0.01, 1.0])
def test_a_matrix_that_moved_is_not_scaled_on_both_sides(size):
    rng = np.random.default_rng(5)
    source = rng.standard_normal((64, 48)).astype(np.float32).astype(np.float64)
    moved = cast(source + size * rng.standard_normal(source.shape), "F32")
    change = told(moved, source, "F32")
    assert change is None or "rows and columns" not in change.pattern
