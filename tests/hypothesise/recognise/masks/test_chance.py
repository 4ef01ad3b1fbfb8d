"""Masks drawn at random: at what rate, and whether rank has a say."""

import numpy as np
import pytest
from common.masked import Case, findings, merged
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise.recognise.masks.chance import KeepRate, keep_rates, ranks
from parentage.hypothesise.recognise.masks.mixture import find_mixture


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40, unique=True), st.integers(1, 4))
def test_ranks_go_from_0_to_1_within_an_owner(sizes, owners):
    sizes = np.array(sizes)
    owner = np.arange(len(sizes)) % owners
    found = ranks(sizes, owner)
    for each in range(min(owners, len(sizes))):
        mine = sizes[owner == each]
        place = found[owner == each]
        assert np.array_equal(np.argsort(place), np.argsort(mine))
        assert place.min() == 0.0
        assert place.max() == (1.0 if len(mine) > 1 else 0.0)


@pytest.mark.parametrize(
    ("case", "slope"),
    [
        (Case("dare_linear", (0.6,), 0.7, parameters={"rescale": False}), 0.0),
        (Case("della_linear", (0.6,), 0.7, parameters={"rescale": False, "epsilon": 0.2}), 0.4),
    ],
    ids=["by chance alone", "by rank"],
)
def test_rates_are_those_that_masks_were_drawn_at(tmp_path, case, slope):
    mixture = find_mixture(findings(tmp_path, merged(case), ("base", "one")))
    (rate,) = keep_rates(mixture, mixture.kept, mixture.dropped)
    assert rate.middle == pytest.approx(0.7, abs=0.02)
    assert rate.is_sloped == (slope > 0.0)
    assert rate.slope == pytest.approx(slope, abs=0.05)
    assert 0.0 < rate.error < 0.02


def test_a_slope_within_its_error_is_none():
    assert not KeepRate(0.5, 0.04, 0.01).is_sloped
    assert KeepRate(0.5, -0.06, 0.01).is_sloped
