"""Barycentric interpolation on a sphere."""

import numpy as np
import pytest
from common.families import F32, found_in, stored
from common.recognised import assert_named, best_of
from common.spheres import FAMILY, SMALL, child_of, displaced, multislerp
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise import RECOGNISERS
from parentage.hypothesise.recognise.multislerp import combined
from parentage.hypothesise.recognise.span import cosines

WEIGHTS = {"one": 0.5, "two": 0.3, "three": 0.2}


@pytest.mark.parametrize("base", [None, pytest.param("base", marks=pytest.mark.slow)])
def test_its_checkpoints_are_named_with_their_weights(tmp_path, base):
    shares = list(WEIGHTS.values())
    merge = displaced(multislerp, list(WEIGHTS), shares)
    if base is None:
        child = child_of(lambda x: multislerp([x(name) for name in WEIGHTS], shares), FAMILY)
    else:
        child = child_of(merge, FAMILY)
    best = best_of(tmp_path, FAMILY, child, list(WEIGHTS))
    assert_named(best, SMALL, method="multislerp", base=base, parameters={}, weights=WEIGHTS)


def test_a_fine_tune_is_no_mean(tmp_path):
    f = found_in(tmp_path, FAMILY, stored(FAMILY["three"]), ["one", "two"])
    assert list(RECOGNISERS["multislerp"].estimate(f)) == []


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_weights_from_inner_products_are_those_of_vectors(seed, count):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1, (count, 40)) + 2.0 * rng.normal(0, 1, 40)
    norms, cosine = cosines((vectors @ vectors.T)[None], list(range(count)))
    weights = rng.dirichlet(np.full(count, 3.0))
    found = combined(norms, cosine, weights)[0] @ vectors
    assert found == pytest.approx(multislerp(list(vectors.astype(F32)), weights.tolist()), abs=2e-4)
