"""What a comparison leaves out is told, both ways, and fails where a mismatch fails."""

import json

import numpy as np
import pytest
from common.two_parents import (
    RECIPE,
    SHAPES,
    blend,
    fields,
    invoke,
    places,
    random_tensors,
    sources,
)
from conftest import BF16, write_checkpoint
from parentage import Recipe
from parentage.recipe import Ingredient

ELEMENTS = sum(int(np.prod(shape)) for shape in SHAPES.values())
EXACT = Recipe(**fields(arithmetic="float32"))


def child():
    return blend(random_tensors(1), random_tensors(2))


def fragment():
    return {"lm_head.weight": child()["lm_head.weight"]}


def without_layer():
    return {name: x for name, x in child().items() if "layers.1" not in name}


def wider():
    return {name: x.astype(np.float32) if x.dtype == BF16 else x for name, x in child().items()}


def of_another_shape():
    tensors = child()
    tensors["lm_head.weight"] = tensors["lm_head.weight"].reshape(12, 32)
    return tensors


def with_more():
    return {**child(), "more.weight": np.ones(3, BF16)}


def with_other_integers():
    return {**child(), "model.position_ids": np.arange(8, dtype=np.int64)[::-1].copy()}


def with_empty():
    return {**child(), "lm_head.weight": np.ones((0,), BF16)}


def with_nan():
    tensors = child()
    tensors["model.norm.weight"][3:5] = np.nan
    return tensors


CASES = {
    fragment: "lacking in other: 5 tensors",
    without_layer: "lacking in other: 1 tensor",
    wider: "of another dtype, 7 slices: F32, and the recipe writes BF16",
    of_another_shape: "of shape [16, 24], and the child's is [12, 32]",
    with_more: "not compared, of other: 1 tensor",
    with_other_integers: "it is not that of one",
    with_empty: "lacking in other: 1 tensor",
    with_nan: "2 elements of the child are NaN there, the first in model.norm.weight",
}


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_child_that_is_not_all_of_it_is_told_and_fails(merged, capsys, make):
    write_checkpoint(merged / "other", make())
    arguments = ["replay", merged / "recipe.json", *sources(merged), "--against", merged / "other"]
    status, out, _ = invoke(capsys, *arguments)
    assert status == 0
    assert CASES[make] in out
    assert "all of other" not in out
    assert invoke(capsys, *arguments, "--fail-on-mismatch")[0] == 3
    told = json.loads(invoke(capsys, *arguments, "--json")[1])["replay"]
    assert told["agrees"] is False


def test_coverage_is_of_the_child_and_of_what_the_recipe_makes(merged):
    write_checkpoint(merged / "other", fragment())
    found = EXACT.replay(places(merged), merged / "other")
    assert (found.elements, found.mismatched, found.made) == (16 * 24, 0, ELEMENTS)
    assert {each.tensor for each in found.coverage.missing} == {
        *SHAPES, "model.position_ids"
    } - {"lm_head.weight"}  # fmt: skip
    whole = EXACT.replay(places(merged), merged / "child")
    assert (whole.made, whole.coverage.missing, whole.agrees) == (ELEMENTS, (), True)
    assert [each.name for each in whole.coverage.copied] == ["model.position_ids"]


def test_what_a_recipe_says_nothing_about_is_the_reference_s_or_left(merged):
    ingredients = (Ingredient("one", {"components": {"mlp": 0.6}}), Ingredient("two", 0.4))
    silent = Recipe(**fields(arithmetic="float32", ingredients=ingredients))
    one = random_tensors(1)
    kept = {name: x if ".mlp." not in name else child()[name] for name, x in one.items()}
    write_checkpoint(merged / "kept", kept)
    del kept["model.norm.weight"]
    write_checkpoint(merged / "cut", kept)
    found = silent.replay(places(merged), merged / "kept")
    assert found.coverage.is_whole == (found.coverage.left == ())
    assert {each.name for each in found.coverage.copied} >= {"lm_head.weight", "model.norm.weight"}
    found = silent.replay(places(merged), merged / "cut")
    assert [each.tensor for each in found.coverage.missing] == ["model.norm.weight"]
    found = silent.replay(places(merged), merged / "child")
    assert (
        "is not that of one"
        in {each.tensor: each.reason for each in found.coverage.left}["lm_head.weight"]
    )


def test_a_recipe_that_moves_layers_makes_no_layer_that_it_drops(merged):
    moved = Recipe(
        **fields(
            arithmetic="float32", ingredients=(Ingredient("one", 1.0),),
            fitted={"layer": {"model.layers.0.mlp.up_proj.weight": 0.0}},
        )
    )  # fmt: skip
    tensors = {name: x for name, x in random_tensors(1).items() if "layers.1" not in name}
    write_checkpoint(merged / "pruned", tensors)
    found = moved.replay({"one": merged / "one"}, merged / "pruned")
    assert found.coverage.missing == ()
    assert found.agrees


def test_equal_nan_are_reproduced_and_not_told(merged):
    one, two = random_tensors(1), random_tensors(2)
    for tensors in (one, two):
        tensors["model.norm.weight"][:] = np.nan
    write_checkpoint(merged / "one", one)
    write_checkpoint(merged / "two", two)
    write_checkpoint(merged / "child", blend(one, two))
    found = EXACT.replay(places(merged), merged / "child")
    assert (found.agrees, found.nan) == (True, 0)
    assert RECIPE.checkpoints == ("one", "two")


def test_each_slice_is_to_have_the_dtype_that_the_recipe_writes_there(merged):
    norm = "model.norm.weight"
    two_dtypes = Recipe(**fields(arithmetic="float32", out_dtypes={norm: "F32"}))
    two_dtypes.write(places(merged), merged / "written")
    found = two_dtypes.replay(places(merged), merged / "written")
    assert (found.coverage.other_dtypes, found.agrees) == ((), True)
    found = two_dtypes.replay(places(merged), merged / "child")
    assert found.coverage.other_dtypes == ((norm, "BF16"),)
