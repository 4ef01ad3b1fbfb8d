"""Recipes as data: saved, read back, said to mergekit, resolved for slices."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import yaml
from parentage.align import Slice
from parentage.methods import (
    for_mergekit,
    from_json,
    open_recipe,
    to_mergekit,
    to_yaml,
    with_filters,
)
from parentage.recipe import Ingredient, Recipe, gradient, resolve, show
from parentage.support import RecipeError

LINEAR = {
    "method": "linear",
    "parents": [{"name": "a", "weight": 0.6}, {"name": "b", "weight": 0.4}],
}
SETTINGS = {
    "number": 0.25,
    "whole": 1,
    "gradient": {"gradient": [0.1, 0.5, 0.9]},
    "components": {"components": {"mlp": 0.5, "norm": 1.0}},
    "slices": {"slices": {"model.layers.0.mlp.up_proj.weight": 0.125}},
    "nothing": None,
}


def read(**changes):
    return from_json(json.dumps({**LINEAR, **changes}))


def slices(*names):
    from parentage.checkpoint import component_of, layer_of

    return [
        Slice(name, component_of(name), layer_of(name), None, (2,), "BF16", 2, ()) for name in names
    ]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_a_recipe_comes_back_from_json_as_it_was(setting):
    recipe = Recipe(
        "task_arithmetic",
        (Ingredient("org/a", setting, 1e-7), Ingredient("b \u2028\x1b é", 0.1, None, 0.5)),
        "base",
        {} if setting is None else {"lambda": setting},
        "float32",
        "F16",
        {"t": {"x.weight": 0.1 + 0.2}},
        {},
        {"x.weight": "org/a"},
        ("linear (float32)",),
    )
    text = recipe.to_json()
    assert from_json(text) == recipe
    assert from_json(text).to_json() == text


def test_flags_words_and_matrices_come_back_too():
    left, right = np.arange(6, dtype=np.float32).reshape(3, 2), np.full((2, 4), 1e-40, np.float32)
    recipe = Recipe("linear", (Ingredient("a", 1.0),), None, {"normalize": False})
    recipe = Recipe(**{**_fields(recipe), "matrices": {"x": (left, right)}})
    found = from_json(recipe.to_json())
    assert found.parameters == {"normalize": False}
    assert np.array_equal(found.matrices["x"][0], left)
    assert np.array_equal(found.matrices["x"][1], right)


def _fields(recipe):
    return {name: getattr(recipe, name) for name in Recipe.__dataclass_fields__}


def test_evidence_holds_a_recipe_or_says_that_it_does_not(tmp_path):
    evidence = {"schema": "parentage.evidence/1", "recipe": {**LINEAR, "exact_share": 1.0}}
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(evidence))
    assert open_recipe(path).checkpoints == ("a", "b")
    path.write_text(json.dumps({**evidence, "recipe": None}))
    with pytest.raises(RecipeError, match="holds no recipe"):
        open_recipe(path)


@pytest.mark.parametrize(
    ("text", "told"),
    {
        "empty": ("", "not JSON"),
        "cut short": (json.dumps(LINEAR)[:-5], "not JSON"),
        "yaml": ("merge_method: linear", "not JSON"),
        "nested": ("[" * 200_000, "not JSON"),
        "nested objects": ('{"a":' * 200_000, "not JSON"),
        "many digits": (
            '{"method": "linear", "parents": [{"name": "a", "weight": ' + "9" * 5000,
            "not JSON",
        ),
        "a list": ("[]", "is an object"),
        "a number": ("0.6", "is an object"),
        "null": ("null", "is an object"),
    }.values(),
    ids=lambda each: each if len(each) < 30 else "text",
)
def test_text_that_is_no_recipe_is_refused(text, told):
    with pytest.raises(RecipeError, match=told):
        from_json(text, "origin.json")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": "parentage.recipe/9"}, "schema"),
        ({"method": "alchemy"}, "unknown method 'alchemy'"),
        ({"method": None}, "unknown method"),
        ({"method": ["linear"]}, "unknown method"),
        ({"parents": []}, "at least one"),
        ({"parents": None}, "at least one"),
        ({"parents": {"a": 0.6}}, "at least one"),
        ({"parents": ["a"]}, r"parents\[0\]"),
        ({"parents": [{"weight": 1.0}]}, r"parents\[0\]"),
        ({"parents": [{"name": 3}]}, r"parents\[0\]"),
        ({"parents": [{"name": "a", "wieght": 1.0}]}, "wieght"),
        ({"parents": [{"name": "a", "weight": math.nan}]}, "finite"),
        ({"parents": [{"name": "a", "weight": math.inf}]}, "finite"),
        ({"parents": [{"name": "a", "weight": 10**400}]}, "finite"),
        ({"parents": [{"name": "a", "weight": True}]}, "finite"),
        ({"parents": [{"name": "a", "weight": "0.6"}]}, "finite"),
        ({"parents": [{"name": "a", "weight": [0.6]}]}, "finite"),
        ({"parents": [{"name": "a", "weight": {}}]}, "gradient"),
        ({"parents": [{"name": "a", "weight": {"gradient": []}}]}, "gradient"),
        ({"parents": [{"name": "a", "weight": {"gradient": {"0": 1.0}}}]}, "gradient"),
        ({"parents": [{"name": "a", "weight": {"gradient": [0.1, math.nan]}}]}, "finite"),
        ({"parents": [{"name": "a", "weight": {"slices": [0.1]}}]}, "slices"),
        ({"parents": [{"name": "a", "weight": {"layers": {"0": 0.1}}}]}, "slices"),
        ({"parents": [{"name": "a", "density": "half"}]}, "density"),
        ({"parents": [{"name": "a", "uncertainty": math.inf}]}, "uncertainty"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"lambda": 1.0}}, "no parameter 'lambda'"),
        ({"parameters": {"normalize": None}}, "normalize"),
        ({"arithmetic": "float8"}, "no arithmetic 'float8'"),
        ({"arithmetic": []}, "no arithmetic"),
        ({"arithmetic": None}, "no arithmetic"),
        ({"out_dtype": "I8"}, "out_dtype"),
        ({"out_dtype": []}, "out_dtype"),
        ({"base": 3}, "base"),
        ({"fitted": {"t": {"x": math.nan}}}, "fitted"),
        ({"fitted": {"t": [1.0]}}, "fitted"),
        ({"fitted": []}, "fitted"),
        ({"sources": {"x": 1}}, "sources"),
        ({"sources": []}, "sources"),
        ({"equivalents": None}, "equivalents"),
        ({"equivalents": [1]}, "equivalents"),
        ({"matrices": []}, "matrices"),
        ({"matrices": {"x": 1}}, "pair of matrices"),
        ({"matrices": {"x": [[[1.0]]]}}, "pair of matrices"),
        ({"matrices": {"x": [[[1.0], [1.0, 2.0]], [[1.0]]]}}, "pair of matrices"),
        ({"matrices": {"x": [[[1.0]], [[1.0], [2.0]]]}}, "do not multiply"),
        ({"matrices": {"x": [[1.0], [1.0]]}}, "do not multiply"),
        ({"matrices": {"x": [[[1e300]], [[1.0]]]}}, "not finite in float32"),
        ({"matrices": {"x": [[[10**400]], [[1.0]]]}}, "matri"),
        ({"matrices": {"x": [[[math.nan]], [[1.0]]]}}, "not finite in float32"),
    ],
    ids=lambda each: json.dumps(each)[:60] if isinstance(each, dict) else "",
)
def test_what_a_recipe_can_not_say_is_refused_and_named(changes, told):
    with pytest.raises(RecipeError, match=told) as caught:
        read(**changes)
    assert str(caught.value).startswith("recipe: ")


def test_a_file_that_can_not_be_read_is_an_error_that_names_it(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.json"):
        open_recipe(tmp_path / "none.json")
    with pytest.raises(RecipeError):
        open_recipe(tmp_path)
    (tmp_path / "latin").write_bytes(b"\xff\xfe{")
    with pytest.raises(RecipeError, match="latin: not JSON"):
        open_recipe(tmp_path / "latin")


def test_a_gradient_is_piecewise_linear_over_the_layers_of_the_body():
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(5)]
    found = resolve({"gradient": [0.0, 1.0, 0.5]}, slices(*names))
    assert found.tolist() == [0.0, 0.5, 1.0, 0.75, 0.5]
    assert resolve({"gradient": [0.3]}, slices(*names)).tolist() == [0.3] * 5
    # What is in no layer, and towers beside the language model, are at the beginning.
    outside = slices("lm_head.weight", "model.norm.weight", "visual.blocks.7.mlp.fc1.weight")
    assert resolve({"gradient": [0.1, 0.9]}, outside).tolist() == [0.1] * 3
    # mergekit takes the only layer of a model for its last.
    assert resolve({"gradient": [0.1, 0.9]}, slices("h.0.mlp.c_fc.weight")).tolist() == [0.9]


def test_gradients_are_evaluated_in_mergekit_s_operations():
    assert gradient([0.1, 0.9], 1 / 3) == (1 - 1 / 3) * 0.1 + 1 / 3 * 0.9
    assert gradient([0.1, 0.9], 1.0) == 0.9


def test_settings_by_component_and_by_slice_leave_the_rest_open():
    known = slices("model.layers.0.mlp.up_proj.weight", "model.norm.weight")
    for setting in ({"components": {"mlp": 0.5}}, {"slices": {known[0].name: 0.5}}):
        first, second = resolve(setting, known)
        assert first == 0.5
        assert math.isnan(second)


def test_settings_are_shown_in_few_characters():
    assert show(0.6) == "0.6"
    assert show(True) == "true"
    assert show({"gradient": [0.1, 0.9]}) == "[0.1, 0.9]"
    assert show({"components": {"mlp": 0.5}}) == "{mlp 0.5}"
    assert show({"slices": {"a": 0.1, "b": 0.9}}) == "0.1 to 0.9 by slice"


def test_mergekit_s_yaml_says_the_same():
    recipe = Recipe(
        "linear",
        (
            Ingredient("org/a", {"gradient": [0.1, 1e-06]}),
            Ingredient("b: #1 é\U0001f600\x7f", 4e-7),
        ),
        None,
        {"normalize": False},
        "float32-fma",
    )
    found = yaml.safe_load(to_mergekit(recipe, {"org/a": "/models/a"}))
    assert found == {
        "merge_method": "linear",
        "models": [
            {"model": "/models/a", "parameters": {"weight": [0.1, 1e-06]}},
            {"model": "b: #1 é\U0001f600\x7f", "parameters": {"weight": 4e-7}},
        ],
        "parameters": {"normalize": False},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


NAMES = [
    *("plain", "org/name", "./a", "../b", "~/c", "a_b", "_x", "-1", ".5", ".inf", "1e3", "0x1f"),
    *("~", "-", "---", "...", "null", "Null", "yes", "No", "on", "y", "a:b", "a#", "a #b", "a: b"),
    *("@x", "!x", "&x", "*x", "%x", "|x", ">x", "'x", '"x', "{x", "[x", ",x", "?x", "=", "<<"),
    *("1_000", "12:30:45", "2024-01-01", "", " a", "a b", "a\nb", "a\x00b", "a\x1b", "a\x7f"),
    *("\xe9", "\u2028", "\ufeff", "\x85", "\U0001f600"),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_stays_itself_in_yaml(name):
    assert yaml.safe_load(to_yaml({"a": {"b": name}, "c": [name]})) == {
        "a": {"b": name},
        "c": [name],
    }


@pytest.mark.parametrize("number", [0.6, 1e-6, 1.5e-7, 1e22, -3.0, 5e-324, 0.1 + 0.2, 7, 10**20])
def test_any_number_stays_itself_in_yaml(number):
    assert yaml.safe_load(to_yaml({"a": number})) == {"a": number}


def test_yaml_without_a_reader_of_yaml():
    assert to_yaml({"a": 1e-6, "b": ["x y", ".5", True]}) == 'a: 1.0e-06\nb: ["x y", ".5", true]\n'
    assert to_yaml({"a": [{"b": 1.0, "c": {"d": 2.0}}]}) == "a:\n- b: 1.0\n  c:\n    d: 2.0\n"


def test_weights_by_component_become_filters():
    recipe = Recipe("linear", (Ingredient("a", {"components": {"mlp": 0.5}}),))
    with pytest.raises(RecipeError, match="component"):
        to_mergekit(recipe)
    known = slices("model.layers.0.mlp.up_proj.weight", "model.norm.weight")
    weight = with_filters(recipe, known).ingredients[0].weight
    assert weight == {"slices": {known[0].name: 0.5}}
    assert for_mergekit(weight) == [{"filter": known[0].name, "value": 0.5}]


def of(method, weights, base=None, **parameters):
    ingredients = tuple(Ingredient(name, weight) for name, weight in weights.items())
    return Recipe(method, ingredients, base, parameters)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (of("linear", {"a": 3, "b": 2}), {"a": "3/5", "b": "2/5"}),
        (of("linear", {"a": 0.6, "b": 0.4}), {"a": "3/5", "b": "2/5"}),
        (of("linear", {"a": 1.5, "b": -0.5}), {"a": "3/2", "b": "-1/2"}),
        (of("linear", {"a": 3.0, "b": 5.0}, normalize=True), {"a": "3/8", "b": "5/8"}),
        (of("linear", {"a": 3.0, "b": 2.0}, normalize=False), {"a": "3", "b": "2"}),
        (of("linear", {"a": 0.5, "z": 1.0}, normalize=False), {"a": "1/2", "z": "1"}),
        (of("task_arithmetic", {"a": 0.3, "b": 0.5}, "z"), {"a": "0.3", "b": "0.5", "z": "0.2"}),
        (of("task_arithmetic", {"a": 1.5}, "z"), {"a": "3/2", "z": "-1/2"}),
        (
            of("task_arithmetic", {"a": 0.3, "b": 0.5}, "z", **{"lambda": 0.8}),
            {"a": "0.24", "b": "0.4", "z": "0.36"},
        ),
        (
            of("task_arithmetic", {"a": 0.25}, "z", **{"lambda": 2}),
            {"a": "1/2", "z": "1/2"},
        ),
        (
            of("task_arithmetic", {"a": 0.3, "b": 0.5}, "z", normalize=True),
            {"a": "3/8", "b": "5/8", "z": "0"},
        ),
        (
            of("task_arithmetic", {"a": 1.0, "b": 3.0}, "z", normalize=True, **{"lambda": 0.5}),
            {"a": "1/8", "b": "3/8", "z": "1/2"},
        ),
        (
            of("task_arithmetic", {"a": 0.3, "b": 0.5}, "z", normalize=False, **{"lambda": 0.5}),
            {"a": "0.15", "b": "0.25", "z": "0.6"},
        ),
        # mergekit divides by nothing where there is nothing to divide by.
        (
            of("task_arithmetic", {"a": 0.5, "b": -0.5}, "z", normalize=True),
            {"a": "1/2", "b": "-1/2", "z": "1"},
        ),
    ],
    ids=lambda each: each.describe() if isinstance(each, Recipe) else "",
)
def test_effective_weights_are_what_checkpoints_weigh_in_the_end(recipe, expected):
    found = recipe.effective_weights
    assert list(found) == list(expected)
    for name, weight in expected.items():
        assert found[name] == pytest.approx(float(Fraction(weight)), rel=1e-15, abs=1e-16)
    if recipe.base is not None:
        assert sum(found.values()) == pytest.approx(1.0, abs=1e-15)
    assert from_json(recipe.to_json()).effective_weights == found


@pytest.mark.parametrize(
    "recipe",
    [
        *(
            of("linear", {"a": SETTINGS[kind], "b": 0.5})
            for kind in ("gradient", "components", "slices", "nothing")
        ),
        of("linear", {"a": {"filters": {"mlp": 0.3, "*": 0.5}}, "b": 0.5}),
        of("task_arithmetic", {"a": SETTINGS["gradient"]}, "z"),
        of("task_arithmetic", {"a": 0.5}, "z", **{"lambda": SETTINGS["gradient"]}),
        of("ties", {"a": 0.5, "b": 0.5}, "z"),
        of("slerp", {"a": None, "z": None}, "z", t=0.5),
        of("nuslerp", {"a": 0.5, "b": 0.5}),
        of("multislerp", {"a": 0.5, "b": 0.5}),
        of("passthrough", {"a": None}, scale=0.7),
    ],
    ids=lambda recipe: recipe.describe(),
)
def test_weights_that_are_no_one_number_each_have_no_effective_ones(recipe):
    assert recipe.effective_weights is None


def test_effective_weights_of_evidence_are_read_over():
    told = json.loads(of("task_arithmetic", {"a": 0.3}, "z", **{"lambda": 0.5}).to_json())
    for each in told["parents"]:
        each["effective_weight"] = 0.99
    recipe = from_json(json.dumps(told))
    assert recipe.effective_weights == pytest.approx({"a": 0.15, "z": 0.85})
    assert "effective_weight" not in recipe.to_json()


def test_parents_are_named_once_and_the_base_is_one():
    recipe = Recipe(
        "task_arithmetic", (Ingredient("a", 1.0), Ingredient("b", 1.0)), "z", sources={"x": "c"}
    )
    assert recipe.checkpoints == ("a", "b", "z", "c")
    assert "on z" in recipe.describe()
