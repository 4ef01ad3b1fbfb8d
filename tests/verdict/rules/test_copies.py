"""Copies, casts and assemblies of copies."""

from dataclasses import replace

import numpy as np
import pytest
from common.facts import MERGE, kind, whole, wholes
from common.shipped import trace
from parentage.verdict import decide

pytestmark = pytest.mark.levels


def copied(*each, **more):
    return decide(replace(MERGE, wholes=wholes(*each, **more)))


def test_all_of_both_bit_for_bit_is_identity():
    verdict = copied(whole())
    assert (verdict.kind, verdict.level, verdict.numbers["parent"]) == (
        "identical",
        "exact",
        "parent",
    )
    assert copied(whole(same=999_999)).kind == "merge"


def test_all_of_both_after_a_cast_is_re_encoding():
    verdict = copied(whole(same=10, cast=999_990))
    assert (verdict.kind, verdict.level, verdict.rule) == ("re-encoded", "exact", "re_encoded")
    assert copied(whole(same=0, cast=999_999)).kind == "merge"


def test_identity_goes_before_re_encoding():
    verdict = copied(whole("base", same=0, cast=1_000_000), whole())
    assert (verdict.kind, verdict.numbers["parent"]) == ("identical", "parent")


def test_a_copy_of_a_control_is_identical_to_it():
    verdict = copied(whole("base", same=0), whole(same=0), whole("control"))
    assert (verdict.kind, verdict.numbers["parent"]) == ("identical", "control")


PIECE = {"own": (), "missing": ("model.layers.1.mlp.up_proj.weight", "lm_head.weight")}


@pytest.mark.parametrize(
    ("found", "kind", "said"),
    [
        # The child is a part of it, and more than half of it, or less.
        (
            whole(elements=1_900_000, held=10**6, **PIECE),
            "assembled",
            "2 of the 20 tensors of parent",
        ),
        (whole(elements=2_100_000, held=10**6, **PIECE), "undetermined", "lm_head.weight"),
        # It is a part of the child, and more than half of it.
        (whole(own=("x.weight",), own_elements=10), "assembled", "contains parent whole"),
        (
            whole(is_in_place=False, moves=((0, 1), (1, 0))),
            "assembled",
            "0, 1 are parent's 1, 0, in",
        ),
        (whole(missing=("a",), empty=("a",), held=9 * 10**5), "assembled", "empty"),
        # Rows of a tensor that is there are no tensor that is missing.
        (
            whole(missing=("4 rows of a",), missing_elements=1000, cut=1, held=999_000),
            "assembled",
            "; 0.1% of the elements of parent are missing there: 4 rows of a",
        ),
        (whole(tied="lm_head is its embedding"), "re-encoded", "lm_head is its embedding"),
    ],
)
def test_a_part_is_never_identical(found, kind, said):
    verdict = copied(found)
    assert (verdict.kind, verdict.level) == (kind, "exact")
    assert said in verdict.text


def test_what_is_mostly_its_own_is_undetermined_though_it_contains_all_of_a_parent():
    found = whole(own=("x.weight",), own_elements=1_100_000)
    verdict = copied(found, child=2_100_000)
    assert verdict.kind == "undetermined"
    assert "contains parent whole" in verdict.text


def test_slices_that_are_all_copies_of_several_are_assembled():
    each = (whole("base", same=600_000), whole(same=400_000))
    sources = {"base": ("a", "b"), "parent": ("model.layers.3.v_proj.weight",)}
    verdict = decide(replace(MERGE, wholes=replace(wholes(*each), sources=sources, unsourced=0)))
    assert (verdict.kind, verdict.level) == ("assembled", "exact")
    assert {"slices_base": 2, "slices_parent": 1, "slices": 3}.items() <= verdict.numbers.items()
    assert "1 from parent (v_proj of layer 3)" in verdict.text
    some = replace(wholes(*each), sources=sources, unsourced=1)
    assert kind(MERGE, wholes=some) == "merge"
    one = replace(wholes(*each), sources={"base": ("a",)}, unsourced=0)
    assert kind(MERGE, wholes=one) == "merge"


def test_layers_of_several_are_told_with_the_map_of_each():
    moved = ((0, 2), (1, 1), (2, 0))
    each = (whole("base", same=600_000, moves=moved), whole(same=400_000))
    names = [f"model.layers.{i}.v_proj.weight" for i in range(3)]
    sources = {"base": ("norm", names[0], names[2]), "parent": (names[1],)}
    verdict = decide(replace(MERGE, wholes=replace(wholes(*each), sources=sources, unsourced=0)))
    said = "Of the layers of child, 0, 2 are base's 2, 0; 1 is parent's of the same number."
    assert said in verdict.text


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
    assert one_bit_off.verdict.kind not in ("identical", "re-encoded")
    assert one_bit_off.verdict.level != "exact"
    assert "a copy of parent but for norm" in one_bit_off.verdict.text
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
