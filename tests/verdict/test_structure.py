"""What training leaves has structure, and noise has none."""

import numpy as np
import pytest
from common.facts import TUNED, kind
from common.shipped import trace
from conftest import BF16
from parentage.places import units
from parentage.verdict import Structure
from parentage.verdict.structure import agreement

pytestmark = pytest.mark.levels


def test_independent_signs_agree_by_chance_whatever_their_sizes():
    random = np.random.default_rng(0)
    for _ in range(20):
        sizes = np.exp(random.normal(size=(48, 1)) + random.normal(size=(1, 64)))
        values = sizes * random.standard_t(2, size=(48, 64))
        values[random.random(values.shape) < 0.4] = 0.0
        beyond, variance = agreement(values)
        assert abs(beyond) < 6 * np.sqrt(variance)


def test_a_common_direction_below_the_noise_is_seen():
    random = np.random.default_rng(0)
    shared = np.outer(random.normal(size=96), random.normal(size=128))
    beyond, variance = agreement(0.5 * shared + random.normal(size=shared.shape))
    assert beyond > 8 * np.sqrt(variance)


@pytest.mark.parametrize(
    "seen", [None, Structure(6, 7.9, 0.1), Structure(6, np.nan, 0.1), Structure(6, 60.0, 0.6)]
)
def test_a_difference_without_structure_is_no_fine_tune(seen):
    assert kind(TUNED, structure=lambda: seen) == "related"


def test_a_merge_under_noise_is_no_fine_tune(tmp_path, family, weights):
    random = np.random.default_rng(3)
    child = {}
    for name, base in weights["base"].items():
        start = base.astype(np.float64)
        moved = weights["parent"][name].astype(np.float64) - start
        noise = 16.0 * units(start, "BF16") * random.standard_normal(start.shape)
        child[name] = (start + 0.2 * moved + noise).astype(BF16)
    found = trace(tmp_path, family, child)
    assert found.verdict.kind == "related"
    assert "no structure" in found.verdict.text


def test_noise_whose_size_differs_by_row_is_no_fine_tune(tmp_path, family, weights):
    random = np.random.default_rng(3)
    child = {}
    for name, base in weights["base"].items():
        start = base.astype(np.float64)
        moved = weights["parent"][name].astype(np.float64) - start
        sizes = np.exp(random.normal(size=(len(start),) + (1,) * (start.ndim - 1)))
        noise = 0.1 * start.std() * sizes * random.standard_normal(start.shape)
        child[name] = (start + 0.3 * moved + noise).astype(BF16)
    assert trace(tmp_path, family, child).verdict.kind == "related"


def test_a_blend_that_rounding_swallowed_is_no_fine_tune(tmp_path, family, weights):
    child = {}
    for name, base in weights["base"].items():
        start = base.astype(np.float64)
        for other in ("parent", "sibling"):
            moved = weights[other][name].astype(np.float64) - start
            start = (start + 0.003 * moved).astype(BF16).astype(np.float64)
        child[name] = start.astype(BF16)
    assert trace(tmp_path, family, child, parents=["parent", "sibling"]).verdict.kind == "related"
