"""The base moved towards a parent by a fixed distance."""

from common.masked import NOT_MASKED, Case, findings, merged, recognised
from parentage.hypothesise import hypothesise


def test_the_parent_and_the_distance_are_found(tmp_path):
    child = merged(Case("nearswap", (None,), parameters={"t": 0.002}))
    best = hypothesise(findings(tmp_path, child, ("base", "one", "other")))[0]
    assert (best.recipe.method, best.recipe.parents_added) == ("nearswap", ("one",))
    assert best.recipe.parameters == {"t": 0.002}
    assert best.share > 0.999


def test_without_the_parent_and_of_a_fine_tune_nothing_is_claimed(tmp_path):
    child = merged(Case("nearswap", (None,), parameters={"t": 0.002}))
    assert recognised(findings(tmp_path / "a", child, ("base", "other")), "nearswap") == []
    child = NOT_MASKED["another fine-tune"]()
    assert recognised(findings(tmp_path / "b", child, ("base", "one")), "nearswap") == []
