"""Means and moving averages are told by their arithmetic, whatever they are rounded to."""

from __future__ import annotations

import numpy as np
import pytest
from common.averages import child_of
from common.families import F16, F32, FAMILY, f16, found_in
from common.recognised import best_of, same_when_read_again
from conftest import BF16
from parentage.checkpoint import component_of
from parentage.hypothesise import hypothesise
from parentage.recipe import resolve

MEAN = {"one": 1.0, "two": 1.0, "three": 1.0}
DECAY = {"base": 0.64, "one": 0.16, "two": 0.2}
CHAIN = {"one": 0.42, "two": 0.28, "three": 0.3}


@pytest.mark.parametrize(
    ("arithmetic", "weights"),
    [
        ("bfloat16-running", MEAN),
        ("bfloat16-step-divided", MEAN),
        ("bfloat16-decay", DECAY),
        ("bfloat16-decay-fma", DECAY),
        ("bfloat16-lerp", CHAIN),
        ("float16-step", DECAY),
        ("float32-decay", MEAN),
        ("float32-lerp", {"one": 0.65, "two": 0.35}),
    ],
)
def test_an_average_is_replayed_bit_for_bit(tmp_path, arithmetic, weights):
    child = child_of(FAMILY, weights, arithmetic)
    parents = [name for name in ("one", "two", "three") if name in weights]
    found = found_in(tmp_path, FAMILY, child, [*parents, "other"])
    best = hypothesise(found)[0]
    assert best.mismatched == 0
    names = {f"{best.recipe.method} ({best.recipe.arithmetic})", *best.recipe.equivalents}
    assert f"linear ({arithmetic})" in names
    effective = best.recipe.effective_weights
    total = sum(weights.values())
    for name, weight in weights.items():
        assert effective[name] == pytest.approx(weight / total, abs=1e-6)
    assert same_when_read_again(best.recipe, found)


@pytest.mark.parametrize("order", [("one", "two", "three"), ("three", "two", "one")])
def test_sums_that_are_divided_are_found_in_either_order(tmp_path, order):
    child = {
        name: f16(
            f16(f16(FAMILY[order[0]][name] + FAMILY[order[1]][name]) + FAMILY[order[2]][name])
            / F32(3)
        ).astype(F16)
        for name in FAMILY["base"]
    }
    best = best_of(
        tmp_path,
        {k: {n: f16(x) for n, x in v.items()} for k, v in FAMILY.items()},
        child,
        ["one", "two", "three"],
    )
    assert best.share > 0.99


def test_a_difference_is_added_to_another_checkpoint(tmp_path):
    one, two, base = (FAMILY[name] for name in ("one", "two", "base"))
    child = {
        name: np.asarray(
            f16(f16(two[name]) + f16(f16(f16(one[name]) - f16(base[name])) * F32(0.7)))
        ).astype(F16)
        for name in base
    }
    best = best_of(tmp_path, FAMILY, child, ["one", "two"])
    assert best.mismatched == 0
    assert best.recipe.arithmetic == "float16-difference"
    assert {x.name: x.weight for x in best.recipe.ingredients} == {
        "two": 1.0,
        "one": 0.7,
        "base": -0.7,
    }


def test_weights_by_component_are_carried_on_and_copies_take_no_part(tmp_path):
    shares = {"embed": 1.0, "attention": 1 / 12, "mlp": 0.5, "norm": 1.0}
    child = {}
    for tensor in FAMILY["base"]:
        share = shares[component_of(tensor)]
        weights = {"two": 1.0 - share, "one": share}
        child |= (
            child_of({n: {tensor: x[tensor]} for n, x in FAMILY.items()}, weights, "float32-lerp")
            if share < 1.0
            else {tensor: FAMILY["one"][tensor].astype(BF16)}
        )
    found = found_in(tmp_path, FAMILY, child, ["one", "two", "other"])
    best = hypothesise(found)[0]
    assert best.mismatched == 0
    assert {each.name for each in best.recipe.ingredients} == {"one", "two"}
    weight = next(each.weight for each in best.recipe.ingredients if each.name == "one")
    expected = [shares[each.component] for each in found.slices]
    assert resolve(weight, found.slices).tolist() == expected


@pytest.mark.parametrize("form", ["decay", "lerp"])
def test_chains_of_three_have_weights_by_component(tmp_path, form):
    """As a graph of nodes merges two, and the result with a third, each part by its own weights."""
    shares = {
        "embed": {"one": 1.0},
        "attention": {"one": 0.45, "two": 0.3, "three": 0.25},
        "mlp": {"one": 0.5, "two": 0.5},
        "norm": {"one": 1.0},
    }
    child = {}
    for tensor in FAMILY["base"]:
        weights = shares[component_of(tensor)]
        part = {n: {tensor: x[tensor]} for n, x in FAMILY.items()}
        child |= (
            {tensor: np.asarray(FAMILY["one"][tensor], F32)}
            if len(weights) == 1
            else child_of(part, weights, f"float32-{form}")
        )
    found = found_in(tmp_path, FAMILY, child, ["one", "two", "three", "other"])
    best = hypothesise(found)[0]
    assert best.mismatched == 0
    assert best.recipe.arithmetic == f"float32-{form}"
    assert {each.name for each in best.recipe.ingredients} == {"one", "two", "three"}
    assert same_when_read_again(best.recipe, found)
