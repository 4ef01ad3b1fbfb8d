"""Weights of masked sums as they may have been written."""

import numpy as np
import pytest
from common.families import bf16
from common.masked import Case, findings, merged
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise.recognise.masks.mixture import find_mixture
from parentage.hypothesise.recognise.masks.weights import (
    near_bf16,
    ratios,
    short_decimal,
    unscaled_recipe,
)


@given(st.floats(0.01, 3.0), st.sampled_from([1e-2, 1e-3, 1e-5]))
def test_the_shortest_decimal_within_a_tolerance(value, tolerance):
    found = short_decimal(value, tolerance)
    assert abs(found - value) <= max(tolerance, 1e-5 * value)
    digits = len(f"{found:.9f}".rstrip("0").split(".")[1])
    assert all(abs(round(value, fewer) - value) > tolerance for fewer in range(1, digits))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_ratios_are_those_of_the_shares(parts):
    shares = np.array(parts) / sum(parts)
    found = ratios(shares, 1e-4)
    assert found
    for weights in found:
        assert np.array(weights) / sum(weights) == pytest.approx(shares, abs=2e-4)
    # Those that sum to one come first.
    gaps = [round(abs(sum(weights) - 1.0), 6) for weights in found]
    assert gaps[0] == 0.0
    assert gaps == sorted(gaps)


# Between powers of two, where the numbers of bf16 are evenly spaced.
@given(st.floats(0.52, 0.97), st.integers(0, 3))
def test_numbers_of_bf16_come_nearest_first(value, steps):
    found = near_bf16(value, steps)
    assert len(found) == 2 * steps + 1
    rounded = [float(bf16(x)) for x in found]
    assert rounded[0] == float(bf16(value))
    distances = [abs(x - value) for x in rounded]
    assert distances == sorted(distances)


@pytest.mark.parametrize(
    ("case", "weights", "parameters"),
    [
        (
            Case("dare_linear", (0.6, 0.4), 0.5, parameters={"rescale": False}),
            [0.6, 0.4],
            {"normalize": False},
        ),
        (Case("ties", (0.6, 0.3), 0.3, parameters={"lambda": 0.8}), None, {"lambda": 0.8}),
    ],
    ids=["sum", "mean times lambda"],
)
def test_weights_of_a_mixture_are_written_short(tmp_path, case, weights, parameters):
    f = findings(tmp_path, merged(case), ("base", "one", "two"))
    recipe = unscaled_recipe(f, find_mixture(f))
    assert parameters.items() <= recipe.parameters.items()
    found = [each.weight for each in recipe.ingredients]
    if weights is None:
        # A mean has weights up to a factor.
        assert found[0] / found[1] == pytest.approx(2.0, abs=1e-3)
    else:
        assert found == weights
