"""Means of displacements where several parents changed an element."""

import pytest
from common.masked import BOTH, NOT_MASKED, Case, findings, merged, recognised, touched
from parentage.hypothesise import hypothesise


@pytest.mark.parametrize("dtype", BOTH)
def test_its_parents_are_found_and_nothing_is_left_open(dtype, tmp_path):
    family = touched()
    child = merged(Case("ram", (None, None), dtype=dtype), family)
    best = hypothesise(findings(tmp_path, child, ("base", "one", "two", "other"), **family))[0]
    assert (best.recipe.method, best.recipe.arithmetic) == ("ram", dtype)
    assert best.recipe.parents_added == ("one", "two")
    assert best.share > 0.9999
    assert best.explained == 0


def test_a_fine_tune_is_none_and_one_parent_has_nothing_to_share(tmp_path):
    child = NOT_MASKED["another fine-tune"]()
    assert recognised(findings(tmp_path / "a", child, ("base", "one", "two")), "ram") == []
    family = touched()
    child = merged(Case("ram", (None, None)), family)
    assert recognised(findings(tmp_path / "b", child, ("base", "one"), **family), "ram") == []
