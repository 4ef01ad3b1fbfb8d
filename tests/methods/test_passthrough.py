"""Slices copied from one checkpoint or another, times a scale."""

from dataclasses import replace

import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_described,
    assert_refused,
    carried_out,
    configuration,
    recipe_of,
)
from common.families import F32
from conftest import BF16
from parentage.methods import METHODS, to_mergekit
from parentage.recipe import Recipe
from parentage.support import RecipeError

SOURCES = dict(zip(TINY, ("one", "two", "one"), strict=True))
RECIPE = recipe_of("passthrough", {"one": None, "two": None}, arithmetic="copy", sources=SOURCES)


@pytest.mark.parametrize("scale", [None, 0.7, {"filters": {"mlp": 0.7, "*": 1.0}}], ids=str)
def test_a_slice_is_that_of_its_source_times_its_scale(tmp_path, scale):
    recipe = RECIPE if scale is None else replace(RECIPE, parameters={"scale": scale})
    found = carried_out(tmp_path, recipe)
    for tensor, source in SOURCES.items():
        factor = scale or 1.0
        if isinstance(scale, dict):
            factor = 0.7 if "mlp" in tensor else 1.0
        expected = F32(LITTLE[source][tensor] * F32(factor))
        assert found[tensor].tobytes() == expected.astype(BF16).tobytes()


def test_several_checkpoints_are_put_together_and_one_is_stored_in_another_way():
    method = METHODS["passthrough"]
    assert method.verdict(RECIPE) == "assembled"
    one = replace(RECIPE, sources=dict.fromkeys(SOURCES, "one"), parameters={"scale": 0.7})
    assert method.verdict(one) == "re-encoded"
    assert method.verdict(replace(one, layers={"one": (0,)})) == "assembled"


def stacked(places, moved):
    sources = {f"model.layers.{layer}.w": source for layer, source in enumerate(places)}
    layers = {f"model.layers.{layer}.w": float(at) for layer, at in moved.items()}
    return Recipe(**{**fields(RECIPE), "sources": sources, "fitted": {"layer": layers}})


def fields(recipe):
    return {name: getattr(recipe, name) for name in Recipe.__dataclass_fields__}


def test_mergekit_is_told_runs_of_layers():
    recipe = stacked(["one", "one", "two", "two", "one"], {3: 2, 4: 2})
    found = configuration(replace(recipe, parameters={"scale": 0.5}))
    runs = [
        (source["model"], *source["layer_range"], source["parameters"]["scale"])
        for each in found["slices"]
        for source in each["sources"]
    ]
    # A layer that comes twice begins a run of its own.
    assert runs == [
        ("one", 0, 2, 0.5),
        ("two", 2, 3, 0.5),
        ("two", 2, 3, 0.5),
        ("one", 2, 3, 0.5),
    ]
    assert (found["merge_method"], found["dtype"]) == ("passthrough", "bfloat16")


def test_what_mergekit_can_not_say_is_refused():
    with pytest.raises(RecipeError, match="needs layers"):
        to_mergekit(replace(RECIPE, sources={"model.norm.weight": "one"}))
    mixed = {"model.layers.0.a": "one", "model.layers.0.b": "two"}
    with pytest.raises(RecipeError, match="layer 0 is of more than one"):
        to_mergekit(replace(RECIPE, sources=mixed))
    stack = stacked(["one", "two"], {})
    ends = {"model.embed_tokens.weight": "one", "model.norm.weight": "two"}
    assert configuration(replace(stack, sources={**stack.sources, **ends}))["slices"]
    for name, other in (("model.embed_tokens.weight", "two"), ("model.norm.weight", "one")):
        with pytest.raises(RecipeError, match="mergekit takes it from"):
            to_mergekit(replace(stack, sources={**stack.sources, **ends, name: other}))
    with pytest.raises(RecipeError, match="not say of all layers"):
        to_mergekit(replace(stack, sources={"model.layers.1.w": "one"}))


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, sources={}), "sources name no slice")
    assert_refused(replace(RECIPE, arithmetic="float32"), "no arithmetic")
    assert_refused(replace(RECIPE, parameters={"scale": True}), "scale is true")


def test_layers_by_checkpoint_are_told_mergekit_as_those_by_slice_are():
    places = ["one", "two", "two", "one"]
    by_slice = stacked(places, {1: 0, 2: 1, 3: 1})
    layers = {"one": (0, 1, 2, 1), "two": (0, 0, 1, 3)}
    assert configuration(replace(by_slice, fitted={}, layers=layers)) == configuration(by_slice)
