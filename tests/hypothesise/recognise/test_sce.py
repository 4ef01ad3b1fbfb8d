"""Means of displacements where those differ the most."""

import numpy as np
import pytest
from common.masked import BOTH, NOT_MASKED, Case, assert_found, findings, recognised
from parentage.hypothesise.recognise.sce import subsets, winners


@pytest.mark.parametrize(
    "case",
    [
        *(Case("sce", (None, None), None, dtype, {"select_topk": 0.5}) for dtype in BOTH),
        Case("sce", (None, None, None), None, "float32", {"select_topk": 0.5}),
    ],
    ids=str,
)
def test_finds_parents_and_the_share_that_was_selected(case, tmp_path):
    assert_found(case, tmp_path)


def test_a_fine_tune_is_none(tmp_path):
    child = NOT_MASKED["another fine-tune"]()
    assert recognised(findings(tmp_path, child, ("base", "one", "two")), "sce") == []


def test_parents_are_tried_in_sets_of_four_at_most():
    assert subsets(2, 2) == [(0, 1)]
    assert max(map(len, subsets(6, 2))) == 4
    assert len(subsets(4, 2)) == 6 + 4 + 1


def test_those_win_whose_sign_is_that_of_the_sum():
    deltas = np.array([[3.0, -1.0, 0.0, 1.0], [-1.0, -2.0, 0.0, -1.0]])
    # A sum of nothing counts as positive.
    assert winners(deltas).tolist() == [[True, True, False, True], [False, True, False, False]]
