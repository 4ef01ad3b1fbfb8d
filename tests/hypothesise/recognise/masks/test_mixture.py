"""Who takes part in a mixture, with what coefficients, and where there is none."""

import numpy as np
import pytest
from common.masked import MERGE, NOT_MASKED, Case, findings, merged, recognised
from parentage.hypothesise.recognise.masks.mixture import (
    find_mixture,
    is_bf16,
    is_masked,
    is_unexplained,
    refit_coefficients,
)
from parentage.methods import METHODS


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a sample shows of displacements of two parents, dropped at random and not scaled."""
    case = Case("dare_linear", (0.6, 0.4), 0.5, parameters={"rescale": False})
    folder = tmp_path_factory.mktemp("mixture")
    return findings(folder, merged(case), ("base", "other", "one", "two"))


def test_parents_and_coefficients_are_told(found):
    mixture = find_mixture(found)
    assert mixture is find_mixture(found)
    # The first parent adds nothing.
    assert mixture.axes == [1, 2]
    assert mixture.constant.all()
    assert np.median(mixture.coefficients, axis=1) == pytest.approx([0.6, 0.4], abs=1e-4)
    assert not mixture.elected
    assert not mixture.normalized
    assert mixture.explained > 0.99
    assert not is_bf16(mixture)
    assert is_masked(mixture, mixture.kept, mixture.dropped)
    assert not is_masked(mixture, mixture.kept, np.zeros_like(mixture.dropped))
    assert not is_masked(mixture, np.zeros_like(mixture.kept), mixture.dropped)
    kept, dropped = mixture.kept.sum(axis=1), mixture.dropped.sum(axis=1)
    assert kept / (kept + dropped) == pytest.approx([0.5, 0.5], abs=0.02)


def test_coefficients_by_slice_are_near_to_those_of_all(found):
    mixture = find_mixture(found)
    sizes = np.bincount(mixture.view.owner)
    refitted = refit_coefficients(mixture)[:, sizes > 1000]
    assert refitted[0] == pytest.approx(0.6, abs=1e-3)
    assert refitted[1] == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("child", NOT_MASKED.values(), ids=NOT_MASKED)
def test_claims_no_mask_where_there_is_none(child, tmp_path):
    f = findings(tmp_path, child(), ("base", "one", "two", "other"))
    assert find_mixture(f) is None
    assert [recipe for name in MERGE if name in METHODS for recipe in recognised(f, name)] == []


def test_what_a_blend_explains_is_not_looked_at(tmp_path, found):
    assert is_unexplained(found)
    assert not is_unexplained(findings(tmp_path, NOT_MASKED["a blend"](), ("base", "one")))
