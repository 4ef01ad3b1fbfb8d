"""Intervals and tests are those of scipy, and of counting by hand."""

import itertools
import math
import random

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from parentage.identity import exact
from parentage.identity.exact import fisher, interval, sign_flip


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_are_those_of_clopper_and_pearson(counts):
    count, of = counts
    expected = scipy.stats.binomtest(count, of).proportion_ci()
    assert interval(count, of) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_intervals_at_the_ends():
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(0, 7)[0] == 0.0
    assert interval(7, 7)[1] == 1.0
    low, high = interval(500_000, 1_000_000)
    assert low < 0.5 < high
    assert high - low < 0.002


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_signs_are_flipped_in_all_ways(differences):
    sizes = [each for each in differences if each]
    seen = abs(sum(sizes))
    ways = [
        abs(sum(each * sign for each, sign in zip(sizes, signs, strict=True))) >= seen
        for signs in itertools.product((1, -1), repeat=len(sizes))
    ]
    assert 10 ** sign_flip(differences) == pytest.approx(sum(ways) / len(ways))


@pytest.mark.parametrize("count", [1, 10, 999, 1000, 1001, 2000])
def test_a_p_value_is_never_zero(count):
    expected = min(0.0, (1 - count) * math.log10(2.0))
    assert sign_flip([3] * count) == pytest.approx(expected, rel=1e-9)


def test_differences_of_one_size_are_the_sign_test():
    differences = [2] * 15 + [-2] * 4 + [0] * 9
    expected = scipy.stats.binomtest(15, 19).pvalue
    assert 10 ** sign_flip(differences) == pytest.approx(expected)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1), st.floats(0, 1))
def test_fisher_is_scipys(of_one, of_other, share, other_share):
    one, other = round(share * of_one), round(other_share * of_other)
    table = [[one, of_one - one], [other, of_other - other]]
    expected = scipy.stats.fisher_exact(table)[1]
    assert 10 ** fisher(one, of_one, other, of_other) == pytest.approx(expected, rel=1e-6)


def test_large_differences_are_rounded_and_not_counted_for_ever(monkeypatch):
    draw = random.Random(0)
    differences = [draw.randrange(-300, 400) for _ in range(60)]
    whole = sign_flip(differences)
    monkeypatch.setattr(exact, "_MOST_STEPS", 20_000)
    assert sign_flip(differences) == pytest.approx(whole, abs=0.1)
    monkeypatch.undo()
    assert -200 < sign_flip([10**9 + at for at in range(500)]) < -140
