"""Scales by slice, which make up for what was dropped."""

from dataclasses import replace

import numpy as np
import pytest
from common.families import F32
from common.masked import FAMILY, Case, by_chance, findings, merged
from parentage.hypothesise.recognise.masks.mixture import find_mixture
from parentage.hypothesise.recognise.masks.scales import (
    scaled_recipe,
    step_scales,
    table,
    with_coefficients_by_slice,
)
from parentage.hypothesise.recognise.masks.trials import mismatches

CASE = Case("dare_linear", (0.6,), 0.5)


@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    return findings(tmp_path_factory.mktemp("scales"), merged(CASE), ("base", "one"))


def scales():
    """Return what a merge made up with, by tensor."""
    rng = np.random.default_rng(5)
    out = {}
    for tensor, base in FAMILY["base"].items():
        delta = np.abs(F32(FAMILY["one"][tensor] - base)).astype(np.float64)
        out[tensor] = delta.sum() / (delta * by_chance(CASE, delta, rng)).sum()
    return out


def test_every_slice_has_its_coefficient(estimates):
    mixture = with_coefficients_by_slice(find_mixture(estimates))
    assert mixture.coefficients.shape == (1, len(estimates.slices))
    expected = scales()
    for each, coefficient in zip(estimates.slices, mixture.coefficients[0], strict=True):
        near = 0.05 if each.elements < 1000 else 1e-3
        assert coefficient == pytest.approx(0.6 * expected[each.name], rel=near)


def test_weights_and_scales_are_told_apart_and_nothing_mismatches(estimates):
    mixture = with_coefficients_by_slice(find_mixture(estimates))
    recipe = scaled_recipe(estimates, mixture)
    assert [each.weight for each in recipe.ingredients] == [0.6]
    assert mismatches(estimates, [recipe]).sum() == 0
    expected = scales()
    for tensor, scale in recipe.fitted["scale:one"].items():
        near = 0.05 if "norm" in tensor else 1e-3
        assert scale == pytest.approx(expected[tensor], rel=near)


def test_scales_are_stepped_to_the_fewest_mismatches(estimates):
    mixture = with_coefficients_by_slice(find_mixture(estimates))
    recipe = scaled_recipe(estimates, mixture)
    good = np.array([recipe.fitted["scale:one"][each.name] for each in estimates.slices])
    view = mixture.view

    def with_scales(trial):
        return replace(recipe, fitted={"scale:one": table(estimates, trial[0], view.owner)})

    off = good * 1.004
    before = mismatches(estimates, [with_scales([off])]).sum()
    found = step_scales(estimates, [off], with_scales, ((0.002 * 2**8, 4),), -8)
    assert mismatches(estimates, [with_scales(found)]).sum() <= before
    assert before > 0


def test_tables_are_float32_numbers_of_slices_that_were_sampled(estimates):
    values = np.arange(1.0, 1.0 + len(estimates.slices)) / 3.0
    found = table(estimates, values, np.array([0, 0, 2]))
    assert list(found) == [estimates.slices[i].name for i in (0, 2)]
    assert list(found.values()) == [float(F32(values[0])), float(F32(values[2]))]
