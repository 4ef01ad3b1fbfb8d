"""Quantising and decoding, and what shares a scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.places.schemes import BLOCKS, CODES, GROUPS, chosen, grouped


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_group_has_no_more_numbers_than_its_bits_and_is_near_what_it_was(code):
    x = np.random.default_rng(0).normal(0, 0.02, (8, 2048)).astype(np.float32)
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    decoded = code.decoded(x, low, high)
    assert decoded.dtype == np.float32
    assert max(len(np.unique(row)) for row in decoded) <= 1 << code.bits
    # Half of the largest step: floating point has an eighth at the top, four bits a seventh.
    assert np.abs(decoded - x).max() <= np.abs(x).max() * (0.13 if code.bits == 8 else 0.26)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_zeros_stay_zeros(code):
    x = np.zeros((2, 32), np.float32)
    with np.errstate(all="ignore"):
        assert not code.decoded(x, x[:, :1], x[:, :1]).any()


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(sorted(GROUPS)))
def test_groups_hold_every_number_and_change_no_range(rows, columns, group):
    x = np.arange(float(rows * columns)).reshape(rows, columns)
    groups = grouped(x, group)
    if groups is not None:
        assert np.array_equal(np.unique(groups), x.ravel())
        if group.removeprefix("flat ").isdecimal():
            assert groups.shape[1] in BLOCKS


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 10000))
def test_a_sample_lies_in_the_groups(groups, each, most):
    which, inside = chosen(groups, each, most)
    assert which[-1] < groups
    assert inside[-1] < each
    assert len(which) * len(inside) <= max(most, 8)
    assert len(set(which.tolist())) == len(which)
