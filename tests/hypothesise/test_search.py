"""Hypotheses: merges in every arithmetic of weighted sums are named as what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from common.families import F32, FAMILY, LAYERS, SHAPES, Tensors, bf16, blend, fma, found_in, made
from common.merges import DELTA, LINEAR, best_of, linear_f32, linear_fma, merged, times
from common.spheres import FAMILY as SPHERES
from common.spheres import RELATED, child_of, karcher
from conftest import BF16
from parentage.checkpoint import component_of, layer_of
from parentage.hypothesise import (
    LEAST_GAIN,
    MOST_STREAMED,
    Hypothesis,
    complexity,
    count_matches,
    has_weights_per_slice,
    hypothesise,
    is_copy,
    select_for_full_pass,
)
from parentage.methods import from_json, to_mergekit
from parentage.recipe import Ingredient, Recipe, gradient, resolve
from parentage.support import RecipeError

ELEMENTS = sum(int(np.prod(shape)) for shape in SHAPES.values())


COARSE = ("bfloat16", "bfloat16-script", "float16-script")


def same(one: Tensors, two: Tensors) -> bool:
    return all(one[t].astype(F32).tobytes() == two[t].astype(F32).tobytes() for t in SHAPES)


def names_of(recipe: Recipe) -> set[str]:
    return {f"{recipe.method} ({recipe.arithmetic})", *recipe.equivalents}


@dataclass
class Case:
    method: str
    arithmetic: str
    weights: dict[str, float]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shares = "-".join(f"{name}{weight:g}" for name, weight in self.weights.items())
        return f"{self.method}-{self.arithmetic}-{shares}"


MANY = {"one": 0.45, "two": 0.33, "three": 0.22}
CASES = [
    *(Case("linear", arithmetic, {"one": 0.6, "base": 0.4}) for arithmetic in LINEAR),
    *(Case("linear", arithmetic, MANY) for arithmetic in ("float32-fma", "float32")),
    Case("linear", "float32-fma", {"one": 1.4, "base": -0.4}),
    Case("linear", "float32-fma", {"one": 3.0, "base": 2.0}),
    *(Case("task_arithmetic", arithmetic, {"one": 0.6}) for arithmetic in DELTA),
    Case("task_arithmetic", "float32", {"one": 0.5, "two": 0.3}),
]
SHORT = {"one": 0.5, "two": 0.3, "three": 0.2}
HARD = [
    *(
        pytest.param(each, marks=pytest.mark.slow)
        for each in (
            Case("linear", "bfloat16", {"one": 3.0, "base": 2.0}),
            Case("task_arithmetic", "bfloat16", {"one": 0.5, "two": 0.3}),
            Case("task_arithmetic", "bfloat16-script", {"one": 0.5, "two": 0.3}),
        )
    ),
    pytest.param(Case("linear", "bfloat16", SHORT), marks=pytest.mark.slow),
    pytest.param(Case("linear", "bfloat16", MANY), marks=pytest.mark.slow),
    pytest.param(Case("linear", "bfloat16-script", MANY), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("case", [*CASES, *HARD], ids=str)
def test_the_arithmetic_is_named_and_nothing_mismatches(tmp_path, case):
    child = merged(case.method, case.arithmetic, case.weights)
    ours = [name for name in case.weights if name != "base"]
    best = best_of(tmp_path, child, [*ours, "other"])
    assert (best.mismatched, best.explained, best.elements) == (0, 0, ELEMENTS)
    assert best.share == 1.0
    assert best.decoy_share < 0.1
    assert best.gain == 1.0
    named = names_of(best.recipe)
    assert f"{case.method} ({case.arithmetic})" in named
    # The weights are those that were written, or in their ratio.
    weights = {each.name: each.weight for each in best.recipe.ingredients}
    assert set(weights) == set(case.weights)
    total, expected = 1.0, 1.0
    if case.method == "linear":
        total, expected = sum(weights.values()), sum(case.weights.values())
    tolerance = 3e-3 if case.arithmetic in COARSE else 1e-6
    for name in ours:
        share = case.weights[name] / expected
        assert weights[name] / total == pytest.approx(share, abs=tolerance)
    # What gives other bytes in numpy is not among the equivalents.
    if weights == case.weights:
        for arithmetic in LINEAR if case.method == "linear" else DELTA:
            if (case.arithmetic, arithmetic) == ("bfloat16-script", "bfloat16"):
                # A weight of 1 times a lambda is, in bf16, what a float32 weight is.
                continue
            if f"{case.method} ({arithmetic})" in named and (len(ours) == 1 or "fma" not in named):
                assert same(child, merged(case.method, arithmetic, weights)), arithmetic


def test_the_cases_are_cases():
    """The arithmetics differ from each other here, so that naming one is saying something."""
    for method, names, weights in (
        ("linear", LINEAR, {"one": 0.6, "base": 0.4}),
        ("linear", LINEAR, MANY),
        ("task_arithmetic", DELTA, {"one": 0.6}),
    ):
        every = {name: merged(method, name, weights) for name in names}
        for one in names:
            for two in names:
                is_lerp = {one, two} == {"float32-fma", "float32-fma-far"}
                if one != two and not is_lerp:
                    assert not same(every[one], every[two]), (method, one, two)


def test_float32_multiply_add_is_rounded_once():
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(0, 1, 2000).astype(F32) for _ in range(3))
    c[::2] = (-a * b)[::2]
    from fractions import Fraction

    for x, y, z, found in zip(a, b, c, fma(a, b, c), strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        near = [found, np.nextafter(found, F32(np.inf)), np.nextafter(found, F32(-np.inf))]
        gaps = [abs(Fraction(float(each)) - exact) for each in near]
        assert gaps[0] == min(gaps)


def test_half_and_half_is_one_class_of_arithmetics(tmp_path):
    child = merged("linear", "float32-fma", {"one": 0.5, "base": 0.5})
    best = best_of(tmp_path, child, ["one"])
    assert best.mismatched == 0
    expected = {f"linear ({x})" for x in ("float32-fma", "float32")} | {
        f"task_arithmetic ({x})" for x in ("float32", "float32-fma", "float32-fma-far")
    }
    assert expected <= names_of(best.recipe)
    assert best.recipe.method == "linear"


def test_unnormalised_sums_are_named(tmp_path):
    child = merged("linear", "float32-fma", {"one": 0.5, "base": 1.0}, normalize=False)
    best = best_of(tmp_path, child, ["one", "two"])
    assert best.mismatched == 0
    assert (best.recipe.method, best.recipe.parameters) == ("linear", {"normalize": False})
    assert {x.name: x.weight for x in best.recipe.ingredients} == {"one": 0.5, "base": 1.0}


def test_unnormalised_sums_of_other_weights_are_named(tmp_path):
    child = merged("linear", "float32-fma", {"one": 0.8, "base": 0.4}, normalize=False)
    best = best_of(tmp_path, child, ["one"])
    assert best.share > 0.999


def test_the_order_of_three_parents_matters_and_is_found(tmp_path):
    weights = {"one": 0.45, "two": 0.33, "three": 0.22}
    seen: list[Tensors] = []
    for i, order in enumerate(list(permutations(weights))[::2]):
        child = merged("linear", "float32-fma", {name: weights[name] for name in order})
        assert not any(same(child, other) for other in seen)
        seen.append(child)
        best = best_of(tmp_path / str(i), child, ["one", "two", "three"])
        assert best.mismatched == 0
        assert best.recipe.parents_added == order
        assert best.recipe.arithmetic == "float32-fma"


@pytest.mark.parametrize("arithmetic", ["float32-fma", "float32"])
def test_a_gradient_is_found(tmp_path, arithmetic):
    def at(values: list[float]) -> Callable[[str], float]:
        def weight(tensor: str) -> float:
            layer = layer_of(tensor)
            return gradient(values, 0.0 if layer is None else layer / (LAYERS - 1))

        return weight

    child = merged("linear", arithmetic, {"one": at([0.2, 0.8]), "base": at([0.8, 0.2])})
    best = best_of(tmp_path, child, ["one"])
    assert best.mismatched == 0
    assert f"linear ({arithmetic})" in names_of(best.recipe)
    weights = {each.name: each.weight for each in best.recipe.ingredients}
    assert weights == {"one": {"gradient": [0.2, 0.8]}, "base": {"gradient": [0.8, 0.2]}}
    assert "weight: [0.2, 0.8]" in to_mergekit(best.recipe)


@pytest.mark.parametrize("arithmetic", ["bfloat16", "bfloat16-script"])
def test_a_gradient_is_found_in_arithmetic_that_rounds_more_than_once(tmp_path, arithmetic):
    def one(tensor: str) -> float:
        layer = layer_of(tensor)
        return gradient([0.2, 0.8], 0.0 if layer is None else layer / (LAYERS - 1))

    child = merged("task_arithmetic", arithmetic, {"one": one})
    best = best_of(tmp_path, child, ["one"])
    assert best.mismatched == 0
    assert f"task_arithmetic ({arithmetic})" in names_of(best.recipe)
    assert [each.weight for each in best.recipe.ingredients] == [{"gradient": [0.2, 0.8]}]


def test_filters_are_found_in_arithmetic_that_rounds_more_than_once(tmp_path):
    def one(tensor: str) -> float:
        return 0.3 if "self_attn" in tensor else 0.8 if "mlp" in tensor else 0.5

    child = merged("task_arithmetic", "bfloat16", {"one": one})
    best = best_of(tmp_path, child, ["one", "other"])
    assert best.mismatched == 0
    assert best.recipe.arithmetic == "bfloat16"
    (weight,) = (each.weight for each in best.recipe.ingredients)
    assert isinstance(weight, dict)
    assert {key: weight["filters"][key] for key in ("self_attn", "mlp", "*")} == {
        "self_attn": 0.3,
        "mlp": 0.8,
        "*": 0.5,
    }


def test_weights_by_component_are_found(tmp_path):
    table = {"embed": 0.5, "attention": 0.3, "mlp": 0.7, "norm": 0.9}

    def one(tensor: str) -> float:
        return table[component_of(tensor)]

    def rest(tensor: str) -> float:
        return 1.0 - one(tensor)

    child = merged("linear", "float32-fma", {"one": one, "base": rest})
    best = best_of(tmp_path, child, ["one", "two"])
    assert best.share > 0.9999
    (found,) = (each.weight for each in best.recipe.ingredients if each.name == "one")
    slices = [SimpleNamespace(name=tensor, component=component_of(tensor)) for tensor in SHAPES]
    for each, value in zip(slices, resolve(found, slices), strict=True):
        if each.component != "norm":
            assert value == table[each.component], each.name


MODULES = {
    "model.embed_tokens.weight": (96, 64),
    **{
        f"model.layers.{layer}.{name}.weight": (64, 64)
        for layer in range(3)
        for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj")
    },
}
NAMED = made({"one": 0.004}, 7, MODULES)


def by_name(table: Mapping[str, float], default: float) -> Tensors:
    """Return a linear merge whose weights are those of the first key that a name contains."""
    out = {}
    for tensor in MODULES:
        one = next((x for key, x in table.items() if key in tensor), default)
        columns = [NAMED["one"][tensor], NAMED["base"][tensor]]
        out[tensor] = linear_fma(columns, [one, round(1.0 - one, 6)]).astype(BF16)
    return out


@pytest.mark.parametrize(
    "table",
    [{"q_proj": 0.3}, {"self_attn": 0.3}, {"q_proj": 0.3, "down_proj": 0.45}],
    ids=lambda table: " ".join(table),
)
def test_weights_by_tensor_name_are_filters(tmp_path, table):
    best = best_of(tmp_path, by_name(table, 0.6), ["one"], family=NAMED)
    assert best.mismatched == 0
    assert "linear (float32-fma)" in names_of(best.recipe)
    weights = {each.name: each.weight for each in best.recipe.ingredients}
    assert weights == {
        "one": {"filters": {**table, "*": 0.6}},
        "base": {"filters": {**{key: round(1.0 - x, 6) for key, x in table.items()}, "*": 0.4}},
    }
    said = {x["model"]: x["parameters"] for x in yaml.safe_load(to_mergekit(best.recipe))["models"]}
    filters = [{"filter": key, "value": value} for key, value in table.items()]
    assert said["one"]["weight"] == [*filters, {"value": 0.6}]


def test_float32_children_of_float32_arithmetic_are_exact_or_nothing(tmp_path):
    child = {t: linear_f32([FAMILY["one"][t], FAMILY["base"][t]], [0.6, 0.4]) for t in SHAPES}
    best = best_of(tmp_path, child, ["one"])
    assert best.mismatched == 0
    assert (best.recipe.out_dtype, best.recipe.arithmetic) == ("F32", "float32")


def test_a_merge_stored_wider_than_it_was_rounded_is_found(tmp_path):
    child = {t: x.astype(F32) for t, x in merged("linear", "float32-fma", MANY).items()}
    best = best_of(tmp_path, child, list(MANY))
    assert best.mismatched == 0
    assert best.recipe.out_dtype == "BF16"


@pytest.mark.parametrize(
    ("arithmetic", "rounding", "family"),
    [("bfloat16", bf16, RELATED), ("float32", F32, FAMILY)],
    ids=["bfloat16", "float32"],
)
def test_weights_times_lambda_are_found_as_they_were_written(
    tmp_path, arithmetic, rounding, family
):
    child = times(family, {"one": 0.3, "two": 0.5}, 0.8, rounding)
    plain = times(family, {"one": 0.24, "two": 0.4}, 1.0, rounding)
    assert any(child[t].tobytes() != plain[t].tobytes() for t in child)
    best = best_of(tmp_path, child, ["one", "two"], family=family)
    recipe = best.recipe
    assert (recipe.method, recipe.arithmetic) == ("task_arithmetic", arithmetic)
    assert (best.mismatched, best.explained) == (0, 0)
    assert recipe.parameters == {"lambda": 0.8}
    assert {x.name: x.weight for x in recipe.ingredients} == {"one": 0.3, "two": 0.5}
    assert recipe.effective_weights == pytest.approx({"one": 0.24, "two": 0.4, "base": 0.36})
    assert "lambda: 0.8" in to_mergekit(recipe)


def test_displacements_divided_by_the_sum_of_weights_are_found(tmp_path):
    child = times(FAMILY, {"one": 0.3, "two": 0.5}, normalize=True)
    for weights in ({"one": 0.375, "two": 0.625}, {"one": 3.0, "two": 5.0}):
        other = times(FAMILY, weights, normalize=sum(weights.values()) > 1)
        assert any(child[t].tobytes() != other[t].tobytes() for t in child)
    best = best_of(tmp_path, child, ["one", "two"])
    recipe = best.recipe
    assert (recipe.method, recipe.arithmetic) == ("task_arithmetic", "float32")
    assert best.mismatched == 0
    assert recipe.parameters == {"normalize": True}
    assert {x.name: x.weight for x in recipe.ingredients} == {"one": 0.3, "two": 0.5}
    assert recipe.effective_weights == pytest.approx({"one": 0.375, "two": 0.625, "base": 0.0})


def task(*weights: float, **parameters: Any) -> Recipe:
    ingredients = tuple(Ingredient(f"p{i}", weight) for i, weight in enumerate(weights))
    return Recipe("task_arithmetic", ingredients, "base", parameters)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (task(1.0), True),
        (task(2.0, **{"lambda": 0.5}), True),
        (task(1.25, **{"lambda": 0.8}), True),
        (task(0.5, 0.0, **{"lambda": 2.0}), True),
        (task(0.0, **{"lambda": 0.5}), True),
        (task(1.0, **{"lambda": 0.5}), False),
        (task(0.5), False),
        (task(0.5, 0.5), False),
        (task(0.5, 0.5, **{"lambda": 2.0}), False),
        (task(0.5, 0.5, normalize=True), False),
        (Recipe("linear", (Ingredient("one", 3.0),)), True),
        (Recipe("linear", (Ingredient("one", 3.0), Ingredient("two", 0.0))), True),
        (Recipe("linear", (Ingredient("one", 3.0),), None, {"normalize": False}), False),
        (Recipe("linear", (Ingredient("one", 3.0), Ingredient("two", -2.0))), False),
        (Recipe("linear", (Ingredient("one", {"gradient": [1.0]}),)), True),
        pytest.param(task(3.0, normalize=True), True),
        pytest.param(task(0.5, **{"lambda": 2}), True),
    ],
    ids=lambda each: each.describe() if isinstance(each, Recipe) else "",
)
def test_a_recipe_that_comes_to_one_checkpoint_is_a_copy(recipe, expected):
    assert is_copy(recipe) is expected
    effective = recipe.effective_weights
    if effective is not None:
        assert expected is (sorted(effective.values()) == [*[0.0] * (len(effective) - 1), 1.0])


def test_karcher_and_multislerp_of_two_are_one_method(tmp_path):
    child = child_of(lambda x: karcher([x("one"), x("two")]), SPHERES)
    best = best_of(tmp_path, child, ["one", "two"], family=SPHERES)
    assert best.share > 0.999
    named = names_of(best.recipe)
    assert {"karcher (float32)", "multislerp (float32)"} <= named
    assert best.recipe.parents_added == ("one", "two")
    assert best.recipe.base is None
    # Methods of displacements, or of a weight that is no half, are not.
    assert named <= {f"{x} (float32)" for x in ("karcher", "multislerp", "nuslerp", "slerp")}


# What is no merge of the parents that were offered.

STRANGERS = made({"one": 0.004, "two": 0.003}, seed=99)


@pytest.mark.parametrize(
    ("child", "parents"),
    [
        (merged("linear", "float32-fma", {"one": 0.6, "base": 0.4}), ["other", "two"]),
        (merged("linear", "float32-fma", MANY), ["one", "two", "other"]),
        (merged("linear", "bfloat16", MANY), ["one", "other"]),
        ({t: x.astype(BF16) for t, x in FAMILY["other"].items()}, ["one", "two"]),
        (blend(STRANGERS, {"one": 0.6}), ["one", "two"]),
        (merged("linear", "float32", {"one": 0.6, "base": 0.4}), []),
    ],
    ids=["wrong parents", "one is wrong", "two are missing", "sibling", "stranger", "none"],
)
def test_wrong_parents_give_nothing_worth_carrying_out(tmp_path, child, parents):
    found = hypothesise(found_in(tmp_path, FAMILY, child, parents))
    assert not found or found[0].gain < LEAST_GAIN
    assert select_for_full_pass(found, is_whole=True) == []


def test_noise_leaves_a_gain_that_is_worth_carrying_out(tmp_path):
    rng = np.random.default_rng(3)
    child = {}
    for tensor, whole in blend(FAMILY, {"one": 0.6}).items():
        ulp = np.abs(np.spacing(whole)).astype(F32)
        noise = rng.normal(0, 0.5, whole.shape).astype(F32) * ulp
        child[tensor] = (whole.astype(F32) + noise).astype(BF16)
    found = hypothesise(found_in(tmp_path, FAMILY, child, ["one"]))
    assert LEAST_GAIN < found[0].gain < 0.9
    assert select_for_full_pass(found, is_whole=True)[0] == found[0]


# The list itself.


@pytest.mark.parametrize("options", [{}, {"threads": 1}, {"threads": 3, "io": "pread"}], ids=str)
def test_the_list_is_the_same_however_it_is_read(tmp_path, options):
    child = merged("linear", "float32", MANY)
    usual = hypothesise(found_in(tmp_path / "a", FAMILY, child, [*MANY], ["other"]))
    again = hypothesise(found_in(tmp_path / "b", FAMILY, child, [*MANY], ["other"], **options))
    assert [str(each) for each in usual] == [str(each) for each in again]
    assert len(usual) > 1


def test_the_list_is_ordered_and_says_what_replays_say(tmp_path):
    child = merged("linear", "float32", {"one": 0.6, "base": 0.4})
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    found = hypothesise(f)
    mismatched = [each.mismatched for each in found]
    assert mismatched == sorted(mismatched)
    assert found[0].decoy_share == found[0].decoy_share
    assert all(np.isnan(each.decoy_share) for each in found[1:])
    recipes = [each.recipe for each in found]
    counted = count_matches(recipes, f.sample, f)
    assert [int(each.mismatched.sum()) for each in counted] == mismatched
    for each in found:
        assert each.share == pytest.approx(1.0 - each.mismatched / each.elements)
        again = from_json(each.recipe.to_json())
        assert count_matches([again], f.sample, f)[0].mismatched.sum() == each.mismatched
    # Every recipe of the list does something else.
    assert len({(m, str(r)) for m, r in zip(mismatched, recipes, strict=True)}) == len(found)


def hypothesis_of(share: float, decoy_share: float = 0.02, **changes: Any) -> Hypothesis:
    recipe = Recipe("linear", (Ingredient("one", 0.6), Ingredient("base", 0.4)), **changes)
    return Hypothesis(recipe, share, round(1e6 * (1 - share)), 0, 10**6, decoy_share)


def test_what_is_close_to_the_best_is_carried_out_too():
    nan = float("nan")
    best = hypothesis_of(0.9999)
    close = [hypothesis_of(0.9999 - i * 1e-4, nan, arithmetic=f"float32-{i}") for i in range(1, 6)]
    far = hypothesis_of(0.99, nan)
    assert select_for_full_pass([best, *close, far], is_whole=True) == [best]
    own = {each.recipe.arithmetic: 0.1 * place for place, each in enumerate(close)}
    found = select_for_full_pass(
        [best, *close, far], is_whole=False, decoys_of=lambda recipe: own[recipe.arithmetic]
    )
    assert len(found) == MOST_STREAMED
    assert [each.share for each in found] == [0.9999, *(x.share for x in close[:2])]
    assert [each.decoy_share for each in found] == [0.02, 0.0, 0.1]
    assert select_for_full_pass([best, far], is_whole=False) == [best]
    assert select_for_full_pass([], is_whole=False) == []


def test_what_a_sample_refutes_is_not_carried_out_beside_what_reproduces_all_of_it():
    best, barely, refuted = (hypothesis_of(1.0 - count / 1e6) for count in (0, 20, 100))
    found = select_for_full_pass([best, barely, refuted], is_whole=False)
    assert [each.mismatched for each in found] == [0, 20]
    one_off = hypothesis_of(1.0 - 1e-6)
    assert len(select_for_full_pass([one_off, barely, refuted], is_whole=False)) == 3


def test_the_gain_is_what_decoys_leave():
    assert hypothesis_of(0.9, 0.8).gain == pytest.approx(0.5)
    assert hypothesis_of(0.8, 0.8).gain == 0.0
    assert hypothesis_of(1.0, 1.0).gain == 0.0
    assert hypothesis_of(0.1, 0.2).gain < 0.0
    assert select_for_full_pass([hypothesis_of(0.99, 0.985)], is_whole=True) != []
    assert select_for_full_pass([hypothesis_of(0.99, 0.99)], is_whole=True) == []
    unmeasured = hypothesis_of(0.99, float("nan"))
    assert select_for_full_pass([unmeasured], is_whole=True) == []


def test_simple_recipes_come_before_those_that_say_more():
    plain = hypothesis_of(1.0).recipe
    digits = replace(plain, ingredients=(Ingredient("one", 0.6001), Ingredient("base", 0.3999)))
    slices = {"slices": {"x": 0.6}}
    table = replace(plain, ingredients=(Ingredient("one", slices), Ingredient("base", 0.4)))
    curve = replace(plain, ingredients=(Ingredient("one", {"gradient": [0.1, 0.2]}),))
    delta = Recipe("task_arithmetic", (Ingredient("one", 0.6),), "base")
    assert sorted([table, delta, digits, plain], key=complexity) == [plain, digits, delta, table]
    assert has_weights_per_slice(table)
    assert not any(map(has_weights_per_slice, (plain, digits, curve, delta)))
    assert complexity(curve) > complexity(delta)


def test_what_a_merge_left_out_is_copied(tmp_path):
    weights = {"one": 0.6, "two": 0.3}
    child = merged("task_arithmetic", "bfloat16-script", weights)
    copied = "model.embed_tokens.weight"
    child[copied] = FAMILY["one"][copied].astype(BF16)
    f = found_in(tmp_path, FAMILY, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.mismatched) == ("task_arithmetic", 0)
    assert best.recipe.sources == {copied: "one"}
    assert best.recipe.describe().endswith(f"with {copied} copied from one")
    # Decoys of what was blended do not spoil what was copied.
    assert 0.11 < best.decoy_share < 0.3
    with pytest.raises(RecipeError, match="copies no tensors"):
        to_mergekit(best.recipe)
    assert from_json(best.recipe.to_json()) == best.recipe


def test_what_is_the_same_in_all_is_copied_where_arithmetic_would_move_it(tmp_path):
    weights = {"one": 0.7, "two": 0.3}
    family = {name: {**tensors} for name, tensors in FAMILY.items()}
    for tensors in family.values():
        tensors["buffer.inv_freq"] = bf16(np.geomspace(1.0, 1e-4, 64))
    columns = [family[name] for name in weights]
    child = {
        name: np.asarray(LINEAR["bfloat16-script"]([x[name] for x in columns], [0.7, 0.3])).astype(
            BF16
        )
        for name in family["base"]
    }
    moved = child["buffer.inv_freq"].astype(F32) != family["base"]["buffer.inv_freq"]
    assert moved.any()
    child["buffer.inv_freq"] = family["base"]["buffer.inv_freq"].astype(BF16)
    f = found_in(tmp_path, family, child, ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.recipe.method, best.mismatched) == ("linear", 0)
    assert best.recipe.sources == {"buffer.inv_freq": "one"}


def test_a_sum_that_gives_everything_ends_the_search(tmp_path):
    f = found_in(tmp_path, FAMILY, blend(FAMILY, {"one": 0.6}), ["one", "two"])
    best = hypothesise(f)[0]
    assert (best.mismatched, f.is_settled) == (0, True)
    assert [each.kind for each in f.blends] == ["constant"]
