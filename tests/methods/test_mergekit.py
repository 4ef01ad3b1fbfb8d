"""Recipes said to mergekit, and YAML that every reader takes for the same."""

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from parentage.align import Slice
from parentage.checkpoint import component_of, layer_of
from parentage.methods import for_mergekit, to_mergekit, to_yaml, with_filters
from parentage.recipe import Ingredient, Recipe
from parentage.support import RecipeError


def slices(*names):
    return [
        Slice(name, component_of(name), layer_of(name), None, (2,), "BF16", 2, ()) for name in names
    ]


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


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Cn", "Zl", "Zp", "Zs", "Po"]))
    | st.sampled_from(NAMES)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES)
def test_whatever_is_written_as_yaml_is_read_back_as_it_was(value):
    found = yaml.safe_load(to_yaml(value))
    assert found == value
    # 1 is equal to 1.0 and to True.
    assert repr(found) == repr(value)


def test_long_names_and_keys_and_numbers_of_numpy_are_written():
    long = "a b, " * 1000
    assert yaml.safe_load(to_yaml({long: [long], "\n" + long: long})) == {
        long: [long],
        "\n" + long: long,
    }
    assert to_yaml({"a": np.float64(1e-6)}) == "a: 1.0e-06\n"


def test_what_yaml_can_not_hold_is_refused():
    with pytest.raises(RecipeError, match="YAML"):
        to_yaml({"a": object()})


def test_yaml_is_laid_out_as_mergekit_s_own_examples():
    assert to_yaml({"a": 1e-6, "b": ["x y", "1e3", "n", True]}) == (
        'a: 1.0e-06\nb: [x y, "1e3", "n", true]\n'
    )
    assert to_yaml({"a": [{"b": 1.0, "c": {"d": 2.0}}]}) == "a:\n- b: 1.0\n  c:\n    d: 2.0\n"
    # What stands in two places is written twice.
    shared = [0.5]
    assert to_yaml({"a": shared, "b": shared}) == "a: [0.5]\nb: [0.5]\n"


def test_parameters_that_vary_by_model_are_lists_of_values():
    recipe = Recipe(
        "breadcrumbs",
        (Ingredient("a", 0.5, None, 0.25),),
        "z",
        {"gamma": {"gradient": [0.1, 0.2]}, "lambda": 1},
    )
    assert yaml.safe_load(to_mergekit(recipe))["models"] == [
        {"model": "a", "parameters": {"weight": 0.5, "density": 0.25, "gamma": [0.1, 0.2]}}
    ]


def test_weights_by_component_become_filters():
    recipe = Recipe("linear", (Ingredient("a", {"components": {"mlp": 0.5}}),))
    with pytest.raises(RecipeError, match="component"):
        to_mergekit(recipe)
    known = slices("model.layers.0.mlp.up_proj.weight", "model.norm.weight")
    weight = with_filters(recipe, known).ingredients[0].weight
    assert weight == {"slices": {known[0].name: 0.5}}
    assert for_mergekit(weight) == [{"filter": known[0].name, "value": 0.5}]


def test_mergekit_has_one_dtype():
    recipe = Recipe("linear", (Ingredient("a", 1.0),), out_dtypes={"norm": "F32"})
    with pytest.raises(RecipeError, match="rounds to several"):
        to_mergekit(recipe)


def moving(layers, weights=(0.6, 0.4), method="linear", base=None):
    ingredients = tuple(Ingredient(n, w) for n, w in zip(("one", "two"), weights, strict=False))
    return Recipe(method, ingredients, base, {}, "float32", layers=layers)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list), min_size=1, max_size=12))
def test_slices_of_layers_say_which_layer_is_made_of_which(places):
    one, two = (tuple(each[i] for each in places) for i in (0, 1))
    found = yaml.safe_load(to_mergekit(moving({"one": one, "two": two})))
    assert "models" not in found
    taken = {"one": [], "two": []}
    for part in found["slices"]:
        assert len({end - start for start, end in (x["layer_range"] for x in part["sources"])}) == 1
        for each in part["sources"]:
            taken[each["model"]] += range(*each["layer_range"])
            assert each["parameters"]["weight"] == {"one": 0.6, "two": 0.4}[each["model"]]
    assert (tuple(taken["one"]), tuple(taken["two"])) == (one, two)


def test_a_base_that_is_no_ingredient_has_its_layers_in_slices_too():
    found = yaml.safe_load(
        to_mergekit(moving({"base": (0, 2)}, (0.5,), "task_arithmetic", "base"), {"base": "/b"})
    )
    assert found["base_model"] == "/b"
    ranges = [[(x["model"], x["layer_range"]) for x in each["sources"]] for each in found["slices"]]
    assert ranges == [[("one", [0, 1]), ("/b", [0, 1])], [("one", [1, 2]), ("/b", [2, 3])]]


@pytest.mark.parametrize(
    ("layers", "weight", "told"),
    [
        ({"one": (0, None), "two": (0, 1)}, 0.5, "not made of all models"),
        ({"one": (1, 0), "two": (1, 0)}, {"gradient": [0.1, 0.5]}, "gradient"),
    ],
)
def test_layers_that_mergekit_can_not_say_are_refused(layers, weight, told):
    with pytest.raises(RecipeError, match=told):
        to_mergekit(moving(layers, (weight, 0.4)))
