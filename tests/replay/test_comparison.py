"""Replays: what a recipe reproduces of a child, from Python and from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from common.processes import interrupted
from common.streams import big
from common.traced import ELEMENTS, MERGE, trace
from common.two_parents import (
    RECIPE,
    SHAPES,
    blend,
    fields,
    invoke,
    names_in,
    random_tensors,
    sources,
)
from conftest import BF16, write_checkpoint
from parentage import Recipe, RecipeError
from parentage.recipe import Ingredient
from parentage.stream import Progress
from parentage.support import CheckpointError, PlanError


def floats():
    return sum(int(np.prod(shape)) for shape in SHAPES.values())


def test_a_merge_made_in_numpy_is_replayed_bit_for_bit(merged):
    recipe = Recipe.open(merged / "recipe.json")
    places = {name: merged / name for name in ("one", "two")}
    found = recipe.replay(places, merged / "child")
    assert (found.elements, found.reproduced, found.mismatched) == (floats(), floats(), 0)
    assert (found.share, found.exact_share, sum(found.ulps)) == (1.0, 1.0, 0)
    assert found.worst.height == 0
    # An expert is a slice of its own.
    assert found.slices.height == 7
    assert found.uncompared.row(0)[:2] == ("child", "model.position_ids")
    assert "I64" in found.uncompared["reason"][0]


def test_mismatches_are_counted_and_located(merged):
    recipe = Recipe.open(merged / "recipe.json")
    one, two = random_tensors(1), random_tensors(2)
    child = blend(one, two)
    raw = child["model.layers.0.mlp.up_proj.weight"].view(np.uint16)
    raw[3, 5] += 1
    raw[7, 0] += 2
    raw[9, 9] += 40
    child["model.layers.1.mlp.experts.up_proj"].view(np.uint16)[1, 2, 3] += 1
    child["model.norm.weight"][:] = np.nan
    write_checkpoint(merged / "changed", child)
    found = recipe.replay({name: merged / name for name in ("one", "two")}, merged / "changed")
    assert found.mismatched == 4 + 24
    assert found.reproduced == floats() - 28
    assert found.ulps[:2] == (2, 1)
    assert found.ulps[6] == 1
    worst = found.worst.select("slice", "mismatched", "first").rows()
    assert worst == [
        ("model.norm.weight", 24, 0),
        ("model.layers.0.mlp.up_proj.weight", 3, 3 * 24 + 5),
        ("model.layers.1.mlp.experts.up_proj[1]", 1, 2 * 24 + 3),
    ]


@pytest.mark.parametrize(
    "options", [{"threads": 3}, {"tile_bytes": 4096}, {"io": "pread"}], ids=str
)
def test_how_it_is_read_changes_nothing(merged, options):
    recipe = Recipe(**fields(arithmetic="float32-fma"))
    places = {name: merged / name for name in ("one", "two")}
    usual = recipe.replay(places, merged / "child", threads=1)
    assert recipe.replay(places, merged / "child", **options).as_dict() == usual.as_dict()


def test_the_wrong_weight_is_no_error_but_a_result(merged, capsys):
    wrong = Recipe(**fields(ingredients=(Ingredient("one", 0.5), Ingredient("two", 0.5))))
    (merged / "wrong.json").write_text(wrong.to_json())
    arguments = ("replay", merged / "wrong.json", *sources(merged), "--against", merged / "child")
    status, out, err = invoke(capsys, *arguments)
    assert (status, err) == (0, "")
    assert "units in the last place" in out
    assert "model.layers.0.mlp.up_proj.weight" in out
    assert invoke(capsys, *arguments, "--fail-on-mismatch")[0] == 3


def test_what_reproduces_the_child_is_told_at_a_glance(merged, capsys):
    arguments = ("replay", merged / "recipe.json", *sources(merged), "--against", merged / "child")
    status, out, err = invoke(capsys, *arguments, "--fail-on-mismatch")
    assert (status, err) == (0, "")
    for expected in ("0.6 one + 0.4 two", "bit for bit", "100 %", "I64", f"{floats():,}"):
        assert expected in out


def test_a_gradient_and_a_recipe_that_is_silent(merged):
    weights = {"gradient": [0.2, 0.8]}
    one, two = random_tensors(1), random_tensors(2)
    parts = {name: blend(one, two, (w, 0.5)) for name, w in (("first", 0.2), ("last", 0.8))}
    child = {name: parts["last" if ".layers.1." in name else "first"][name] for name in SHAPES}
    write_checkpoint(merged / "graded", child)
    places = {name: merged / name for name in ("one", "two")}
    ingredients = (Ingredient("one", weights), Ingredient("two", 0.5))
    graded = Recipe(**fields(ingredients=ingredients, arithmetic="float32"))
    assert graded.replay(places, merged / "graded").mismatched == 0
    ingredients = (Ingredient("one", {"components": {"mlp": 0.2}}), Ingredient("two", 0.5))
    partial = Recipe(**fields(ingredients=ingredients, arithmetic="float32"))
    found = partial.replay(places, merged / "graded")
    assert (found.elements, found.mismatched) == (40 * 24, 0)
    assert set(found.uncompared["reason"]) >= {"the recipe gives no numbers for it"}
    nothing = Recipe(**fields(ingredients=(Ingredient("one"), Ingredient("two"))))
    with pytest.raises(RecipeError, match="no numbers for any tensor"):
        nothing.replay(places, merged / "child")


@pytest.mark.parametrize(
    ("method", "changes", "told"),
    [
        ("task_arithmetic", {}, "names no base"),
        ("task_arithmetic", {"base": "one", "parameters": {"lambda": "much"}}, "can not be"),
        ("linear", {"matrices": {"lm_head.weight": (np.ones((9, 1)), np.ones((1, 24)))}}, "9 x 24"),
    ],
)
def test_a_recipe_that_does_not_fit_is_an_error_of_the_recipe(merged, method, changes, told):
    recipe = Recipe(**fields(method=method, **changes))
    with pytest.raises(RecipeError, match=told):
        recipe.replay({name: merged / name for name in ("one", "two")}, merged / "child")


def test_damaged_and_foreign_checkpoints_are_errors(merged):
    strange = write_checkpoint(merged / "strange", {"x": np.ones(4, BF16)})
    with pytest.raises(PlanError, match="nothing to compare"):
        RECIPE.replay({"one": merged / "one", "two": strange}, merged / "child")
    file = merged / "one" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        RECIPE.replay({name: merged / name for name in ("one", "two")}, merged / "child")


def test_progress_is_told_and_may_stop_it(merged):
    class Stop(Exception):  # noqa: N818
        pass

    class Watcher(Progress):
        total = 0
        told = ()

        def start(self, total):
            self.total = total

        def update(self, done):
            self.told = (*self.told, done)

    watcher = Watcher()
    places = {name: merged / name for name in ("one", "two")}
    RECIPE.replay(places, merged / "child", progress=watcher)
    assert watcher.total > 0
    assert watcher.told[-1] == watcher.total

    class Stopping(Watcher):
        def update(self, _):
            raise Stop

    with pytest.raises(Stop):
        RECIPE.replay(places, merged / "child", progress=Stopping())


@pytest.mark.slow
def test_ctrl_c_ends_a_replay_and_leaves_nothing(tmp_path):
    # Zeros by the gigabyte, so that the pass takes seconds on any machine.
    for name in ("one", "two", "child"):
        (tmp_path / name).mkdir()
        big(tmp_path / name, "model", 6 << 10)
    (tmp_path / "recipe.json").write_text(RECIPE.to_json())
    before = names_in(tmp_path)
    arguments = ["replay", tmp_path / "recipe.json", "--threads", "1"]
    for options in (["--against", "child"], ["--write", "out"]):
        status, err, waited = interrupted([*arguments, *options], tmp_path)
        assert status == 130
        assert b"Traceback" not in err
        assert b"interrupted" in err
        assert names_in(tmp_path) == before
        assert waited < 10, "a loose bound against hanging, not a measurement"


def test_the_recipe_of_evidence_can_be_read_and_carried_out(tmp_path):
    found = trace(tmp_path, MERGE, ["one"])
    found.save(tmp_path / "evidence")
    recipe = Recipe.open(tmp_path / "evidence" / "evidence.json")
    again = recipe.replay(
        {name: tmp_path / name for name in recipe.checkpoints}, tmp_path / "child"
    )
    assert (again.elements, again.mismatched) == (ELEMENTS, 0)
