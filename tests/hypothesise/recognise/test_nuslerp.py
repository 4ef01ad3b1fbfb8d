"""Spherical interpolation between displacements, or vector by vector."""

import numpy as np
import pytest
import yaml
from common.families import F64, found_in, made, stored
from common.recognised import (
    assert_named,
    best_of,
    counted,
    nothing_is_named,
    same_when_read_again,
)
from common.spheres import FAMILY, SMALL, child_of, displaced, nuslerp, turned_from
from parentage.hypothesise import RECOGNISERS, hypothesise
from parentage.methods import to_mergekit


@pytest.mark.slow
def test_two_displacements_are_named_with_their_weights(tmp_path):
    child = child_of(displaced(nuslerp, ["one", "two"], 0.3), FAMILY)
    best = best_of(tmp_path, FAMILY, child, ["one", "two", "three"])
    weights = {"one": 0.7, "two": 0.3}
    assert_named(best, SMALL, method="nuslerp", base="base", parameters={}, weights=weights)


def test_nuslerp_of_whole_checkpoints_is_slerp(tmp_path):
    child = child_of(lambda x: nuslerp(x("one"), x("two"), 0.3), FAMILY)
    best = best_of(tmp_path, FAMILY, child, ["one", "two"])
    assert best.share >= 0.999
    assert best.recipe.base in (None, "one")
    assert best.recipe.parents_added == ("one", "two")
    assert best.recipe.parameters in ({"t": 0.3}, {})
    named = {best.recipe.method, *(x.split(" ")[0] for x in best.recipe.equivalents)}
    assert named == {"slerp", "nuslerp"}


def test_a_fine_tune_is_on_no_arc(tmp_path):
    f = found_in(tmp_path, FAMILY, stored(FAMILY["three"]), ["one", "two"])
    assert list(RECOGNISERS["nuslerp"].estimate(f)) == []


@pytest.mark.parametrize(
    ("base", "axis", "t"), [(None, -1, 0.35), (None, 0, 0.125), ("base", -1, 0.3), ("base", 0, 0.3)]
)
def test_nuslerp_of_vectors_is_named_with_its_vectors(tmp_path, base, axis, t):
    child = child_of(turned_from(base, ["one", "two"], t, axis), FAMILY)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = hypothesise(f)[0]
    recipe = best.recipe
    vectors = {-1: "rows", 0: "columns"}[axis]
    assert (recipe.method, recipe.arithmetic, recipe.base) == ("nuslerp", "float32", base)
    assert recipe.parameters == {"vectors": vectors}
    weights = {each.name: each.weight for each in recipe.ingredients}
    assert weights == {"one": pytest.approx(1 - t, abs=1e-3), "two": pytest.approx(t, abs=1e-3)}
    assert best.share > 0.999
    assert best.decoy_share < 0.1
    said = yaml.safe_load(to_mergekit(recipe))
    assert said["parameters"] == {"nuslerp_flatten": False, "nuslerp_row_wise": axis == 0}
    assert said.get("base_model") == base
    assert [each["model"] for each in said["models"]] == ["one", "two"]
    # Every vector has its angle, at every one of its elements.
    for name in SMALL:
        x, y = (FAMILY[each][name].astype(F64) for each in ("one", "two"))
        if base is not None:
            x, y = x - FAMILY[base][name], y - FAMILY[base][name]
        along = axis if x.ndim > 1 else -1
        norms = np.linalg.norm(x, axis=along) * np.linalg.norm(y, axis=along)
        angle = np.arccos((x * y).sum(axis=along) / norms)
        left, right = (np.asarray(each) for each in recipe.matrices[name])
        spread = np.expand_dims(angle, along)
        assert left @ right == pytest.approx(np.broadcast_to(spread, np.atleast_2d(x).shape))
    assert same_when_read_again(recipe, f)


def test_rows_of_tensors_are_not_taken_for_tensors(tmp_path):
    """Nothing is named without one of the two, and no vectors where whole tensors were turned."""
    child = child_of(turned_from(None, ["one", "two"], 0.3, -1), FAMILY)
    assert nothing_is_named(found_in(tmp_path / "a", FAMILY, child, ["one"]))
    whole = child_of(lambda x: nuslerp(x("one"), x("two"), 0.3), FAMILY)
    best = best_of(tmp_path / "b", FAMILY, whole, ["one", "two"])
    assert best.share >= 0.999
    assert "vectors" not in best.recipe.parameters


VECTORS = {**SMALL, "model.norm_head.weight": (1, 128), "model.norm_gate.weight": (128, 1)}


@pytest.mark.parametrize(
    "axis",
    [-1, 0],
)
def test_vectors_of_one_element_and_vectors_that_are_alike_are_lines(tmp_path, axis):
    family = made({"one": 0.02, "two": 0.02}, 13, VECTORS)
    # One row that neither moved, one that both have.
    name = "model.layers.0.self_attn.q_proj.weight"
    family["one"][name][5] = family["two"][name][5] = family["base"][name][5]
    family["two"][name][7] = family["one"][name][7]
    child = child_of(turned_from(None, ["one", "two"], 0.3, axis), family)
    f = found_in(tmp_path, family, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.recipe.base) == ("nuslerp", None)
    missed = {name: missed for name, (_, missed) in counted(best.recipe, f).items()}
    assert max(missed.values()) <= 1, missed


def test_rows_that_did_not_move_stay(tmp_path):
    family = made({"one": 0.02, "two": 0.02}, 13, SMALL)
    name = "model.layers.0.self_attn.q_proj.weight"
    for row, names in ((5, ["one", "two"]), (6, ["one"]), (7, ["two"])):
        for each in names:
            family[each][name][row] = family["base"][name][row]
    child = child_of(turned_from("base", ["one", "two"], 0.3, -1), family)
    f = found_in(tmp_path, family, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.recipe.base) == ("nuslerp", "base")
    assert best.recipe.parameters == {"vectors": "rows"}
    assert counted(best.recipe, f)[name][1] <= 1
