"""The mean of whole checkpoints on a sphere."""

import numpy as np
import pytest
from common.families import F32, found_in, stored
from common.recognised import assert_named, best_of, nothing_is_named
from common.spheres import FAMILY, SMALL, child_of, karcher
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise import RECOGNISERS
from parentage.hypothesise.recognise.karcher import combined
from parentage.hypothesise.recognise.span import cosines

NAMES = ["one", "two", "three"]


def child():
    return child_of(lambda x: karcher([x(name) for name in NAMES]), FAMILY)


def test_its_checkpoints_are_named(tmp_path):
    best = best_of(tmp_path, FAMILY, child(), NAMES)
    weights = dict.fromkeys(NAMES)
    assert_named(best, SMALL, method="karcher", base=None, parameters={}, weights=weights)


def test_without_a_parent_there_is_nothing_to_name(tmp_path):
    assert nothing_is_named(found_in(tmp_path, FAMILY, child(), ["one"]))


def test_a_fine_tune_is_no_mean(tmp_path):
    f = found_in(tmp_path, FAMILY, stored(FAMILY["three"]), ["one", "two"])
    assert list(RECOGNISERS["karcher"].estimate(f)) == []


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_weights_from_inner_products_are_those_of_vectors(seed, count):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1, (count, 40)) + 2.0 * rng.normal(0, 1, 40)
    norms, cosine = cosines((vectors @ vectors.T)[None], list(range(count)))
    found = combined(norms, cosine)[0] @ vectors
    assert found == pytest.approx(karcher(list(vectors.astype(F32))), abs=2e-4)
