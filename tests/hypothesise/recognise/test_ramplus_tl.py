"""RAM with what a single parent changed scaled up."""

import numpy as np
import pytest
from common.masked import BOTH, NOT_MASKED, Case, findings, merged, recognised, touched
from parentage.hypothesise import hypothesise
from parentage.hypothesise.recognise.ramplus_tl import counted


@pytest.mark.parametrize("dtype", BOTH)
def test_its_parents_and_factors_are_found(dtype, tmp_path):
    family = touched()
    child = merged(Case("ramplus_tl", (None, None), dtype=dtype), family)
    best = hypothesise(findings(tmp_path, child, ("base", "one", "two", "other"), **family))[0]
    assert (best.recipe.method, best.recipe.arithmetic) == ("ramplus_tl", dtype)
    assert best.recipe.parents_added == ("one", "two")
    assert best.share > 0.9999
    assert best.explained == 0
    factors = [x for table in best.recipe.fitted.values() for x in table.values()]
    assert all(1.0 <= x <= 1.021 for x in factors)
    assert max(factors) > 1.01


def test_a_fine_tune_is_none(tmp_path):
    child = NOT_MASKED["another fine-tune"]()
    assert recognised(findings(tmp_path, child, ("base", "one", "two")), "ramplus_tl") == []


def test_displacements_of_next_to_nothing_are_none():
    deltas = np.array([[0.1, 1e-6, 0.1], [0.2, 0.2, 0.0]])
    counts, alone = counted(deltas, "float32")
    assert counts.tolist() == [[True, False, True], [True, True, False]]
    assert alone.tolist() == [[False, False, True], [False, True, False]]
