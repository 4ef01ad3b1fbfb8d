"""Recipes as data: what checkpoints they need, and what each weighs in the end."""

from fractions import Fraction

import pytest
from common.recipes import SETTINGS
from parentage.methods import from_json
from parentage.recipe import Ingredient, Recipe


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


def test_parents_are_named_once_and_the_base_is_one():
    recipe = Recipe(
        "task_arithmetic", (Ingredient("a", 1.0), Ingredient("b", 1.0)), "z", sources={"x": "c"}
    )
    assert recipe.checkpoints == ("a", "b", "z", "c")
    assert "on z" in recipe.describe()


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (of("linear", {"a": 1.0}), "a"),
        (of("linear", {"a": 3.0, "b": 0.0}), "a"),
        (of("linear", {"a": 0.6, "b": 0.4}), None),
        (of("linear", {"a": 2.0}, normalize=False), None),
        (of("linear", {"a": 0.997, "b": 0.003}), None),
        (of("linear", {"a": {"slices": {"x": 1.0, "y": 1.0}}}), "a"),
        (of("linear", {"a": {"gradient": [0.0, 1.0]}, "b": {"gradient": [1.0, 0.0]}}), None),
        (of("task_arithmetic", {"a": 1.0}, "z"), "a"),
        (of("task_arithmetic", {"a": 0.0}, "z"), "z"),
        (of("task_arithmetic", {"a": {"slices": {"x": 0.0, "y": -0.0}}}, "z"), "z"),
        (of("task_arithmetic", {"a": 1.0, "b": 1.0}, "z"), None),
        (of("slerp", {"a": None, "b": None}, t=1.0), "b"),
        (of("slerp", {"a": None, "b": None}, t=0.0), "a"),
        (of("slerp", {"a": None, "b": None}, t=0.35), None),
        (of("nuslerp", {"a": 0.0, "b": 1.0}, vectors="rows"), "b"),
        (of("nuslerp", {"a": 0.4, "b": 0.6}), None),
        (of("karcher", {"a": None, "b": None}), None),
        (Recipe("passthrough", (Ingredient("a"),), sources={"x": "a", "y": "a"}), "a"),
        (Recipe("passthrough", (Ingredient("a"),), None, {"scale": 2.0}, sources={"x": "a"}), None),
    ],
    ids=lambda each: each.describe() if isinstance(each, Recipe) else str(each),
)
def test_a_recipe_that_comes_to_one_checkpoint_says_of_which_it_is_a_copy(recipe, expected):
    assert recipe.copy_of == expected


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (of("linear", {"a": 3, "b": 2}), "0.6 a + 0.4 b (weights 3, 2, divided by their sum),"),
        (of("linear", {"a": 3, "b": 2}, normalize=False), "3 a + 2 b; normalize false,"),
        (of("linear", {"a": 1.5, "b": -0.5}), "linear of 1.5 a - 0.5 b,"),
        (of("linear", {"a": {"slices": dict.fromkeys("xyz", 0.6) | {"w": -0.0}}}), "0.6 (but w 0)"),
        (of("linear", {"a": {"slices": {"x": -0.0, "y": 0.6}}}), "0 to 0.6 by slice"),
    ],
)
def test_weights_are_told_as_shares(recipe, expected):
    assert expected in recipe.describe()
    assert "-0 " not in recipe.describe()


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({}, None),
        ({"a": (0, 2, 4, 5), "b": (0, 2, 4, 5)}, "; layers 0, 2, 4, 5, in"),
        ({"a": (0, 2, 4, 5)}, "; layers 0, 2, 4, 5 of a, in"),
        ({"a": (2, 1, 0), "b": (0, None, 3)}, "; layers 2 down to 0 of a, layers 0, 3 of b, in"),
        ({"a": (1,), "b": (1,)}, "; layer 1, in"),
    ],
)
def test_layers_that_are_taken_are_told_and_kept(layers, said):
    recipe = Recipe(**{**plain_fields(of("linear", {"a": 0.6, "b": 0.4})), "layers": layers})
    assert ("layer" in recipe.describe()) == bool(layers)
    assert said is None or said in recipe.describe()
    assert ("layers" in recipe.as_dict()) == bool(layers)
    assert from_json(recipe.to_json()).layers == layers


def plain_fields(recipe):
    return {name: getattr(recipe, name) for name in Recipe.__dataclass_fields__}


def test_a_copy_whose_layers_moved_is_no_copy():
    recipe = Recipe("passthrough", (Ingredient("a"),), sources={"x": "a"})
    assert recipe.copy_of == "a"
    assert Recipe(**{**plain_fields(recipe), "layers": {"a": (1, 0)}}).copy_of is None


def test_a_copy_that_copies_some_of_the_same_is_a_copy():
    alone = Recipe("linear", (Ingredient("a", 0.999),), sources={"x": "a"})
    assert alone.nearly_copy_of(0.01) == "a"
    other = Recipe("linear", (Ingredient("a", 0.999),), sources={"x": "b"})
    assert other.nearly_copy_of(0.01) is None
