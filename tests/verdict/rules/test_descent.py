"""Fine-tunes, strangers, and what stays undetermined."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import parentage
import pytest
from common.facts import ABOVE, MERGE, TUNED, kind
from common.families import FAMILY, blend
from common.shipped import trace
from common.traced import as_stored, number
from common.traced import trace as trace_made
from conftest import BF16
from parentage.descent import OwnValues
from parentage.verdict import Thresholds, decide


@pytest.mark.levels
def test_no_likeness_to_anything_is_no_relation():
    most = Thresholds().unrelated
    for low in (most, -most, 0.0):
        assert kind(TUNED, likeness={"base": low, "parent": 0.0}) == "unrelated"
    for high in (most * ABOVE, -most * ABOVE):
        assert kind(TUNED, likeness={"base": 0.0, "parent": high}) != "unrelated"
    assert kind(TUNED, likeness={"base": math.nan, "parent": 0.0}) == "unrelated"


@pytest.mark.levels
def test_bits_come_before_likeness():
    """A few values of great size turn every cosine; those that are kept say whose they are."""
    strange = {"base": 0.0, "parent": 0.0}
    own = {"base": OwnValues(5000, 0.0), "parent": OwnValues(5000, 0.999)}
    assert kind(TUNED, likeness=strange, own=own) != "unrelated"


@pytest.mark.levels
def test_without_matrices_nothing_is_unrelated():
    nothing = {"base": math.nan, "parent": math.nan}
    assert kind(TUNED, likeness=nothing) == "undetermined"
    assert kind(MERGE, likeness=nothing) == "merge"


@pytest.mark.parametrize(
    ("last", "first_beyond"),
    [
        ({"r2": 0.30}, {"r2": 0.30 * ABOVE}),
        (
            {"likeness": {"base": 0.50, "parent": 0.9}},
            {"likeness": {"base": 0.4999, "parent": 0.9}},
        ),
        ({"strange_share": 0.01}, {"strange_share": 0.01 * ABOVE}),
        ({"weights": {"parent": 0.94}}, {"weights": {"parent": 1.0}}),
    ],
    ids=lambda change: " ".join(map(str, next(iter(change.items())))),
)
@pytest.mark.levels
def test_a_fine_tune_ends_at_its_thresholds(last, first_beyond):
    assert kind(TUNED, **last) == "fine-tune"
    assert kind(TUNED, **first_beyond) in ("related", "undetermined")


@pytest.mark.levels
def test_lines_meet_at_the_base_or_nothing_is_said():
    assert kind(TUNED, angle=lambda *_: 0.20) == "fine-tune"
    assert kind(TUNED, angle=lambda *_: 0.20 * ABOVE) == "related"
    # What goes against a relative is no direction of its own either.
    assert kind(TUNED, angle=lambda *_: -0.20) == "fine-tune"
    assert kind(TUNED, angle=lambda *_: -0.20 * ABOVE) == "related"


@pytest.mark.levels
def test_two_checkpoints_alone_are_kin():
    alone = replace(
        TUNED,
        equal={"base": 5},
        weights={},
        log10_p={},
        bias={},
        r2=math.nan,
        r2_slices=math.nan,
        origin_r2=math.nan,
        distance_floors={"base": 20.0},
        likeness={"base": 0.99},
    )
    verdict = decide(alone)
    assert (verdict.kind, verdict.numbers["nearest"]) == ("related", "base")
    assert "Two checkpoints alone" in verdict.text


@pytest.mark.levels
def test_what_was_made_from_the_child_is_no_other_relative():
    assert kind(TUNED, descendants=("parent",)) == "related"


@pytest.mark.levels
def test_strange_matrices_are_said_to_be():
    verdict = decide(replace(TUNED, strange_share=0.25))
    assert verdict.kind == "undetermined"
    assert "25.0% of the child lies in matrices that are no relatives" in verdict.text


@pytest.mark.levels
def test_a_grandchild_is_kin_of_the_parent(family):
    found = parentage.trace(family("grandchild"), base=family("base"), parents=[family("parent")])
    assert found.verdict.kind == "related"
    assert found.verdict.numbers["nearest"] == "parent"


@pytest.mark.parametrize(("child", "other"), [("parent", "sibling"), ("sibling", "parent")])
@pytest.mark.levels
def test_a_child_of_the_base_is_a_fine_tune_of_it_beside_a_control(family, child, other):
    found = parentage.trace(family(child), base=family("base"), controls=[family(other)])
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "base"


@pytest.mark.levels
def test_a_base_is_no_fine_tune_of_its_fine_tune(family):
    found = parentage.trace(family("base"), base=family("parent"), parents=[family("sibling")])
    assert found.verdict.kind == "related"


@pytest.mark.parametrize(
    ("child", "parent"), [("parent", "sibling"), ("sibling", "parent"), ("sibling", "grandchild")]
)
@pytest.mark.levels
def test_a_sibling_is_no_parent(family, child, parent):
    found = parentage.trace(family(child), base=family("base"), parents=[family(parent)])
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "base"


@pytest.mark.levels
def test_a_merge_of_others_is_no_merge_of_a_sibling(family):
    found = parentage.trace(family("child"), base=family("base"), parents=[family("sibling")])
    assert "merge" not in found.verdict.kind


@pytest.mark.levels
def test_shuffled_weights_are_unrelated(tmp_path, family, weights):
    random = np.random.default_rng(1)
    shuffled = {
        name: random.permutation(array.reshape(-1)).reshape(array.shape)
        for name, array in weights["child"].items()
    }
    assert trace(tmp_path, family, shuffled).verdict.kind == "unrelated"


@pytest.mark.levels
def test_independent_weights_are_unrelated(tmp_path, family, weights):
    random = np.random.default_rng(2)
    independent = {
        name: random.normal(array.mean(), array.std() + 1e-6, array.shape).astype(BF16)
        for name, array in ((name, x.astype(np.float64)) for name, x in weights["base"].items())
    }
    assert trace(tmp_path, family, independent).verdict.kind == "unrelated"


def swapped(tensors, part):
    """The tensors with those of layers 0 and 1 exchanged whose names hold ``part``."""
    other = {".layers.0.": ".layers.1.", ".layers.1.": ".layers.0."}
    exchanged = {}
    for name, array in tensors.items():
        layer = next((each for each in other if each in name and part in name), None)
        exchanged[name] = array if layer is None else tensors[name.replace(layer, other[layer])]
    return exchanged


@pytest.mark.levels
def test_matrices_moved_about_are_no_relatives_of_those_of_their_names(tmp_path, family, weights):
    found = trace(tmp_path, family, swapped(weights["parent"], "self_attn"))
    assert found.verdict.kind == "assembled"
    assert "no relative of its slices of these names" in found.verdict.text


@pytest.mark.levels
def test_a_checkpoint_whose_layers_were_all_moved_is_not_called_unrelated(
    tmp_path, family, weights
):
    assert trace(tmp_path, family, swapped(weights["parent"], "")).verdict.kind != "unrelated"


@pytest.mark.levels
def test_a_child_of_zeros_is_no_fine_tune(tmp_path, family, weights):
    found = trace(tmp_path, family, {name: np.zeros_like(x) for name, x in weights["base"].items()})
    assert found.verdict.kind in ("undetermined", "unrelated")


def test_a_fine_tune_beside_siblings_is_a_fine_tune(tmp_path):
    found = trace_made(tmp_path, as_stored(FAMILY["three"]), ["one", "two"], ["other"])
    assert found.verdict.kind == "fine-tune"
    assert found.recipe is None
    for name in ("one", "two"):
        assert number(found, f"cells:{name}") is None
        assert found.wide("slices")[f"cells:{name}"].null_count() == found.tables.number_of_slices


def test_a_merge_of_others_is_not_laid_at_the_door_of_relatives(tmp_path):
    found = trace_made(tmp_path, blend(FAMILY, {"one": 0.5, "three": 0.3}), ["two", "other"])
    assert found.verdict.kind in ("fine-tune", "related", "undetermined")
    assert found.recipe is None
    for name in ("two", "other"):
        assert abs(number(found, f"ols:{name}")) < 0.05


def test_a_parent_that_is_the_base_explains_nothing(tmp_path):
    family = {**FAMILY, "same": FAMILY["base"]}
    found = trace_made(tmp_path, as_stored(FAMILY["three"]), ["same"], family=family)
    assert found.verdict.kind in ("fine-tune", "related", "undetermined")
    assert found.recipe is None
    assert number(found, "ols:same") is None
    assert number(found, "cells:same") is None
