"""Inverses of small systems, against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.statistics import inverse_of


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_an_inverse_is_one(m, seed):
    x = np.random.default_rng(seed).normal(size=(3, 30, m))
    a = np.einsum("snm,snk->smk", x, x)
    assert inverse_of(a) == pytest.approx(np.linalg.inv(a), rel=1e-6, abs=1e-9)


def test_a_column_of_zeros_is_left_out():
    a = np.diag([4.0, 0.0, 16.0])[None]
    assert inverse_of(a)[0].tolist() == np.diag([0.25, 0.0, 0.0625]).tolist()
    assert inverse_of(np.zeros((2, 0, 0))).shape == (2, 0, 0)
