"""Spellings: what is written for a weight is among what is tried for what it comes to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import parentage.hypothesise.written_weights as written_weights
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from parentage.checkpoint import to_bf16
from parentage.hypothesise import (
    candidates,
    fit_gradient,
    resample_knots,
    shortest_decimal,
    whole_ratio,
    written_forms,
)
from parentage.hypothesise.recognise.linear import effective
from parentage.recipe import gradient

SHORT = st.integers(-150, 150).filter(bool).map(lambda x: x / 100.0)


@given(st.lists(SHORT, min_size=1, max_size=3), st.data())
def test_short_decimals_are_spelled_first_and_the_values_last(weights, data):
    tolerance = [data.draw(st.sampled_from([3e-7, 1e-6, 1e-5])) for _ in weights]
    values = [
        w + data.draw(st.floats(-0.9, 0.9)) * t for w, t in zip(weights, tolerance, strict=False)
    ]
    found = list(written_forms(values, tolerance, 0.0, own=False))
    chosen, base = found[0]
    assert chosen == weights
    assert base == pytest.approx(1.0 - sum(weights), abs=1e-9)
    assert found[-1][0] == values
    for chosen, base in found[:-1]:
        # Every spelling comes to the values, as it is or divided by its sum.
        total = sum(chosen) + base
        assert total != 0
        gaps = [abs(x / total - v) for x, v in zip(chosen, values, strict=False)]
        assert all(gap <= t + 1e-9 for gap, t in zip(gaps, tolerance, strict=False)), (chosen, base)


@given(st.integers(1, 23), st.integers(1, 23))
def test_ratios_of_whole_numbers_are_spelled(one, two):
    assume(one + two <= 24)
    total = one + two
    divisor = math.gcd(one, two)
    found = list(written_forms([one / total], [3e-7], 0.0, own=False))
    assert ([one / divisor], two / divisor) in found


@pytest.mark.parametrize(
    ("weights", "free"),
    [
        ([0.5], -0.2),
        ([0.8, 0.3], 0.4),
        ([0.5], -0.25),
        ([0.8], 0.25),
    ],
)
def test_a_base_with_a_weight_of_its_own_is_spelled_first(weights, free):
    values = [w + 1e-8 for w in weights]
    chosen, base = next(written_forms(values, [3e-7] * len(weights), free - 1e-8, own=True))
    assert chosen == weights
    assert base == pytest.approx(1.0 + free - sum(weights), abs=1e-6)


@given(st.integers(-900, 900), st.lists(SHORT, min_size=1, max_size=2))
def test_a_base_with_a_weight_of_its_own_keeps_it(thousandths, weights):
    free = thousandths / 1000.0
    for chosen, base in written_forms(weights, [1e-6] * len(weights), free, own=True):
        assert sum(chosen) + base == pytest.approx(1.0 + free, abs=1e-5)


HUNDREDTHS = st.integers(2, 98).map(lambda x: x / 100.0)


def as_they_are(weights: Sequence[float]) -> list[float]:
    return list(weights)


@given(st.lists(HUNDREDTHS, min_size=1, max_size=3), st.data())
def test_weights_near_what_is_found_are_among_the_candidates(weights, data):
    found = [w + data.draw(st.floats(-2e-4, 2e-4)) for w in weights]
    listed = candidates(found, as_they_are)
    place = [each.weights for each in listed].index(tuple(weights))
    # Those before are within the noise, and no longer.
    assert place < 8
    assert listed[place].distance <= 2.1e-4
    assert [each.rank for each in listed] == sorted(each.rank for each in listed)


@given(HUNDREDTHS, HUNDREDTHS, st.floats(-1.5e-4, 1.5e-4))
def test_weights_that_bf16_moved_are_among_the_candidates(one, two, error):
    weights = (one, two, round(1.0 - one - two, 6))
    assume(weights[2] > 0.01)
    found = [w + error for w in effective(weights, "bfloat16", normalize=True)]
    listed = candidates(
        found, lambda w: effective(w, "bfloat16", normalize=True), last_follows=True
    )
    # Of weights that are one number in bf16, the shortest.
    reached = effective(weights, "bfloat16", normalize=True)
    first = [effective(each.weights, "bfloat16", normalize=True) for each in listed[:16]]
    assert reached in first


def test_effective_weights_are_those_of_the_arithmetic():
    assert effective([0.6, 0.4], "float32", normalize=True) == [0.6, 0.4]
    assert effective([0.6, 0.4], "bfloat16", normalize=True) == [0.6015625, 0.400390625]
    assert effective([3.0, 2.0], "bfloat16", normalize=True) == [3.0 / 5.0, 2.0 / 5.0]
    assert effective([3.0, 2.0], "bfloat16", normalize=False) == [3.0, 2.0]
    assert effective([0.3], "bfloat16", normalize=False) == to_bf16(np.array([0.3])).tolist()


def test_many_parents_have_fewer_candidates_each():
    listed = candidates([0.121, 0.132, 0.143, 0.154, 0.165, 0.176, 0.109], as_they_are)
    assert listed[0].weights == (0.121, 0.132, 0.143, 0.154, 0.165, 0.176, 0.109)
    assert len(listed) <= 20_000


@given(st.lists(st.integers(1, 8), min_size=2, max_size=3), st.floats(-1e-9, 1e-9))
def test_ratios_are_whole_and_smallest(parts, error):
    total = sum(parts)
    found = whole_ratio([x / total + error for x in parts], 1e-8)
    divisor = math.gcd(*parts)
    assert found == tuple(x / divisor for x in parts)
    assert whole_ratio([-0.5, 1.5], 1e-8) is None


@given(st.integers(-(10**6), 10**6), st.floats(-1, 1), st.sampled_from([1e-9, 1e-7, 1e-5]))
def test_decimals_are_the_shortest_within_the_tolerance(millionths, error, tolerance):
    value = millionths / 1e6 + error * tolerance
    found = shortest_decimal(value, tolerance)
    assert abs(found - value) <= tolerance
    shorter = [d for d in range(1, 9) if abs(round(value, d) - value) <= tolerance]
    assert found == (round(value, shorter[0]) if shorter else value)
    assert shortest_decimal(found, tolerance / 10.0) == pytest.approx(found, abs=tolerance)


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=6), st.integers(2, 12), st.data())
def test_knots_are_few_and_come_to_the_values(hundredths, count, data):
    inner = [x / 100.0 for x in hundredths]
    t = [i / (count - 1) for i in range(count)]
    values = np.array([gradient(inner, x) for x in t])
    held = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    assume(held.any())
    found = fit_gradient(values, t, held, np.full(count, 1e-6))
    assert len(found) <= max(count, len(inner))
    again = np.array([gradient(found, x) for x in t])
    assert np.abs(again - values)[held].max() <= 2e-6
    if held.all():
        assert len(found) <= len(inner)


def test_knots_of_one_value_are_one():
    t = [0.0, 0.5, 1.0]
    every = np.ones(3, dtype=bool)
    assert fit_gradient(np.full(3, 0.25), t, every, np.full(3, 1e-9)) == [0.25]
    bent = np.array([0.1, 0.9, 0.1])
    assert fit_gradient(bent, t, every, np.full(3, 1e-9)) == [0.1, 0.9, 0.1]
    assert fit_gradient(bent, t, np.array([True, False, True]), np.full(3, 1e-9)) == [0.1]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.integers(1, 4))
def test_regraded_knots_interpolate_alike(values, times):
    number = 1 + times * max(len(values) - 1, 1)
    found = resample_knots(values, number)
    assert len(found) == number
    for t in np.linspace(0, 1, 13):
        assert gradient(found, t) == pytest.approx(gradient(values, t), abs=1e-12)


def test_of_many_layers_few_knots_are_looked_for(monkeypatch):
    tried = []
    design = written_weights.design_of

    def counted(t, number):
        tried.append(number)
        return design(t, number)

    monkeypatch.setattr(written_weights, "design_of", counted)
    values = np.random.default_rng(0).random(400)
    t = [i / 399 for i in range(400)]
    found = fit_gradient(values, t, np.ones(400, bool), np.full(400, 1e-9))
    assert found == values.tolist()
    assert len(tried) <= 16
