"""Children that are relatives beyond doubt: by whole slices, by values, or by likeness alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import parentage
import pytest
from common.facts import LINE, TUNED, kind
from common.shipped import each, trace
from conftest import write_checkpoint
from parentage.descent import OwnValues
from parentage.places import Change
from parentage.verdict import SharedSlices, decide

pytestmark = pytest.mark.levels


def shared(slices=15, alone=15, strange=()):
    """Return what is shared with the parent alone: three quarters of 20 slices."""
    others = ("layers.0.v", "layers.1.v", *strange)
    whole = SharedSlices(slices, 50_000 * slices, alone, 50_000 * alone, others, strange)
    nothing = SharedSlices(0, 0, 0, 0, others, ())
    return {"base": nothing, "parent": whole}


def changed(kind):
    """Return what is seen of slices that were all changed in one way."""
    return lambda *_: (("layers.0.v", 50_000, Change(kind, kind)),)


@pytest.mark.parametrize("kind", ["zero", "nan", "few", "noise", "foreign"])
def test_a_copy_but_for_what_no_training_did_is_no_fine_tune(kind):
    verdict = decide(replace(LINE, shared=shared(), changes=changed(kind)))
    assert (verdict.kind, verdict.rule) == ("assembled", "shared_slices")
    assert verdict.text.startswith("a copy of parent but for v of layers 0 and 1: 15 of 20 slices")
    assert ("lost in the child, or filled in" in verdict.text) == (kind in ("zero", "nan"))


def test_few_slices_of_one_are_no_copy_of_it():
    verdict = decide(replace(LINE, shared=shared(slices=4, alone=4), changes=changed("noise")))
    assert (verdict.kind, verdict.rule) == ("related", "shared_slices")
    assert "copy" not in verdict.text


@pytest.mark.parametrize("what", ["zero", "nan"])
def test_a_copy_with_a_tensor_lost_is_a_copy_but_for_it(tmp_path, family, weights, what):
    child = {name: array.copy() for name, array in weights["parent"].items()}
    name = next(name for name in child if "q_proj" in name)
    if what == "nan":
        child[name][3:5] = np.nan
    else:
        child[name][:] = 0.0
    found = trace(tmp_path, family, child)
    assert found.verdict.kind == "assembled"
    assert found.verdict.text.startswith("a copy of parent but for q_proj of layer 0: 22 of 23")


def test_tensors_that_were_exchanged_are_said_to_stand_elsewhere(tmp_path, family, weights):
    child = dict(weights["parent"])
    gate = next(name for name in child if "gate_proj" in name)
    up = gate.replace("gate_proj", "up_proj")
    child[gate], child[up] = child[up], child[gate]
    found = trace(tmp_path, family, child)
    assert found.verdict.kind == "assembled"
    assert "bit for bit another tensor of parent" in found.verdict.text
    assert "initialisation" not in found.verdict.text


def test_whole_slices_name_one_checkpoint_and_no_order():
    verdict = decide(replace(LINE, shared=shared(), changes=changed("moved")))
    assert (verdict.kind, verdict.rule) == ("fine-tune", "shared_slices")
    assert verdict.numbers["parent"] == "parent"
    assert "15 of 20 slices" in verdict.text
    assert "or both from one that was not offered" in verdict.text


@pytest.mark.parametrize("shared_of", ["less than half", "two checkpoints"])
def test_slices_in_common_alone_are_no_fine_tune(shared_of):
    """Two that both froze what is a third's, which was not offered, share as much."""
    facts = replace(LINE, shared=shared(), changes=changed("moved"))
    if shared_of == "less than half":
        few = {"parent": replace(shared()["parent"], elements=400_000)}
        verdict = decide(replace(facts, shared=few))
    else:
        verdict = decide(replace(facts, likeness={"base": 0.1, "parent": 0.99}))
    assert (verdict.kind, verdict.rule) == ("related", "shared_slices")
    assert "or both from one that was not offered" in verdict.text


def test_strangers_among_whole_slices_are_named():
    verdict = decide(replace(LINE, shared=shared(strange=("layers.3.v",))))
    assert verdict.kind == "assembled"
    assert "no relative" in verdict.text


def test_slices_that_relatives_share_name_nobody():
    assert decide(replace(LINE, shared=shared(alone=0))).rule != "shared_slices"


def test_slices_of_several_are_counted_by_checkpoint():
    several = shared()
    several["base"] = SharedSlices(5, 250_000, 5, 250_000, ("layers.0.v",), ())
    verdict = decide(replace(LINE, shared=several))
    assert verdict.kind == "assembled"
    assert "5 of base alone" in verdict.text
    assert "15 of parent alone" in verdict.text


def test_values_of_one_alone_name_it():
    own = {"base": OwnValues(5000, 0.001), "parent": OwnValues(5000, 0.98)}
    verdict = decide(replace(LINE, own=own))
    assert (verdict.kind, verdict.rule) == ("related", "kept")
    assert verdict.numbers["parent"] == "parent"
    assert kind(LINE, own={**own, "base": OwnValues(5000, 0.06)}) == "related"
    few = {"base": OwnValues(5000, 0.001), "parent": OwnValues(100, 0.98)}
    assert decide(replace(LINE, own=few)).rule != "kept"


def test_kin_is_told_without_an_arrow():
    verdict = decide(LINE)
    assert verdict.rule == "related"
    for said in ("may have been made from the child", "both from one that was not offered"):
        assert said in verdict.text


def test_strangers_are_no_kin():
    distant = {"base": 0.3, "parent": 0.3}
    assert kind(TUNED, likeness=distant) == "undetermined"


def test_a_copy_with_one_tensor_changed_keeps_its_name(tmp_path, family, weights):
    child = dict(weights["parent"])
    name = next(each for each in child if "up_proj" in each)
    child[name] = weights["sibling"][name]
    found = trace(tmp_path, family, child)
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "parent"
    assert "up_proj" in found.verdict.text


def test_a_parent_made_from_the_child_is_no_parent(tmp_path, family, weights):
    made = {
        name: (2.0 * x.astype(float) - weights["base"][name].astype(float)).astype(x.dtype)
        for name, x in weights["parent"].items()
    }
    framed = write_checkpoint(tmp_path / "framed", made)
    found = parentage.trace(family("parent"), base=family("base"), parents=[framed])
    assert found.verdict.kind in ("related", "fine-tune")
    assert "framed was made from the child" in found.verdict.text
    assert "framed" in [each.name for each in found.inputs.controls]


def test_where_alone_the_lines_to_the_others_meet_is_said(tmp_path, family, weights):
    random = np.random.default_rng(0)

    def moved(parent, base):
        # Training that goes on, in a direction of its own.
        left, right = random.normal(size=(len(parent), 8)), random.normal(size=(8, parent[0].size))
        size = 0.3 * (parent - base).std() / np.sqrt(8)
        return parent + size * (left @ right).reshape(parent.shape)

    child = each(moved, weights["parent"], weights["base"])
    found = trace(tmp_path, family, child, controls=["sibling"])
    assert found.verdict.kind == "related"
    assert "Seen from parent the child lies in no direction of the others" in (found.verdict.text)
