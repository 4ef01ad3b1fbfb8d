"""Where lines between relatives meet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.descent import Angles
from parentage.descent.angles import weighted_median

SIZE = 10_000


def angles(one, two, child):
    """Return the angles of two checkpoints and a child, all displacements from a base at 0."""
    random = np.random.default_rng(0)
    steps = [random.normal(0, 1, (4, SIZE)) for _ in range(4)]
    points = [sum(a * step for a, step in zip(each, steps, strict=True)) for each in (one, two)]
    points.append(sum(a * step for a, step in zip(child, steps, strict=True)))
    gram = np.einsum("ism,jsm->sij", np.array(points), np.array(points))
    return Angles(("base", "one", "two"), "child", gram, np.full(4, float(SIZE)))


def test_trainings_of_one_base_meet_there():
    found = angles((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))
    assert abs(found.cosine("base", "child", "one")) < 0.05
    assert found.cosine("child", "base", "one") == pytest.approx(0.5**0.5, abs=0.05)
    assert found.cosine("one", "child", "two") == pytest.approx(0.5, abs=0.05)


def test_successive_trainings_meet_in_the_middle_one():
    found = angles((1, 0, 0, 0), (0, 1, 0, 0), (1, 0, 1, 0))
    assert abs(found.cosine("one", "child", "base")) < 0.05
    assert found.cosine("base", "child", "one") > 0.6


def test_noise_is_independent_of_all_that_is_seen_from_where_it_was_added():
    found = angles((1, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0.1))
    assert abs(found.excess("one", "child", "base")) < 4
    assert found.excess("child", "one", "base") > 8


def test_nothing_is_said_of_one_point():
    found = angles((1, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0))
    assert np.isnan(found.cosine("one", "child", "base"))
    assert np.isnan(found.excess("one", "child", "base"))


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0.1, 9)), min_size=1, max_size=20))
def test_a_weighted_median_has_half_of_the_weight_on_either_side(pairs):
    values, weights = np.array(pairs).T
    middle = weighted_median(values, weights)
    assert weights[values <= middle].sum() >= 0.5 * weights.sum() * (1 - 1e-12)
    assert weights[values < middle].sum() <= 0.5 * weights.sum() * (1 + 1e-12)
