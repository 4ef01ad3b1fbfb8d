"""Recipes read from JSON: what comes back, what is refused, and how that is said."""

import json
import math
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from common.recipes import SETTINGS
from parentage.methods import METHODS, from_json, open_recipe
from parentage.methods.reading import MOST_PARENTS
from parentage.recipe import Addition, Ingredient, Recipe
from parentage.support import RecipeError

LINEAR = {
    "method": "linear",
    "parents": [{"name": "a", "weight": 0.6}, {"name": "b", "weight": 0.4}],
}


def read(**changes):
    return from_json(json.dumps({**LINEAR, **changes}))


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
        ({"schema": "parentage.recipe/9"}, r"parentage\.recipe/9; this version reads /1"),
        ({"schema": "parentage.replay/1"}, "schema is"),
        ({"schema": 1}, "schema is 1"),
        ({"outdtype": "F16"}, "unknown 'outdtype'"),
        ({"dtype": "bfloat16", "out_dtype": "F16"}, "unknown 'dtype'"),
        ({"method": "alchemy"}, "unknown method 'alchemy'"),
        ({"method": None}, "method is null"),
        ({"method": ["linear"]}, r'method is \["linear"\]'),
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
        ({"parents": [{"name": "a", "density": 2}]}, "density is 2"),
        ({"parents": [{"name": "a", "density": -1}]}, "density is -1"),
        ({"parents": [{"name": "a", "density": math.nan}]}, "density is NaN"),
        ({"parents": [{"name": "a", "weight": 1e308}]}, r"parents\[0\]\.weight is 1e\+308"),
        ({"parents": [{"name": "a", "weight": {"gradient": [1], "slices": {"x": 1}}}]}, "one of"),
        ({"parents": [{"name": "a", "weight": 1}, {"name": "b", "weight": "1"}]}, r"s\[1\]\.w"),
        ({"parents": [{"name": "a", "weight": 0}, {"name": "b", "weight": 1e-320}]}, "sum to 0"),
        ({"parents": [{"name": "a", "uncertainty": math.inf}]}, "uncertainty"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"lambda": 1.0}}, "no parameter 'lambda'"),
        ({"parameters": {"normalize": None}}, "normalize"),
        ({"parameters": {"normalize": "no"}}, 'normalize is "no", and should be true or false'),
        ({"parameters": {"normalize": 1}}, "normalize is 1"),
        ({"parameters": {"normalize": {"gradient": [1.0]}}}, "true or false"),
        ({"arithmetic": "float8"}, "no arithmetic 'float8'"),
        ({"arithmetic": []}, "arithmetic is"),
        ({"arithmetic": None}, "arithmetic is null"),
        ({"out_dtype": "I8"}, "out_dtype"),
        ({"out_dtype": []}, "out_dtype"),
        ({"base": 3}, "base"),
        ({"fitted": {"t": {"x": 1, "y": math.nan}}}, r'fitted\["t"\]\["y"\] is NaN'),
        ({"fitted": {"t": [1.0]}}, "fitted"),
        ({"fitted": []}, "fitted"),
        ({"sources": {"w": "a", "x": 1}}, r'sources\["x"\] is 1'),
        ({"sources": []}, "sources"),
        ({"equivalents": None}, "equivalents"),
        ({"equivalents": [1]}, "equivalents"),
        ({"matrices": []}, "matrices"),
        ({"matrices": {"x": 1}}, "pair of matrices"),
        ({"matrices": {"x": [[[1.0]]]}}, "pair of matrices"),
        ({"matrices": {"x": [[[1.0], [1.0, 2.0]], [[1.0]]]}}, "pair of matrices"),
        ({"matrices": {"x": [[[1.0]], [[1.0], [2.0]]]}}, "do not multiply"),
        ({"matrices": {"x": [[1.0], [1.0]]}}, "pair of matrices"),
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


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ({"method": "task_arithmetic"}, "needs a base"),
        ({"method": "ties"}, "needs a base"),
        ({"method": "slerp"}, "needs the parameter 't'"),
        ({"method": "slerp", "parameters": {"t": True}}, "t is true"),
        ({"method": "slerp", "parameters": {"t": {"gradient": [0.1, None]}}}, r"t\.gradient\[1\]"),
        ({"method": "nested", "parameters": {"outer": 0.5}}, "takes 3 parents, and here are 2"),
        ({"method": "lora"}, "takes 1 parents, and here are 2"),
        ({"method": "nuslerp", "parameters": {"vectors": "diagonals"}}, '"rows" or "columns"'),
        ({"method": "nuslerp", "parameters": {"vectors": True}}, '"rows" or "columns"'),
        ({"method": "passthrough", "arithmetic": "copy"}, "sources name no slice"),
        (
            {"method": "task_arithmetic", "base": "z", "arithmetic": "float32-fma"},
            "float32-fma takes one parent, and here are 2",
        ),
        (
            {
                "method": "task_arithmetic",
                "parents": [{"name": "a", "weight": 0.5}],
                "base": "z",
                "arithmetic": "float32-fma-far",
                "parameters": {"lambda": 0.5},
            },
            "float32-fma-far neither divides",
        ),
        ({"method": "linear", "base": "z", "parameters": {"lambda": 1}}, "no parameter 'lambda'"),
    ],
    ids=lambda each: each["method"] if isinstance(each, dict) else "",
)
def test_what_a_method_does_not_take_is_refused_and_named(told, refused):
    with pytest.raises(RecipeError, match=refused):
        read(**told)


def test_weights_that_sum_to_zero_are_read_where_nothing_is_divided_by_them():
    parents = [{"name": "a", "weight": 1.0}, {"name": "b", "weight": -1.0}]
    assert read(parents=parents, parameters={"normalize": False}).ingredients[1].weight == -1.0
    with pytest.raises(RecipeError, match="sum to 0"):
        read(parents=parents)


@pytest.mark.parametrize("name", METHODS)
def test_parameters_of_every_method_are_read_by_their_type(name):
    method = METHODS[name]
    for key, parameter in method.parameters.items():
        needed = {other: 0.5 for other, each in method.parameters.items() if each.required}
        told = {
            "method": name,
            "parents": [{"name": f"p{i}", "weight": 0.25} for i in range(method.parents or 2)],
            "base": "z",
            "sources": {"x": "p0"},
            "arithmetic": next(iter(method.arithmetics)),
        }
        words = (True, False) if parameter.type is bool else parameter.type
        good = words if isinstance(words, tuple) else (0.5, 1, {"gradient": [0.1, 0.9]})
        bad = [math.nan, [], None, "no", *([] if parameter.type is bool else [True])]
        for value in good:
            recipe = from_json(json.dumps({**told, "parameters": {**needed, key: value}}))
            assert recipe.parameters[key] == value
            assert type(recipe.parameters[key]) is type(value)
        for value in bad:
            with pytest.raises(RecipeError, match=rf"^recipe: parameters\.{key} is"):
                from_json(json.dumps({**told, "parameters": {**needed, key: value}}))


@pytest.mark.parametrize("number", [1, 2])
def test_evidence_that_this_version_knows_is_read(number):
    result = {
        "elements": 4,
        "mismatches": 0,
        "explained": 4,
        "unexplained": 0,
        "zero_signs": 0,
        "mismatch_ulps": [0, 0],
        "exact_share": 1.0,
        "explained_share": 1.0,
        "decoy_share": None,
        "mergekit": "merge_method: linear\n",
    }
    parents = [{**each, "effective_weight": each["weight"]} for each in LINEAR["parents"]]
    recipe = {"schema": "parentage.recipe/1", **LINEAR, "parents": parents, **result}
    evidence = {"schema": f"parentage.evidence/{number}", "verdict": {}, "recipe": recipe}
    assert from_json(json.dumps(evidence)) == from_json(json.dumps(LINEAR))
    # The recipe may be cut out of evidence and given by itself.
    assert from_json(json.dumps(recipe)) == from_json(json.dumps(LINEAR))
    evidence["recipe"] = {**recipe, "exactshare": 1.0}
    with pytest.raises(RecipeError, match="unknown 'exactshare'"):
        from_json(json.dumps(evidence))
    evidence["recipe"] = {**recipe, "schema": "parentage.recipe/2"}
    with pytest.raises(RecipeError, match=r"parentage\.recipe/2; this version reads /1"):
        from_json(json.dumps(evidence))


@pytest.mark.parametrize("number", ["3", "99", "", "1.0", "01"])
def test_evidence_of_another_schema_is_refused_and_its_number_told(number):
    evidence = {"schema": f"parentage.evidence/{number}", "recipe": LINEAR}
    with pytest.raises(RecipeError) as caught:
        from_json(json.dumps(evidence), "e.json")
    assert str(caught.value) == (
        f"e.json: evidence of schema parentage.evidence/{number}; this version reads /1 and /2"
    )


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({**LINEAR, "parents": [{"name": "a"}] * 100_000}),
        '{"method": "linear", "parents": [{"name": "a", "weight": ' + "9" * 10_000 + "}]}",
        '{"method": "linear", "parents": [{"name": "a", "weight": 1e999}]}',
        '{"method": "linear", "parents": [{"name": "a", "weight": NaN}]}',
        '{"method": "linear", "parents": ' + "[" * 900 + "]" * 900 + "}",
        '{"method": "linear", "parents": ' + '{"a":' * 100_000,
        json.dumps({**LINEAR, "a\x1b[2J\u2028\ud800": 1}),
        json.dumps({**LINEAR, "a` - at `$.parents[3].x`": 1}),
        json.dumps({**LINEAR, "a` - at `$.parents[3].x": 1}),
        json.dumps({**LINEAR, "parents": [{"name": "a", "b` - at `$.x": 1}]}),
        json.dumps({**LINEAR, "parents": [{"name": "a", "weight": {"b` - at `$[3]": 1}}]}),
        json.dumps({**LINEAR, "method": "a\x1b[2J\n" * 100}),
        json.dumps({**LINEAR, "schema": "parentage.recipe/\x1b[2J"}),
        json.dumps({**LINEAR, "fitted": {"\x1b": {"\n": math.nan}}}),
    ],
    ids=lambda text: text[:40],
)
def test_hostile_text_ends_in_one_short_line_of_plain_words(text):
    with pytest.raises(RecipeError) as caught:
        from_json(text, "r.json")
    message = str(caught.value)
    assert message.startswith("r.json: ")
    assert message.isprintable()
    assert len(message) < 1500
    assert "Expected" not in message
    assert "Object" not in message


def test_effective_weights_of_evidence_are_read_over():
    recipe = Recipe("task_arithmetic", (Ingredient("a", 0.3),), "z", {"lambda": 0.5})
    told = json.loads(recipe.to_json())
    for each in told["parents"]:
        each["effective_weight"] = 0.99
    recipe = from_json(json.dumps(told))
    assert recipe.effective_weights == pytest.approx({"a": 0.15, "z": 0.85})
    assert "effective_weight" not in recipe.to_json()


@pytest.mark.parametrize("command", ["import parentage", "import parentage.cli", "--help"])
def test_libraries_for_json_and_yaml_are_imported_only_where_they_are_used(command):
    script = (
        "import sys, runpy; sys.argv = ['parentage', '--help']\n"
        "try: runpy.run_module('parentage', run_name='__main__')\n"
        "except SystemExit: pass\n"
        if command == "--help"
        else f"import sys; {command}\n"
    )
    script += "assert not {'msgspec', 'yaml'} & set(sys.modules), sorted(sys.modules)\n"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


@pytest.fixture(scope="module")
def page():
    if not PAGE.exists():
        pytest.skip("the documentation is not here")
    return PAGE.read_text("utf-8")


def test_examples_of_the_page_are_read(page):
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    blocks += [textwrap.dedent(block) for block in re.findall(r"(?m)^    {\n(?:    .*\n)+", page)]
    assert len(blocks) == 4
    for block in blocks:
        recipe = from_json(block)
        assert from_json(recipe.to_json()) == recipe


def test_what_the_page_says_that_methods_need_is_what_is_asked_of_them(page):
    said = page.partition("## What a method needs")[2].partition("### ")[0]

    def named(after, before):
        return set(re.findall(r"`(\w+)`", said.partition(after)[2].partition(before)[0]))

    methods = METHODS.values()
    assert named("**A base**:", ". ") == {each.name for each in methods if each.needs_base}
    for count, (after, before) in {
        1: ("**One parent**:", ", and"),
        2: ("**Two**:", "."),
        3: ("**Three**:", "."),
    }.items():
        assert named(after, before) == {each.name for each in methods if each.parents == count}
    assert f"up to {MOST_PARENTS:,}" in said
    for each in methods:
        for name, parameter in each.parameters.items():
            is_named = bool(re.search(rf"`{name}` of [^,.]*`{each.name}`", said))
            assert is_named == parameter.required


def test_numbers_that_are_read_off_the_child_are_those_of_the_page(page):
    rows = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \| `([\w:]+)` \| (.*) \|$", page)
    told = {
        (method, name, text.replace("\\|", "|"))
        for methods, name, text in rows
        for method in re.findall(r"\w+", methods)
    }
    assert told == {
        (each.name, name, text) for each in METHODS.values() for name, text in each.fitted.items()
    }


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ({"a": [0, -1]}, r'layers\["a"\]'),
        ({"a": []}, r'layers\["a"\]'),
        ({"a": 3}, r'layers\["a"\] is 3'),
        ({"a": [0.5]}, r'layers\["a"\]'),
        ({"x": [0, 1]}, r'layers\["x"\] is of no checkpoint'),
        ({"a": [0, 1], "b": [0]}, "lists of 1 and 2 layers"),
    ],
    ids=str,
)
def test_layers_that_are_none_are_refused(layers, told):
    assert read(layers={"a": [0, None, 2]}).layers == {"a": (0, None, 2)}
    with pytest.raises(RecipeError, match=told):
        read(layers=layers)


ADDED = {"a": {"base": "b", "scale": {"x": 0.5}, "rounded": "BF16 twice"}}


@pytest.mark.parametrize(
    ("adapters", "told"),
    [
        ({"a": 3}, r'adapters\["a"\] is 3'),
        ({"a": {"scale": 1.0}}, "base"),
        ({"a": {"base": "b", "scale": "2"}}, "scale"),
        ({"a": {"base": "b", "rounded": "F8"}}, "rounded 'F8' is none of never"),
        ({"x": {"base": "b"}}, r'adapters\["x"\] is of no checkpoint'),
        ({"a": {"base": "b"}, "b": {"base": "a"}}, "an adapter too"),
    ],
    ids=str,
)
def test_adapters_that_are_none_are_refused(adapters, told):
    found = read(adapters=ADDED)
    assert found.adapters == {"a": Addition("b", {"x": 0.5}, "BF16 twice")}
    assert found.as_dict()["adapters"] == ADDED
    with pytest.raises(RecipeError, match=told):
        read(adapters=adapters)
