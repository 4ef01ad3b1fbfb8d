"""Masked sums: families made here, merged in numpy, and found again with all that was written."""

import pytest
from common.masked import BOTH, Case, assert_found, findings, merged
from parentage.hypothesise import hypothesise
from parentage.hypothesise.recognise.masks.recipes import recipes, recipes_of

CASES = [
    *(Case("ties", (0.6, 0.4), 0.5, dtype) for dtype in BOTH),
    Case("ties", (0.5, 0.3, 0.2), 0.4),
    Case("ties", (0.6, 0.3), 0.3, parameters={"lambda": 0.8}),
    Case("ties", (0.6, 0.3), 0.3, parameters={"normalize": False}),
    *(Case("breadcrumbs", (0.6, 0.4), 0.5, dtype, {"gamma": 0.02}) for dtype in BOTH),
    *(Case("breadcrumbs_ties", (0.7, 0.5), 0.5, dtype, {"gamma": 0.02}) for dtype in BOTH),
    *(Case("dare_linear", (0.6, 0.4), 0.5, dtype) for dtype in BOTH),
    Case("dare_linear", (0.5, 0.3, 0.4), 0.6),
    Case("dare_linear", (0.6, 0.4), 0.5, parameters={"rescale": False}),
    *(Case("dare_ties", (0.6, 0.4), 0.5, dtype) for dtype in BOTH),
    *(Case("della", (0.6, 0.4), 0.6, dtype, {"epsilon": 0.15}) for dtype in BOTH),
    *(Case("della_linear", (0.6, 0.4), 0.6, dtype, {"epsilon": 0.15}) for dtype in BOTH),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_finds_method_parents_weights_and_density(case, tmp_path):
    assert_found(case, tmp_path)


def test_a_mask_of_magnitudes_leaves_little_open(tmp_path):
    f = findings(tmp_path, merged(Case("ties", (0.6, 0.4), 0.5)), ("base", "one", "two"))
    best = hypothesise(f)[0]
    assert best.mismatched == 0
    assert best.explained < 0.05 * best.elements
    assert best.decoy_share < 0.7
    # What is looked for once is kept, and every method takes its own of it.
    assert recipes(f) is recipes(f)
    assert [each.method for each in recipes_of(f, "ties")] == ["ties"]
    assert list(recipes_of(f, "della")) == []
