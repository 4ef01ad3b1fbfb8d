"""Sketches stand in the place of checkpoints: what is said from them, and what is not."""

import numpy as np
import parentage
import pytest
from conftest import BF16, family_path, write_checkpoint
from parentage.checkpoint import Checkpoint, open_all
from parentage.library import Place, first_sketch, seen_alike, sketch_of, windowed
from parentage.library.windows import outline_of
from parentage.stream import Options, read_elements
from parentage.support import PlanError, ReadError

NAMES = ("base", "parent", "sibling", "child", "grandchild")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    made = {
        name: parentage.sketch(
            family_path(name), folder / f"{name}.sketch.safetensors", size="128KiB"
        )
        for name in NAMES
    }
    return made.__getitem__


def test_a_window_holds_the_rows_that_it_names(weights):
    name = "model.layers.0.mlp.up_proj.weight"
    stored = weights["base"][name]
    place = Place(stored.shape, stored.shape[1], (1, 2, 7))
    view = windowed(Checkpoint.open(family_path("base")), {name: place})
    (tensor,) = view.tensors.values()
    assert tensor.shape == (3, stored.shape[1])
    found = read_elements([view.core], [[tensor.index]], 0, tensor.elements, Options(1))
    expected = stored[[1, 2, 7]].astype(np.float64).reshape(-1)
    np.testing.assert_array_equal(found[:, 0], expected)


@pytest.mark.parametrize("child", ["sketch", "whole"])
@pytest.mark.parametrize("others", ["sketch", "whole"])
def test_a_merge_is_told_from_sketches(small, child, others):
    if (child, others) == ("whole", "whole"):
        others = "mixed"
    made = small("child") if child == "sketch" else family_path("child")
    base = small("base") if others != "whole" else family_path("base")
    parent = small("parent") if others == "sketch" else family_path("parent")
    found = parentage.trace(made, base=base, parents=[parent])
    assert (found.verdict.kind, found.verdict.level) == ("merge", "statistical")
    assert found.recipe.as_dict()["parents"][0]["weight"] == pytest.approx(0.6)
    assert "sketch" in found.verdict.text
    assert found.sample.sketches
    assert 0 < found.sample.share < 1
    assert found.evidence["parameters"]["sample"]["sketches"] == list(found.sample.sketches)


def test_copies_under_other_names_are_told_from_sketches(small, tmp_path, weights):
    renamed = {
        name.replace("model.", "model.language_model."): x for name, x in weights["base"].items()
    }
    write_checkpoint(tmp_path / "copy", renamed, shards=2)
    path = parentage.sketch(tmp_path / "copy", tmp_path / "copy.sketch.safetensors")
    found = parentage.trace(path, base=small("base"))
    assert (found.verdict.kind, found.verdict.level) == ("identical", "statistical")
    assert "sums of squares" in found.verdict.text


def test_what_differs_where_nothing_is_held_is_no_copy(small, tmp_path, weights):
    changed = {name: values.copy() for name, values in weights["base"].items()}
    name = "model.layers.1.mlp.up_proj.weight"
    held = sketch_of(Checkpoint.open(small("base"))).places[name]
    (row, *_) = set(range(changed[name].shape[0])) - set(held.rows)
    changed[name][row] += BF16(1.0)
    folder = write_checkpoint(tmp_path / "changed", changed)
    path = parentage.sketch(folder, tmp_path / "x.sketch.safetensors", size="128KiB")
    found = parentage.trace(path, base=small("base"))
    assert found.verdict.kind == "related"
    assert "no copy of all of it" in found.verdict.text
    whole = parentage.trace(folder, base=small("base"))
    assert whole.verdict.kind == "identical"
    assert "may differ" in whole.verdict.text


def test_something_on_top_of_a_merge_is_not_said_from_sketches(small, tmp_path, weights):
    draw = np.random.default_rng(4)
    tuned = {
        name: (values.astype(np.float64) * (1 + 0.02 * draw.normal(size=values.shape))).astype(BF16)
        for name, values in weights["child"].items()
    }
    folder = write_checkpoint(tmp_path / "tuned", tuned)
    path = parentage.sketch(folder, tmp_path / "tuned.sketch.safetensors", size="128KiB")
    found = parentage.trace(path, base=small("base"), parents=[small("parent")])
    assert found.verdict.kind in ("undetermined", "related")


def test_without_a_sketch_nothing_is_changed():
    inputs = open_all(family_path("child"), family_path("base"), (), ())
    assert seen_alike(inputs, Options(1)) == (inputs, None)
    assert first_sketch([inputs.child]) is None


def test_strangers_have_nothing_that_a_sketch_holds(small, tmp_path):
    folder = write_checkpoint(tmp_path / "other", {"x": np.ones((8, 8), np.float32)})
    with pytest.raises(PlanError, match="nothing that the sketch of base holds is in other"):
        parentage.trace(folder, base=small("base"))


def test_options_of_whole_files_are_refused(small):
    for options in ({"sample": "10%"}, {"until_sure": True}, {"digest": "sha256"}):
        with pytest.raises(ValueError, match="base is a sketch"):
            parentage.trace(family_path("child"), base=small("base"), **options)


def test_nothing_of_an_outline_can_be_read(small):
    opened = Checkpoint.open(small("base"))
    outline = outline_of(opened, sketch_of(opened))
    assert outline.core.names() == Checkpoint.open(family_path("base")).core.names()
    with pytest.raises(ReadError):
        read_elements([outline.core], [[0]], 0, 4, Options(1))


def test_sketches_of_two_sizes_are_compared_where_both_hold_something(small, tmp_path):
    large = parentage.sketch(family_path("child"), tmp_path / "x.sketch.safetensors", size="512KiB")
    found = parentage.trace(large, base=small("base"), parents=[small("parent")])
    assert found.verdict.kind == "merge"
    assert found.elements <= sketch_of(Checkpoint.open(small("base"))).held
