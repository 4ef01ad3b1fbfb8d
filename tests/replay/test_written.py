"""What was written of a recipe, tensor by tensor."""

import json

import pytest
from common.two_parents import RECIPE, blend, fields, places, random_tensors
from conftest import write_checkpoint
from parentage import Recipe
from parentage.replay.written import TensorPlan

EXACT = Recipe(**fields(arithmetic="float32"))


@pytest.mark.parametrize(("reason", "made"), [(None, "replayed"), ("an integer", "copied")])
def test_a_tensor_with_a_reason_is_a_copy(reason, made):
    assert TensorPlan("a", "BF16", (2,), 4, reason).made == made


def test_without_a_child_nothing_agrees_or_disagrees(merged):
    written = RECIPE.write(places(merged), merged / "out")
    assert (written.child, written.agreeing, written.agrees) == (None, None, None)
    assert written.replayed + written.copied.height == written.tensors.height


def test_all_of_the_child_has_to_be_written_for_it_to_agree(merged):
    child = blend(random_tensors(1), random_tensors(2))
    written = EXACT.write(places(merged), merged / "a", against=merged / "child")
    assert written.agrees is True
    write_checkpoint(merged / "more", {**child, "more": child["scalar"]})
    written = EXACT.write(places(merged), merged / "b", against=merged / "more")
    assert written.agreeing == written.tensors.height
    assert written.unwritten == ("more",)
    assert written.agrees is False


def test_what_the_base_lacks_is_told_as_left_out(merged):
    tensors = {**random_tensors(2), "extra": random_tensors(3)["scalar"]}
    wide = {**places(merged), "two": write_checkpoint(merged / "wide", tensors)}
    written = EXACT.write(wide, merged / "out")
    assert written.left_out == (("two", "extra"),)


def test_it_is_told_in_json_without_a_folder(merged):
    written = EXACT.write(places(merged), merged / "out", against=merged / "child")
    told = json.loads(json.dumps(written.as_dict()))
    assert str(merged) not in json.dumps(told)
    assert {each["tensor"] for each in told["tensors"]} == set(random_tensors(1))
    assert told["replayed"] + told["copied"] == len(told["tensors"])
    assert (told["agrees"], told["child"]) == (True, "child")
    assert sum(each["bytes"] for each in told["files"]) == sum(size for _, size in written.files)
    assert repr(written) == "<Written out: 6 tensors, 5 replayed>"
