"""Interpolations on an arc: weights of an angle, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise.recognise.span import LINEAR, cosines, interpolation, slerp_weights


@given(st.floats(-0.99, 0.999), st.floats(0.01, 0.99))
def test_interpolation_is_the_inverse_of_the_weights(cosine, t):
    angle, at = np.array([cosine]), np.array([t])
    weights = slerp_weights(angle, at)
    # Past a right angle the sine turns back, and the arc sine with it.
    if np.arccos(cosine) * t < np.pi / 2 - 1e-3:
        assert interpolation(angle, weights[:, 1]) == pytest.approx(at, abs=1e-6)
    # What it interpolates on the unit circle stays there.
    x, y = np.array([1.0, 0.0]), np.array([cosine, np.sqrt(1 - cosine**2)])
    assert np.linalg.norm(weights[0, 0] * x + weights[0, 1] * y) == pytest.approx(1.0, abs=1e-6)


def test_weights_near_one_direction_are_linear():
    weights = slerp_weights(np.array([LINEAR + 1e-6, -1.0, 1.0]), np.array([0.3, 0.3, 0.25]))
    assert weights == pytest.approx(np.array([[0.7, 0.3], [0.7, 0.3], [0.75, 0.25]]))
    bent = slerp_weights(np.array([LINEAR - 1e-3]), np.array([0.3]))
    assert bent.sum() > 1.0


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_norms_and_cosines_are_those_of_vectors(seed, count):
    vectors = np.random.default_rng(seed).normal(0, 1, (count, 40))
    norms, cosine = cosines((vectors @ vectors.T)[None], list(range(count)))
    assert norms[0] == pytest.approx(np.linalg.norm(vectors, axis=1))
    units = vectors / norms[0][:, None]
    assert cosine[0] == pytest.approx(units @ units.T)


def test_cosines_with_nothing_are_zero():
    gram = np.zeros((1, 2, 2))
    gram[0, 0, 0] = 4.0
    norms, cosine = cosines(gram, [0, 1])
    assert norms.tolist() == [[2.0, 0.0]]
    assert cosine.tolist() == [[[1.0, 0.0], [0.0, 0.0]]]
