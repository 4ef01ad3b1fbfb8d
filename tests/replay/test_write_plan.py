"""What is to be written where, and what is refused before anything is."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from common.two_parents import (
    blend,
    fields,
    invoke,
    names_in,
    places,
    random_tensors,
    sources,
)
from conftest import BF16, raw_tensors, write_checkpoint
from parentage import PlanError, Recipe, RecipeError, WriteError
from parentage.recipe import Ingredient

RECIPE = Recipe(**fields(arithmetic="float32"))


def test_what_the_recipe_says_nothing_about_is_the_base_s(merged):
    ingredients = (Ingredient("one", {"components": {"norm": 0.6}}), Ingredient("two", 0.4))
    partial = Recipe(**fields(ingredients=ingredients, arithmetic="float32"))
    written = partial.write(places(merged), merged / "out", against=merged / "child")
    ours, base, child = (raw_tensors(merged / name) for name in ("out", "one", "child"))
    assert ours["model.norm.weight"] == child["model.norm.weight"]
    for name in ours:
        if name != "model.norm.weight":
            assert ours[name] == base[name]
    assert (written.replayed, written.agreeing, written.agrees) == (1, 2, False)


def test_a_tensor_in_one_parent_alone_matters_only_where_it_is_used(merged):
    tensors = random_tensors(2)
    del tensors["lm_head.weight"]
    tensors["model.norm.weight"] = np.ones(25, BF16)
    tensors["extra.weight"] = np.ones(3, BF16)
    write_checkpoint(merged / "less", tensors)
    less = {"one": merged / "one", "two": merged / "less"}
    with pytest.raises(RecipeError, match=r"2 tensors of one.*lm_head\.weight.*norm") as caught:
        RECIPE.write(less, merged / "out")
    assert "shape [24] in one, [25] in two" in str(caught.value)
    assert not (merged / "out").exists()
    ingredients = (Ingredient("one", {"components": {"mlp": 0.6}}), Ingredient("two", 0.4))
    partial = Recipe(**fields(ingredients=ingredients, arithmetic="float32"))
    written = partial.write(less, merged / "out")
    assert list(raw_tensors(merged / "out")) == list(raw_tensors(merged / "one"))
    assert (
        raw_tensors(merged / "out")["lm_head.weight"]
        == raw_tensors(merged / "one")["lm_head.weight"]
    )
    assert written.left_out == (("two", "extra.weight"),)


def test_what_can_not_be_computed_with_is_copied_and_listed(tmp_path):
    odd = {
        "mask": np.ones((2, 3), bool),
        "f4": ("F4", [4], b"\x21\x43"),
        "none": np.zeros((0, 4), BF16),
        "w": np.ones((4, 4), BF16),
    }
    write_checkpoint(tmp_path / "one", odd)
    write_checkpoint(tmp_path / "two", {**odd, "w": np.zeros((4, 4), BF16)})
    written = RECIPE.write(places(tmp_path), tmp_path / "out")
    ours, base = raw_tensors(tmp_path / "out"), raw_tensors(tmp_path / "one")
    assert {name: ours[name] for name in ("mask", "f4", "none")} == {
        name: base[name] for name in ("mask", "f4", "none")
    }
    assert list(ours) == list(base)
    reasons = dict(written.copied.select("tensor", "reason").rows())
    assert reasons.keys() == {"mask", "f4", "none"}
    assert "no elements" in reasons["none"]


def test_quantised_weights_are_not_passed_off_as_written(tmp_path):
    quantised = {
        "w": np.ones((4, 4), BF16),
        "q": ("F8_E4M3", [4, 4], bytes(16)),
        "q_scale": np.ones(1, np.float32),
    }
    for name in ("one", "two"):
        write_checkpoint(tmp_path / name, quantised)
    with pytest.raises(RecipeError, match=r"q: quantised"):
        RECIPE.write(places(tmp_path), tmp_path / "out")


def test_a_folder_that_holds_something_is_refused_before_anything_is_read(merged, capsys):
    full = merged / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    link = merged / "link"
    link.symlink_to(full)
    for target, told in (
        (full, "not empty"),
        (link, "not empty"),
        (merged / "recipe.json", "not a folder"),
        (merged / "recipe.json" / "below", "is not a folder"),
    ):
        status, out, err = invoke(
            capsys, "replay", merged / "recipe.json", *sources(merged), "--write", target
        )
        assert (status, out) == (1, "")
        assert told in err
    assert (full / "notes.txt").read_text() == "mine"
    assert names_in(full) == ["notes.txt"]


def test_an_empty_folder_and_one_that_is_to_be_made_will_do(merged):
    (merged / "empty").mkdir()
    RECIPE.write(places(merged), merged / "empty")
    RECIPE.write(places(merged), merged / "new" / "and" / "below")
    for name in ("empty", "new/and/below"):
        assert names_in(merged / name) == ["model.safetensors"]
    # Folders are made as any program makes them, not for their owner alone.
    umask = os.umask(0)
    os.umask(umask)
    assert (merged / "empty").stat().st_mode & 0o777 == 0o777 & ~umask


def test_parents_that_do_not_pair_are_an_error(merged):
    write_checkpoint(merged / "strange", {"x": np.ones(4, BF16)})
    with pytest.raises(PlanError, match="nothing to compare"):
        RECIPE.write({"one": merged / "one", "two": merged / "strange"}, merged / "out")
    assert not (merged / "out").exists()


def test_too_little_space_is_refused_before_the_work(merged, monkeypatch):
    usage = shutil.disk_usage(merged)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(WriteError, match="1,000 are free"):
        RECIPE.write(places(merged), merged / "out")
    assert not (merged / "out").exists()


def test_a_relative_folder_is_made_in_the_current_one(merged, monkeypatch):
    monkeypatch.chdir(merged)
    written = RECIPE.write(places(merged), "out")
    assert written.folder == Path.cwd() / "out"
    assert names_in(merged / "out") == ["model.safetensors"]


COPIES = {"lm_head.weight": "two", "model.norm.weight": "one"}


@pytest.mark.parametrize(
    "weight", [0.6, {"components": {"mlp": 0.6, "experts": 0.6, "other": 0.6}}]
)
def test_what_a_method_leaves_out_is_written_as_the_copy_that_it_is(merged, weight):
    """Be it that the method would say something of it, or nothing."""
    child = blend(random_tensors(1), random_tensors(2))
    for name, source in COPIES.items():
        child[name] = random_tensors({"one": 1, "two": 2}[source])[name]
    write_checkpoint(merged / "kept", child)
    ingredients = (Ingredient("one", weight), Ingredient("two", 0.4))
    recipe = Recipe(**fields(ingredients=ingredients, arithmetic="float32", sources=COPIES))
    found = recipe.replay(places(merged), merged / "kept")
    assert (found.mismatched, found.agrees) == (0, True)
    written = recipe.write(places(merged), merged / "out", against=merged / "kept")
    assert written.agrees
    assert raw_tensors(merged / "out") == raw_tensors(merged / "kept")
