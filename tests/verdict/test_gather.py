"""Facts of whole families of known making."""

import numpy as np
import parentage
import pytest
from common.shipped import each, trace
from conftest import write_checkpoint

pytestmark = pytest.mark.levels


def test_a_merge_is_found_with_its_weight(family, weights):
    found = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    assert found.verdict.kind == "merge"
    base, parent, child = (
        np.concatenate([weights[name][key].astype(np.float64).ravel() for key in weights["base"]])
        for name in ("base", "parent", "child")
    )
    d, y = parent - base, child - base
    weight, error = found.weights["parent"], found.wide("model")["se:parent"][0]
    assert weight == pytest.approx((d @ y) / (d @ d), rel=1e-12)
    assert weight == pytest.approx(0.6, abs=0.0012)
    assert error < 0.002
    assert found.verdict.numbers["weight_parent"] == 0.6
    assert found.elements == found.elements_total == len(child)
    # Every part of the model tells the same story.
    assert found.wide("layers")["ols:parent"].to_list() == pytest.approx([0.6, 0.6], abs=0.003)


def test_the_weight_of_a_merge_is_as_near_as_is_said(family):
    found = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    weight, error, bias = (
        found.wide("model")[f"{each}:parent"][0] for each in ("ols", "se", "rounding_bias")
    )
    assert abs(weight - 0.6) <= bias + 4 * error


def test_a_merge_seen_from_the_other_side_has_the_other_weight(tmp_path, family, weights):
    found = trace(tmp_path, family, weights["child"], base="parent", parents=["base"])
    assert found.verdict.kind == "merge"
    assert found.weights["base"] == pytest.approx(0.4, abs=0.002)


def test_a_control_changes_no_verdict(family):
    found = parentage.trace(
        family("child"),
        base=family("base"),
        parents=[family("parent")],
        controls=[family("sibling")],
    )
    assert found.verdict.kind == "merge"
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.0012)
    assert abs(found.wide("model")["alone:sibling"][0]) < 0.5


def test_a_merge_of_two_parents_is_found(tmp_path, family, weights):
    blend = each(
        lambda b, p, s: 0.2 * b + 0.5 * p + 0.3 * s,
        *(weights[name] for name in ("base", "parent", "sibling")),
    )
    found = trace(tmp_path, family, blend, parents=["parent", "sibling"])
    assert found.verdict.kind == "merge"
    assert found.weights["parent"] == pytest.approx(0.5, abs=0.01)
    assert found.weights["sibling"] == pytest.approx(0.3, abs=0.01)


def test_a_parent_that_gave_nothing_is_not_in_the_blend(family):
    found = parentage.trace(
        family("child"), base=family("base"), parents=[family("parent"), family("sibling")]
    )
    assert found.verdict.kind == "merge"
    assert "sibling" not in found.verdict.text


def test_weights_of_each_layer_are_found(tmp_path, family, weights):
    base, parent = weights["base"], weights["parent"]
    blend = {}
    for name in base:
        share = 0.3 if ".layers.0." in name else 0.8
        blend |= each(
            lambda b, p, share=share: b + share * (p - b), {name: base[name]}, {name: parent[name]}
        )
    found = trace(tmp_path, family, blend)
    assert found.verdict.kind == "merge"
    assert "(0.3 to 0.8 over the layers) parent" in found.verdict.text
    assert found.wide("layers")["ols:parent"].to_list() == pytest.approx([0.3, 0.8], abs=0.01)


def test_a_copy_of_the_base_is_no_parent(tmp_path, family, weights):
    copy = write_checkpoint(tmp_path / "copy", weights["base"])
    found = trace(tmp_path, family, weights["child"], parents=["parent", copy])
    assert found.verdict.kind == "merge"
    assert "copy" not in found.verdict.text
    assert found.weights["parent"] == pytest.approx(0.6, abs=0.0012)
