"""Cells as wide as neighbours are apart, which are had here from the bits of stored values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from common.families import F64, Array
from common.neighbours import BITS, halfway
from conftest import DTYPES
from hypothesis import assume, given
from hypothesis import strategies as st
from parentage.checkpoint import half_cells

CELLS = ("BF16", "F16", "F32", "F8_E4M3", "F8_E5M2")


def every(dtype: str) -> Array:
    """Return all numbers >= 0 of a dtype of one or two bytes but the largest, or some of F32."""
    kind = np.dtype(DTYPES[dtype])
    count = 1 << (8 * kind.itemsize - 1)
    bits = (
        np.arange(count) if kind.itemsize < 4 else np.random.default_rng(0).integers(0, count, 4**8)
    )
    with np.errstate(invalid="ignore"):
        values = bits.astype(BITS[kind.itemsize]).view(kind).astype(F64)
    return np.sort(values[np.isfinite(values)])[:-1]


@pytest.mark.parametrize("dtype", CELLS)
def test_cells_of_all_numbers_reach_halfway_to_their_neighbours(dtype):
    values = every(dtype)
    below, above = half_cells(values, dtype)
    expected = halfway(values, dtype)
    assert np.array_equal(below, expected[0])
    assert np.array_equal(above, expected[1])


@given(st.sampled_from(CELLS), st.integers(-150, 127), st.integers(0, 2**23 - 1), st.booleans())
def test_cells_reach_halfway_to_the_neighbours(dtype, exponent, fraction, is_power):
    size = np.ldexp(1.0 if is_power else 1.0 + fraction / 2**23, exponent)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array([size]).astype(DTYPES[dtype]).astype(F64)
        expected = halfway(values, dtype)
    assume(np.isfinite(values).all() and np.isfinite(expected).all())
    assert half_cells(values, dtype) == expected
    # What is below a number is above its negative.
    assert half_cells(-values, dtype) == expected[::-1]


@pytest.mark.parametrize(
    ("dtype", "least", "normal"),
    [("BF16", -133, -126), ("F16", -24, -14), ("F32", -149, -126), ("F8_E4M3", -9, -6)],
)
def test_cells_of_subnormal_numbers_are_as_wide_as_that_of_zero(dtype, least, normal):
    half = np.ldexp(0.5, least)
    assert [x.tolist() for x in half_cells(np.array([0.0, -0.0]), dtype)] == [[half] * 2] * 2
    # The least normal number has a subnormal one below it, as far away as the one above.
    below, above = half_cells(np.ldexp(1.0, np.arange(least, normal + 1)), dtype)
    assert set(below) == set(above) == {half}
    below, above = half_cells(np.ldexp([1.0, -1.0], normal + 1), dtype)
    assert below.tolist() == [half, 2 * half]
    assert above.tolist() == [2 * half, half]


def reach(names: Sequence[str]) -> list[float]:
    """Return the half cells at one of some dtypes."""
    return [float(half_cells(np.array([1.0]), name)[1][0]) for name in names]


def test_the_dtype_says_how_wide_cells_are():
    assert reach(["F8_E5M2", "F8_E4M3", "BF16", "F16", "F32", "F64"]) == [
        2.0**-bits for bits in (3, 4, 8, 11, 24, 53)
    ]


@pytest.mark.parametrize("dtype", CELLS)
def test_what_is_not_finite_has_a_finite_cell(dtype):
    below, above = half_cells(np.array([np.inf, -np.inf, np.nan]), dtype)
    assert np.isfinite(below).all()
    assert np.isfinite(above).all()
    assert half_cells(np.array(1.5), dtype)[0].shape == ()
