"""Checkpoints of a recipe are found by name, and nowhere outside."""

from dataclasses import replace

import pytest
from common import adapters
from common.two_parents import RECIPE, invoke
from parentage import Recipe, RecipeError
from parentage.recipe import Addition, Ingredient
from parentage.replay import checkpoint_order, locate_checkpoints, open_parents


def test_checkpoints_are_found_by_name(merged, monkeypatch):
    names = {name: merged / name for name in ("one", "two")}
    offered = [str(merged / "two"), str(merged / "one")]
    elsewhere = merged / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert locate_checkpoints(RECIPE, offered, elsewhere) == {k: str(v) for k, v in names.items()}
    assert locate_checkpoints(RECIPE, [], merged) == names
    assert locate_checkpoints(RECIPE, [f"two={merged / 'child'}"], merged)["two"] == str(
        merged / "child"
    )
    monkeypatch.chdir(merged)
    assert locate_checkpoints(RECIPE, [], elsewhere)["one"].resolve() == names["one"]


def test_a_checkpoint_that_is_not_found_is_named_with_the_way_to_offer_it(merged, capsys):
    folder = merged / "elsewhere"
    folder.mkdir()
    recipe = folder / "recipe.json"
    recipe.write_text(RECIPE.to_json())
    child = ["--against", merged / "child"]
    cases = [
        ([], ["'one'", "--from PATH", "--from one=PATH"]),
        (["--from", merged / "one"], ["'two'", "--from two=PATH"]),
        (["--from", merged / "child"], ["called 'child'", "'one', 'two'", "one="]),
        (["--from", merged / "one", "--from", f"one={merged / 'two'}"], ["already offered"]),
        (["--from", merged / "none"], ["none"]),
        (["--from", "two="], ["two=", "no path"]),
    ]
    for options, expected in cases:
        status, out, err = invoke(capsys, "replay", recipe, *options, *child)
        assert (status, out) == (1, "")
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1
        for each in expected:
            assert each in err


def test_a_recipe_s_names_lead_to_no_place_outside(merged):
    for name in (str(merged / "one"), "../one", "a/../../one"):
        recipe = Recipe("linear", (Ingredient(name, 1.0),))
        with pytest.raises(RecipeError, match="offer it with --from"):
            locate_checkpoints(recipe, [], merged)
    recipe = Recipe("linear", (Ingredient("org=x/one", 1.0),))
    assert locate_checkpoints(recipe, [f"org=x/one={merged / 'one'}"], merged) == {
        "org=x/one": str(merged / "one")
    }


def test_what_names_a_checkpoint_is_handed_on_as_it_is(merged):
    given = ["one=hf://org/model@main", "two=https://host//a"]
    assert locate_checkpoints(RECIPE, given, merged) == {
        "one": "hf://org/model@main",
        "two": "https://host//a",
    }


def test_parents_are_those_of_the_recipe(merged):
    with pytest.raises(RecipeError, match="'two'"):
        RECIPE.replay({"one": merged / "one"}, merged / "child")
    with pytest.raises(RecipeError, match="'three'"):
        RECIPE.replay(dict.fromkeys(("one", "two", "three"), merged / "one"), merged / "child")
    based = Recipe("task_arithmetic", (Ingredient("one", 1.0),), "two")
    assert checkpoint_order(based) == ("two", "one")
    assert checkpoint_order(RECIPE) == ("one", "two")


def test_adapters_are_added_to_the_base_once(tmp_path):
    model = adapters.base()
    factors = adapters.adapter(model, 2)
    adapters.write(tmp_path / "model", model)
    adapters.write(tmp_path / "lora", factors)
    adapters.write(tmp_path / "child", adapters.merged(model, factors, 2.0))
    scales = dict.fromkeys(adapters.modules(factors), 2.0)
    copied = dict.fromkeys(model, "lora")
    for scale in (2.0, scales):
        recipe = Recipe(
            "passthrough",
            (Ingredient("lora"),),
            arithmetic="copy",
            sources=copied,
            adapters={"lora": Addition("model", scale)},
        )
        assert checkpoint_order(recipe) == ("lora", "model")
        opened = open_parents(recipe, {name: tmp_path / name for name in ("lora", "model")})
        assert opened["lora"].tensors["model.layers.0.mlp.up_proj.weight"].dtype == "F32"
        assert recipe.replay(opened, tmp_path / "child").mismatched == 0
    lacking = replace(recipe, adapters={"lora": Addition("model", {"x": 2.0})})
    with pytest.raises(RecipeError, match=r"no scale of 'lora' for model\.layers\.0"):
        open_parents(lacking, {name: tmp_path / name for name in ("lora", "model")})
