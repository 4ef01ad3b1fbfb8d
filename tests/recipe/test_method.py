"""What a method says of itself, and what its replay is given."""

import numpy as np
import pytest
from common.carried import recipe_of
from parentage.align import Slice
from parentage.checkpoint import component_of, layer_of
from parentage.recipe import Method, Parameter, Replaying
from parentage.stream import Program

NAMES = ("model.layers.0.mlp.up_proj.weight", "model.norm.weight")
SLICES = [
    Slice(name, component_of(name), layer_of(name), None, (2,), "BF16", 2, ()) for name in NAMES
]


def replaying(recipe):
    columns = {name: i for i, name in enumerate(("base", "one", "two"))}
    return Replaying(Program(len(SLICES)), recipe, columns, SLICES)


def method(**fields):
    return Method("m", "b", "nobody", {}, {"float32": "all"}, lambda _: [], **fields)


def test_the_verdict_is_that_of_the_method_unless_the_recipe_decides():
    recipe = recipe_of("m", {"one": 1.0, "two": 2.0}, parameters={"scale": 2.0})
    assert method().verdict(recipe) == "merge"
    # What is all of one checkpoint is no merge of several.
    assert method().verdict(recipe_of("m", {"one": 2.0})) == "re-encoded"
    assert method(kind="fine-tune").verdict(recipe) == "fine-tune"
    decides = method(kind_of=lambda each: "merge" if each.parameters else "assembled")
    assert decides.verdict(recipe) == "merge"
    assert decides.verdict(recipe_of("m", {"one": 1.0})) == "assembled"


def test_a_parameter_is_a_number_that_need_not_be_given():
    plain = Parameter("how much")
    assert (plain.type, plain.default, plain.required) == (float, None, False)


def test_columns_are_those_of_the_plan():
    r = replaying(recipe_of("linear", {"two": 0.5, "one": 0.5}, "base"))
    assert [value.number for value in (*r.parents(), r.base())] == [0, 1, 2]
    assert r.program.operations == [("column", [2]), ("column", [1]), ("column", [0])]
    assert r.column("two") == r.parents()[0]
    with pytest.raises(KeyError):
        r.column("three")


def test_weights_are_resolved_for_every_slice_and_nan_where_nothing_is_said():
    weights = {"one": {"components": {"mlp": 0.25}}, "two": 0.5, "base": None}
    first, second, third = replaying(recipe_of("linear", weights)).weights()
    assert first[0] == 0.25
    assert np.isnan(first[1])
    assert second.tolist() == [0.5, 0.5]
    assert np.isnan(third).all()


def test_parameters_are_numbers_or_an_error():
    r = replaying(recipe_of("slerp", {"one": None}, parameters={"t": 0.5, "word": "rows"}))
    assert r.parameter("t").tolist() == [0.5, 0.5]
    assert r.parameter("other", 2.0).tolist() == [2.0, 2.0]
    with pytest.raises(KeyError, match="other"):
        r.parameter("other")
    with pytest.raises(TypeError, match="word is a number"):
        r.parameter("word")


def test_numbers_read_off_the_child_have_a_default():
    r = replaying(recipe_of("slerp", {"one": None}, fitted={"first": {NAMES[1]: 0.75}}))
    found = r.fitted("first")
    assert np.isnan(found[0])
    assert found[1] == 0.75
    assert r.fitted("second", 1.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arithmetic", "dtype"),
    [("float32", None), ("float32-fma", None), ("bfloat16", "BF16"), ("bfloat16-script", "BF16")],
)
def test_arithmetic_in_bf16_rounds_every_operation_to_it(arithmetic, dtype):
    assert replaying(recipe_of("linear", {"one": 1.0}, arithmetic=arithmetic)).dtype == dtype
