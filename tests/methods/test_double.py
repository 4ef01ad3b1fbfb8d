"""Sums in float64 by operations of float32."""

from __future__ import annotations

import numpy as np
from common.families import F32, F64, FAMILY, found_in, weighted
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.hypothesise import count_matches
from parentage.recipe import Ingredient, Recipe


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=3))
def test_a_sum_in_float64_is_replayed(tmp_path_factory, weights):
    named = dict(zip(("one", "two", "three"), weights, strict=False))
    if any(abs(weight) < 1e-3 for weight in weights):
        return
    child = {
        tensor: weighted([FAMILY[name][tensor] for name in named], weights).astype(F32)
        for tensor in FAMILY["base"]
    }
    found = found_in(tmp_path_factory.mktemp("double"), FAMILY, child, ["one", "two", "three"])
    recipe = Recipe(
        "linear",
        tuple(Ingredient(*each) for each in named.items()),
        None,
        {"normalize": False},
        "float64",
        "F32",
    )
    (count,) = count_matches([recipe], found.sample, found)
    # Where terms cancel, what float64 itself rounds away is seen.
    assert count.share[0] > 0.9999


def test_float32_arithmetic_gives_other_bits():
    parts = [FAMILY[name]["model.embed_tokens.weight"] for name in ("one", "two")]
    double = weighted(parts, [0.37, 0.63]).astype(F32)
    single = F32(F32(parts[0] * F32(0.37)) + F32(parts[1] * F32(0.63)))
    assert np.any(double != single)
    assert np.allclose(double.astype(F64), single, rtol=1e-6, atol=1e-8)
