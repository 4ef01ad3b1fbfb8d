"""Configurations of mergekit are recipes where they merge whole models; else it is said why not."""

import json

import pytest
from common.two_parents import RECIPE, blend, fields, invoke, random_tensors, sources
from conftest import write_checkpoint
from parentage import Recipe, RecipeError
from parentage.methods import METHODS

LINEAR = """
merge_method: linear
models:
- model: one
  parameters: {weight: 0.6}
- model: two
  parameters: {weight: 0.4}
dtype: float32
out_dtype: bfloat16
"""


def test_what_is_written_for_mergekit_is_read_again():
    recipe = Recipe(**fields(arithmetic="float32-fma"))
    again = Recipe.from_json(recipe.to_mergekit())
    assert (again.ingredients, again.arithmetic, again.out_dtype) == (
        recipe.ingredients, recipe.arithmetic, recipe.out_dtype
    )  # fmt: skip


def test_a_configuration_is_replayed_from_the_command_line(merged, capsys):
    (merged / "config.yml").write_text(LINEAR.replace("0.4", "0.2"))
    write_checkpoint(merged / "other", blend(random_tensors(1), random_tensors(2), (0.6, 0.2)))
    arguments = ["replay", merged / "config.yml", *sources(merged), "--against", merged / "other"]
    status, out, err = invoke(capsys, *arguments, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["recipe"]["parents"][1]["weight"] == 0.2
    assert json.loads(out)["replay"]["reproduced"] > 0


def test_slices_of_whole_models_are_models_and_the_base_is_no_parent():
    found = Recipe.from_json(
        "base_model: base\ndtype: float32\nmerge_method: task_arithmetic\nmodules:\n  default:\n"
        "    slices:\n    - sources:\n      - layer_range: [0, 6]\n        model: /a/one\n"
        "        parameters: {weight: [0.1, 0.7]}\n      - layer_range: [0, 6]\n"
        "        model: base\nout_dtype: bfloat16\n"
    )
    assert (found.base, found.parents_added) == ("base", ("one",))
    assert found.ingredients[0].weight == {"gradient": [0.1, 0.7]}


@pytest.mark.parametrize(
    "layers",
    [
        {"one": (0, 2, 3), "two": (0, 2, 3)},
        {"one": (0, 1, 1, 2), "two": (3, 2, 1, 0)},
        {"one": (1,)},
    ],
    ids=str,
)
def test_layers_that_are_said_to_mergekit_are_read_again(layers):
    recipe = Recipe(**fields(arithmetic="float32-fma", layers=layers))
    found = Recipe.from_json(recipe.to_mergekit())
    plain = tuple(range(len(layers["one"])))
    assert found.layers == {"one": layers["one"], "two": layers.get("two", plain)}
    assert found.ingredients == recipe.ingredients


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("merge_method: [", "not YAML"),
        ("merge_method: none", "unknown merge_method"),
        (LINEAR.replace("dtype: float32", ""), "names no dtype"),
        (LINEAR + "tokenizer_source: union\n", "tokenizer_source"),
        ("merge_method: linear\ndtype: float32", "names no models"),
        ("merge_method: linear\ndtype: float32\nmodels: 3", "no configuration"),
        ("- merge_method: linear", "no configuration"),
        (
            "merge_method: linear\ndtype: float32\nslices:\n- sources: [{model: a, layer_range: "
            "[0, 4]}]\n- sources: [{model: b, layer_range: [2, 6]}]",
            "stacks layers",
        ),
        (
            "merge_method: linear\ndtype: float32\nslices:\n- sources: [{model: a, layer_range: "
            "[0, 4]}, {model: b, layer_range: [0, 3]}]",
            "of one length",
        ),
        (
            "merge_method: linear\ndtype: float32\nparameters: {weight: [0.1, 0.5]}\nslices:\n"
            "- sources: [{model: a, layer_range: [0, 4]}]\n"
            "- sources: [{model: a, layer_range: [2, 6]}]",
            "what varies",
        ),
    ],
)
def test_what_is_not_read_is_said(text, told):
    with pytest.raises(RecipeError, match=told):
        Recipe.from_json(text, "config.yml")


def test_methods_that_depend_on_the_data_are_left_to_a_trace():
    names = [name for name, method in METHODS.items() if method.fitted]
    assert "slerp" in names
    for name in names:
        with pytest.raises(RecipeError, match="a trace reads them off the child"):
            Recipe.from_json(LINEAR.replace("linear", name))
    assert RECIPE.method not in names
