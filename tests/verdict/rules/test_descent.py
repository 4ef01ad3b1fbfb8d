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
def test_without_matrices_nothing_is_unrelated():
    nothing = {"base": math.nan, "parent": math.nan}
    assert kind(TUNED, likeness=nothing) == "fine-tune"
    assert kind(MERGE, likeness=nothing) == "merge"


@pytest.mark.parametrize(
    ("last", "first_beyond"),
    [
        ({"origin_r2": 0.30}, {"origin_r2": 0.30 * ABOVE}),
        (
            {"likeness": {"base": 0.50, "parent": 0.9}},
            {"likeness": {"base": 0.4999, "parent": 0.9}},
        ),
        ({"strange_share": 0.01}, {"strange_share": 0.01 * ABOVE}),
    ],
    ids=lambda change: " ".join(map(str, next(iter(change.items())))),
)
@pytest.mark.levels
def test_a_fine_tune_ends_at_its_thresholds(last, first_beyond):
    assert kind(TUNED, **last) == "fine-tune"
    assert kind(TUNED, **first_beyond) == "undetermined"


@pytest.mark.levels
def test_a_fine_tune_within_rounding_of_its_origin_needs_elements_moved_alone():
    near = {"origin_r2": 0.95, "distance_floors": {"base": 1.5, "parent": 15.0}}
    assert kind(TUNED, **near) == "fine-tune"
    assert kind(TUNED, **near, unmoved=0) == "fine-tune"
    assert kind(TUNED, **near, stray=10) == "undetermined"
    farther = {"base": 1.5 * ABOVE, "parent": 15.0}
    assert kind(TUNED, origin_r2=0.95, distance_floors=farther) == "undetermined"


@pytest.mark.levels
def test_without_parents_it_is_the_base_that_was_tuned():
    alone = replace(
        TUNED,
        equal={"base": 5},
        same_dtype={"base": True},
        weights={},
        log10_p={},
        bias={},
        r2=math.nan,
        r2_slices=math.nan,
        origin_r2=math.nan,
        distance_floors={"base": 20.0},
        likeness={"base": 0.99},
        copied={"base": 0},
    )
    verdict = decide(alone)
    assert (verdict.kind, verdict.numbers["parent"]) == ("fine-tune", "base")
    assert "no parent was offered" in verdict.text


@pytest.mark.levels
def test_strange_matrices_are_said_to_be():
    verdict = decide(replace(TUNED, strange_share=0.25))
    assert verdict.kind == "undetermined"
    assert "25.0% of the child lies in matrices that are no relatives" in verdict.text


@pytest.mark.levels
def test_a_grandchild_is_a_fine_tune_of_the_parent(family):
    found = parentage.trace(family("grandchild"), base=family("base"), parents=[family("parent")])
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "parent"


@pytest.mark.parametrize("child", ["parent", "sibling"])
@pytest.mark.levels
def test_a_child_of_the_base_is_a_fine_tune_of_it(family, child):
    found = parentage.trace(family(child), base=family("base"))
    assert found.verdict.kind == "fine-tune"
    assert found.verdict.numbers["parent"] == "base"


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
def test_matrices_moved_about_decide_nothing(tmp_path, family, weights):
    found = trace(tmp_path, family, swapped(weights["parent"], "self_attn"))
    assert found.verdict.kind == "undetermined"
    assert "moved or taken from elsewhere" in found.verdict.text


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
    assert found.verdict.kind in ("fine-tune", "undetermined")
    assert found.recipe is None
    for name in ("two", "other"):
        assert abs(number(found, f"ols:{name}")) < 0.05


def test_a_parent_that_is_the_base_explains_nothing(tmp_path):
    family = {**FAMILY, "same": FAMILY["base"]}
    found = trace_made(tmp_path, as_stored(FAMILY["three"]), ["same"], family=family)
    assert found.verdict.kind in ("fine-tune", "undetermined")
    assert found.recipe is None
    assert number(found, "ols:same") is None
    assert number(found, "cells:same") is None
