"""Masks drawn at random: at what rate, and whether rank has a say."""

import pytest
from common.masked import Case, findings, merged
from parentage.hypothesise.recognise.masks.chance import KeepRate, keep_rates
from parentage.hypothesise.recognise.masks.mixture import find_mixture


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
