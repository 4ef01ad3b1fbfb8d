"""Each element is the base's or the parent's, by importance."""

import numpy as np
import pytest
from common.families import stored
from common.masked import BOTH, FAMILY, NOT_MASKED, Case, findings, merged, recognised
from parentage.hypothesise import hypothesise


@pytest.mark.parametrize("dtype", BOTH)
def test_the_parent_whose_larger_displacements_were_taken_is_found(dtype, tmp_path):
    child = merged(Case("arcee_fusion", (None,), dtype=dtype))
    best = hypothesise(findings(tmp_path, child, ("base", "one", "other")))[0]
    assert (best.recipe.method, best.recipe.parents_added) == ("arcee_fusion", ("one",))
    assert best.mismatched == 0


def test_elements_that_were_taken_by_chance_are_no_fusion(tmp_path):
    rng = np.random.default_rng(3)
    child = {
        name: np.where(rng.random(base.shape) < 0.3, FAMILY["one"][name], base)
        for name, base in FAMILY["base"].items()
    }
    f = findings(tmp_path, stored(child), ("base", "one", "other"))
    assert recognised(f, "arcee_fusion") == []


def test_a_fine_tune_is_none(tmp_path):
    child = NOT_MASKED["another fine-tune"]()
    assert recognised(findings(tmp_path, child, ("base", "one")), "arcee_fusion") == []
