"""Merges, and merges that were changed, from what least squares leaves over."""

import math
from dataclasses import replace

import numpy as np
import pytest
from common.facts import ABOVE, BELOW, LINE, MERGE, UNDECIDED, kind
from common.shipped import each, trace
from parentage.verdict import Thresholds, decide

pytestmark = pytest.mark.levels


@pytest.mark.parametrize(
    ("last", "first_beyond"),
    [
        ({"r2_slices": 0.90}, {"r2_slices": 0.90 * BELOW}),
        ({"residual_floors_slices": 1.10}, {"residual_floors_slices": 1.10 * ABOVE}),
        ({"unmoved": 10_000, "stray": 10}, {"unmoved": 10_000, "stray": 11}),
        ({"unmoved": 999, "stray": 999}, {"unmoved": 1000, "stray": 999}),
        ({"weights": {"parent": 0.06}}, {"weights": {"parent": 0.04}}),
        ({"weights": {"parent": -0.06}}, {"weights": {"parent": -0.04}}),
        ({"weights": {"parent": 1.7}}, {"weights": {"parent": math.nan}}),
        ({"log10_p": {"parent": -3.0}}, {"log10_p": {"parent": -3.0 * BELOW}}),
    ],
    ids=lambda change: " ".join(map(str, next(iter(change.items())))),
)
def test_a_merge_ends_at_its_thresholds(last, first_beyond):
    assert kind(MERGE, **last) == "merge"
    assert kind(MERGE, **first_beyond) != "merge"


def test_so_near_to_one_checkpoint_only_unmoved_elements_make_a_merge():
    near = {"base": 20.0, "parent": Thresholds().near}
    farther = {"base": 20.0, "parent": Thresholds().near * ABOVE}
    assert kind(MERGE, distance_floors=near) == "merge"
    assert kind(MERGE, distance_floors=near, unmoved=0) != "merge"
    assert kind(MERGE, distance_floors=farther, unmoved=0) == "merge"


def test_weights_of_the_whole_are_told_only_where_one_blend_explains():
    assert "0.6000 parent + 0.4000 base" in decide(replace(MERGE, residual_floors=1.10)).text
    differing = decide(replace(MERGE, residual_floors=1.11)).text
    assert "differ between slices" in differing
    assert "0.6000" not in differing


def test_a_blend_that_leaves_less_than_rounding_is_no_merge():
    assert kind(MERGE, residual_floors_slices=0.85) == "merge"
    assert kind(MERGE, residual_floors_slices=0.85 * BELOW) == "related"


@pytest.mark.parametrize("both", [None, UNDECIDED])
def test_a_merge_needs_an_order_that_is_decided(both):
    assert kind(MERGE, both_ways=both) == "related"


def test_all_the_weight_on_one_is_no_merge():
    assert kind(MERGE, weights={"parent": 0.94}) == "merge"
    assert kind(MERGE, weights={"parent": 0.96}) != "merge"


def test_a_blend_names_what_it_holds_and_no_more():
    parents = {"weights": {"p": 0.7, "q": -0.2, "r": 0.005}, "log10_p": {"p": -9, "q": -9, "r": -9}}
    more = {
        "distance_floors": {"base": 20.0, "p": 9.0, "q": 9.0, "r": 9.0},
        "bias": dict.fromkeys("pqr", 0.0),
        "likeness": dict.fromkeys(("base", *"pqr"), 0.99),
        "equal": dict.fromkeys(("base", *"pqr"), 0),
    }
    assert "0.7000 p - 0.2000 q + 0.5000 base" in decide(replace(MERGE, **parents, **more)).text
    whole = replace(MERGE, weights={"parent": 1.0})
    assert decide(whole).kind != "merge", "all of one parent is no blend"


def test_between_a_merge_and_a_changed_one_nothing_is_said_of_a_change():
    for residual in (1.1001, 1.9, 2.4999, 5.0):
        verdict = decide(replace(MERGE, residual_floors_slices=residual))
        assert verdict.kind == "related"
        assert "changed" not in verdict.text


def test_a_line_is_no_blend():
    """An R2 alone is that of checkpoints of one run as well."""
    verdict = decide(LINE)
    assert verdict.kind == "related"
    assert "elements sampled 100.0% are what a blend of them gives" in verdict.text


def test_a_merge_that_was_trained_on_is_told_from_a_merge(tmp_path, family, weights):
    random = np.random.default_rng(0)

    def change(child, base, parent):
        step = 0.1 * np.sqrt(np.mean((parent - base) ** 2))
        return child + random.normal(0, step, child.shape)

    tuned = each(change, weights["child"], weights["base"], weights["parent"])
    found = trace(tmp_path, family, tuned)
    assert found.verdict.kind in ("related", "merge-then-changed")
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.02)


def test_a_merge_with_norms_in_float32_is_not_said_to_be_changed(tmp_path, family, weights):
    # As some exporters write them: the norms in float32, the rest in bf16.
    child = {
        name: array.astype(np.float32) if "norm" in name else array
        for name, array in weights["child"].items()
    }
    found = trace(tmp_path, family, child)
    assert found.verdict.kind in ("merge", "related", "undetermined")
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.0012)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_merge_that_was_cast_afterwards_is_not_said_to_be_changed(
    tmp_path, family, weights, dtype
):
    cast = {name: array.astype(dtype) for name, array in weights["child"].items()}
    assert trace(tmp_path, family, cast).verdict.kind in (
        "merge",
        "related",
        "undetermined",
        "re-encoded",
    )
