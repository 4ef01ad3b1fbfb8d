"""Masks by size: between which sizes thresholds lie, and what share is above them."""

import numpy as np
import pytest
from common.masked import Case, findings, largest, merged
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise.recognise.masks.bands import (
    Band,
    band,
    bands_of,
    shares_above,
    shortest_between,
)
from parentage.hypothesise.recognise.masks.view import View
from parentage.methods.masked import LARGEST


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.6), st.floats(0.0, 0.2))
def test_thresholds_lie_in_the_band_and_nothing_contradicts_them(seed, low, top):
    rng = np.random.default_rng(seed)
    size = rng.exponential(1.0, 400)
    edges = np.quantile(size, [low, 1.0 - top])
    kept = (size >= edges[0]) & (size <= edges[1])
    known = rng.random(400) < 0.8
    found = band(size, kept & known, ~kept & known, is_capped=top > 0.05)
    if top > 0.05:
        assert found.errors == 0
        assert found.low <= edges[0] <= found.high
        assert found.top_low <= edges[1] <= found.top_high
    assert found.known == known.sum()


def test_without_a_cap_all_above_the_threshold_was_kept():
    size = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    kept = np.array([False, False, False, True, True])
    found = band(size, kept, ~kept, is_capped=False)
    assert found == Band(3.0, 4.0, LARGEST, LARGEST, 0, 5)


def test_masks_on_the_wrong_side_are_errors():
    rng = np.random.default_rng(0)
    size = np.sort(rng.random(1000))
    kept = size > 0.5
    wrong = kept ^ (rng.random(1000) < 0.3)
    found = band(size, wrong, ~wrong, is_capped=False)
    assert 200 < found.errors < 350


def test_of_nothing_nothing_is_known():
    nothing = np.zeros(3, bool)
    assert band(np.ones(3), nothing, nothing, is_capped=True) == Band()


def test_every_slice_has_a_band_of_its_own(tmp_path):
    case = Case("ties", (0.6,), 0.5)
    f = findings(tmp_path, merged(case), ("base", "one"))
    view = View(f, f.sample, "float32")
    size = np.abs(view.deltas[0])
    kept = np.zeros(view.size, bool)
    for i in range(view.slices):
        here = view.owner == i
        kept[here] = largest(size[here], int(here.sum() * 0.25))
    found = bands_of(size, kept, ~kept, view, is_capped=False)
    assert len(found) == view.slices
    for i, each in enumerate(found):
        here = view.owner == i
        # A thousandth may contradict a threshold without moving it.
        assert (size[here & kept] >= each.low).mean() > 0.998
        assert (size[here & ~kept] <= each.high).mean() > 0.998
        assert each.high < 1.05 * each.low
        assert each.known == here.sum()
        assert each.errors <= 0.002 * each.known


def test_shares_of_slices_without_a_threshold_do_not_count():
    sizes = np.array([1.0, 2.0, 3.0, 4.0, 9.0])
    owner = np.array([0, 0, 0, 0, 1])
    low, high = np.array([2.5, 0.0]), np.array([3.5, LARGEST])
    least, most, step = shares_above(sizes, owner, low, high)
    assert (least, most, step) == (0.25, 0.5, 0.25)
    assert shares_above(sizes, owner, np.zeros(2), np.full(2, LARGEST)) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("bottom", "top", "expected"),
    [(0.4987, 0.507, 0.5), (0.123, 0.1231, 0.123), (0.2, 0.2, 0.2), (0.111111, 0.111112, 0.11111)],
)
def test_the_shortest_decimal_between_two_numbers(bottom, top, expected):
    assert shortest_between(bottom, top) == expected
