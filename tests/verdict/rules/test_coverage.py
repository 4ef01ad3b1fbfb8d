"""What is too little, or too alike, to decide anything."""

import math
from dataclasses import replace

import numpy as np
import pytest
from common.facts import BELOW, MERGE, kind, rule, whole, wholes
from common.shipped import trace
from conftest import BF16, write_checkpoint
from parentage.verdict import Thresholds, decide

pytestmark = pytest.mark.levels


def test_less_than_half_of_the_child_decides_nothing():
    least = Thresholds().coverage
    assert kind(MERGE, coverage=least) == "merge"
    assert rule(MERGE, coverage=least * BELOW) == "too_little"
    assert kind(MERGE, coverage=least * BELOW) == "undetermined"


def test_what_pairs_is_told_where_most_of_the_child_is_its_own():
    held = wholes(whole(same=0), child=2_500_000)
    verdict = decide(replace(MERGE, coverage=0.4, wholes=held))
    assert (verdict.kind, verdict.rule) == ("undetermined", "merge")
    assert "60.0% of child could not be compared" in verdict.text
    assert verdict.numbers["share_parent"] == 1.0


def test_a_fragment_decides_nothing():
    held = wholes(whole(same=0, elements=2_500_000, held=1_000_000, missing=("a", "b")))
    verdict = decide(replace(MERGE, wholes=held))
    assert (verdict.kind, verdict.rule) == ("undetermined", "merge")
    assert "40.0% of the nearest checkpoint" in verdict.text
    assert "child lacks a and b" in verdict.text


def test_layers_that_the_config_promises_are_said_first():
    verdict = decide(replace(MERGE, wholes=wholes(whole(same=0), promised_layers=32, layers=30)))
    assert verdict.text.startswith("config.json promises 32 layers; 30 are here:")


def test_files_that_were_not_read_are_said():
    unread = ("child: not read: a.bin",)
    verdict = decide(replace(MERGE, wholes=wholes(whole(same=0), unread=unread)))
    assert verdict.text.endswith("child: not read: a.bin.")


@pytest.mark.parametrize("condition", [1e6, math.inf, math.nan])
def test_parents_that_can_not_be_told_apart_decide_nothing(condition):
    assert rule(MERGE, condition=condition) == "indistinct"
    assert kind(MERGE, condition=condition) == "undetermined"


def test_parents_that_can_just_be_told_apart_decide():
    assert kind(MERGE, condition=1e6 * BELOW) == "merge"


def test_two_copies_of_one_parent_can_not_be_told_apart(tmp_path, family, weights):
    copy = write_checkpoint(tmp_path / "copy", weights["parent"])
    found = trace(tmp_path, family, weights["child"], parents=["parent", copy])
    assert (found.verdict.kind, found.verdict.rule) == ("undetermined", "indistinct")
    assert found.weights["parent"] is None


def test_too_few_tensors_in_common_decide_nothing(tmp_path, family, weights):
    child = dict(weights["parent"])
    child["model.extra.weight"] = np.ones(300_000, BF16)
    found = trace(tmp_path, family, child)
    assert (found.verdict.kind, found.verdict.rule) == ("undetermined", "part_of")
    assert 0.49 < found.verdict.numbers["coverage"] < 0.5


def empty(array):
    return np.full_like(array, np.nan)


def half_empty(array):
    half = array.copy()
    half.reshape(-1)[::2] = np.nan
    half.reshape(-1)[1::40] = np.nan
    return half


@pytest.mark.parametrize("spoil", [empty, half_empty])
def test_a_child_that_is_mostly_nan_decides_nothing(tmp_path, family, weights, spoil):
    found = trace(tmp_path, family, {name: spoil(x) for name, x in weights["parent"].items()})
    assert found.model["nan"][0] > found.elements / 2
    assert found.verdict.kind == "undetermined"


OTHERWISE = "in another shape or as other numbers"


@pytest.mark.parametrize("changed", ["rows", "integers"])
@pytest.mark.parametrize("is_copy", [False, True])
def test_what_is_there_in_another_shape_is_not_lacking(tmp_path, family, weights, changed, is_copy):
    name = "model.layers.1.mlp.up_proj.weight"
    tensors = dict(weights["parent" if is_copy else "child"])
    taller = np.concatenate([tensors[name], tensors[name][:8]])
    tensors[name] = taller if changed == "rows" else tensors[name].view(np.int16)
    text = trace(tmp_path, family, tensors).verdict.text
    assert "lacks" not in text
    assert "missing" not in text
    assert "contains parent whole" not in text
    assert OTHERWISE in text


def test_a_tensor_that_is_there_without_elements_is_lacking(tmp_path, family, weights):
    tensors = dict(weights["child"])
    tensors["model.layers.1.mlp.up_proj.weight"] = np.zeros((0, 4), BF16)
    text = trace(tmp_path, family, tensors).verdict.text
    assert OTHERWISE not in text
    assert "made lacks mlp.up_proj of layer 1" in text
