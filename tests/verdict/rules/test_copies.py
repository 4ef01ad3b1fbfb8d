"""Copies, casts and assemblies of copies."""

from dataclasses import replace

import numpy as np
import pytest
from common.facts import MERGE, kind
from common.shipped import trace
from parentage.verdict import decide

pytestmark = pytest.mark.levels


def test_equality_of_every_element_is_identity():
    assert kind(MERGE, equal={"base": 0, "parent": 1_000_000}) == "identical"
    assert kind(MERGE, equal={"base": 0, "parent": 999_999}) == "merge"
    verdict = decide(replace(MERGE, equal={"base": 0, "parent": 1_000_000}))
    assert (verdict.level, verdict.numbers["parent"]) == ("exact", "parent")


def test_equality_after_a_cast_is_re_encoding():
    other = {"base": True, "parent": False}
    equal = {"base": 0, "parent": 1_000_000}
    verdict = decide(replace(MERGE, equal=equal, same_dtype=other))
    assert (verdict.kind, verdict.level, verdict.rule) == ("re-encoded", "exact", "re_encoded")
    assert kind(MERGE, equal={"base": 0, "parent": 999_999}, same_dtype=other) == "merge"


def test_identity_goes_before_re_encoding():
    equal = {"base": 1_000_000, "parent": 1_000_000}
    verdict = decide(replace(MERGE, equal=equal, same_dtype={"base": False, "parent": True}))
    assert (verdict.kind, verdict.numbers["parent"]) == ("identical", "parent")


def test_a_copy_of_a_control_is_identical_to_it():
    equal = {"base": 0, "parent": 0, "control": 1_000_000}
    same = {"base": True, "parent": True, "control": True}
    verdict = decide(replace(MERGE, equal=equal, same_dtype=same))
    assert (verdict.kind, verdict.numbers["parent"]) == ("identical", "control")


def test_slices_that_are_all_copies_of_several_are_assembled():
    verdict = decide(replace(MERGE, copied={"base": 12, "parent": 8}))
    assert (verdict.kind, verdict.level) == ("assembled", "exact")
    assert verdict.numbers == {"slices_base": 12, "slices_parent": 8, "slices": 20}
    assert kind(MERGE, copied={"base": 12, "parent": 7}) == "merge"
    assert kind(MERGE, copied={"base": 20, "parent": 0}) == "merge"


def test_a_copy_is_identical(tmp_path, family, weights):
    found = trace(tmp_path, family, weights["parent"])
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    assert found.verdict.numbers["parent"] == "parent"


@pytest.fixture
def one_bit_off(tmp_path, family, weights):
    changed = {name: array.copy() for name, array in weights["parent"].items()}
    changed["model.norm.weight"].view(np.uint16)[7] ^= 1
    return trace(tmp_path, family, changed)


def test_one_bit_of_a_copy_is_seen(one_bit_off):
    assert one_bit_off.verdict.kind not in ("identical", "re-encoded", "assembled")
    assert one_bit_off.wide("model")["bit_equal:parent"][0] == one_bit_off.elements - 1


def test_all_of_one_parent_is_no_blend(one_bit_off):
    assert one_bit_off.verdict.kind != "merge"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_cast_is_a_re_encoding(tmp_path, family, weights, dtype):
    cast = {name: array.astype(dtype) for name, array in weights["parent"].items()}
    found = trace(tmp_path, family, cast)
    assert (found.verdict.kind, found.verdict.level) == ("re-encoded", "exact")
    assert found.verdict.numbers["parent"] == "parent"


def test_layers_of_two_checkpoints_are_assembled(tmp_path, family, weights):
    parts = {
        name: weights["parent" if ".layers.0." in name else "base"][name]
        for name in weights["base"]
    }
    found = trace(tmp_path, family, parts)
    assert (found.verdict.kind, found.verdict.level) == ("assembled", "exact")
