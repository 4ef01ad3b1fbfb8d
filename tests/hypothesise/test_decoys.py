"""What recipes reach with decoys in place of their parents."""

from __future__ import annotations

from common.families import made
from common.merges import best_of, merged


def test_decoys_reach_next_to_nothing_of_a_true_recipe(tmp_path):
    child = merged("linear", "float32-fma", {"one": 0.5, "two": 0.3, "base": 0.2})
    best = best_of(tmp_path, child, ["one", "two"], "other")
    assert best.mismatched == 0
    assert 0.0 < best.decoy_share < 0.1
    # Where displacements are of one unit in the last place, decoys reach much.
    family = made({"one": 1.2e-4})
    child = merged("linear", "float32-fma", {"one": 0.6, "base": 0.4}, family)
    best = best_of(tmp_path / "x", child, ["one"], family=family)
    assert best.mismatched == 0
    assert 0.2 < best.decoy_share < 0.95
    assert best.gain == 1.0
