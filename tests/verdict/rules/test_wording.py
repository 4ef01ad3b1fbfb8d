"""What verdicts say besides."""

from dataclasses import replace

import numpy as np
import parentage
import pytest
from common.facts import MERGE, REPLAYED, whole, wholes
from conftest import BF16, write_checkpoint
from parentage.verdict import decide

pytestmark = pytest.mark.levels


def test_what_was_not_compared_is_said():
    assert "1.00% of the child was not compared" in decide(replace(MERGE, coverage=0.99)).text
    assert "not compared" not in decide(MERGE).text


def test_a_weight_that_rounding_can_move_is_said_to_be():
    assert "rounding can move" in decide(replace(MERGE, bias={"parent": 0.01})).text
    assert "rounding can move" not in decide(replace(MERGE, bias={"parent": 0.0099})).text


def test_a_weight_that_rounding_moved_far_comes_with_a_warning(tmp_path):
    random = np.random.default_rng(3)
    base = random.normal(0, 0.02, (400, 500)).astype(BF16).astype(np.float64)
    parent = (base + 0.003 * random.normal(0, 0.02, base.shape)).astype(BF16).astype(np.float64)
    child = base + 0.6 * (parent - base)
    for name, array in (("base", base), ("parent", parent), ("child", child)):
        write_checkpoint(tmp_path / name, {"model.layers.0.mlp.up_proj.weight": array.astype(BF16)})
    found = parentage.trace(
        tmp_path / "child", base=tmp_path / "base", parents=[tmp_path / "parent"]
    )
    weight = found.weights["parent"]
    assert abs(weight - 0.6) > 0.1, "the case is to be one in which rounding matters"
    assert found.wide("model")["cells:parent"][0] == pytest.approx(0.6, abs=1e-6)
    blind = parentage.trace(
        tmp_path / "child", base=tmp_path / "base", parents=[tmp_path / "parent"], recipes=False
    )
    assert blind.verdict.kind != "merge" or "rounding can move" in blind.verdict.text


def test_the_map_of_layers_is_told_of_any_verdict_once_for_those_that_have_the_same():
    moves = ((0, 0), (1, 2), (2, 5))
    each = [whole(name, same=0, moves=moves, layers=6) for name in ("base", "parent")]
    said = "By their content, layers 1, 2 of child correspond, in this order, to 2, 5 of the 6"
    for facts in (REPLAYED, MERGE):
        verdict = decide(replace(facts, wholes=wholes(*each)))
        assert f"{said} of base and parent." in verdict.text
    each[1] = whole(same=0, layers=3)
    assert f"{said} of base." in decide(replace(REPLAYED, wholes=wholes(*each))).text
    plain = [whole("base", same=0), whole(same=0)]
    assert "By their content" not in decide(replace(REPLAYED, wholes=wholes(*plain))).text
