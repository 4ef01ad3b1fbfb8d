"""What a checkpoint and others all hold, as columns of numbers."""

import numpy as np
import parentage
import pytest
from conftest import family_path, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.relatives.values import values_of
from parentage.stream import Options

OPTIONS = Options(1, None, "pread")


@pytest.fixture(scope="module")
def sketches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sketches")
    return {
        name: Checkpoint.open(
            parentage.sketch(family_path(name), folder / f"{name}.sketch.safetensors", size="64KiB")
        )
        for name in ("child", "base", "parent")
    }


def test_products_are_those_of_the_columns(sketches):
    found = values_of(sketches["child"], [sketches["base"], sketches["parent"]], OPTIONS)
    assert [each.name for each in found.kept] == ["base", "parent"]
    assert found.columns.shape == (found.starts[-1], 3)
    grams, with_child, square = found.products()
    differences = found.columns[:, :2].astype(float) - found.columns[:, 2:]
    child = found.columns[:, 2].astype(float)
    assert grams.sum(axis=0) == pytest.approx(differences.T @ differences)
    assert with_child == pytest.approx(child @ differences)
    assert square == pytest.approx(child @ child)
    assert found.floor > 0


def test_without_others_or_anything_in_common_there_is_nothing(sketches, tmp_path):
    assert values_of(sketches["child"], [], OPTIONS) is None
    draw = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    strange = write_checkpoint(tmp_path / "s", {"strange.weight": draw})
    made = parentage.sketch(strange, tmp_path / "s.sketch.safetensors", size="16KiB")
    assert values_of(sketches["child"], [Checkpoint.open(made)], OPTIONS) is None


def test_one_that_holds_little_is_left_out_of_what_all_hold(sketches, weights, tmp_path):
    few = dict(list(weights["parent"].items())[:1])
    made = parentage.sketch(
        write_checkpoint(tmp_path / "few", few), tmp_path / "f.sketch.safetensors", size="16KiB"
    )
    others = [sketches["base"], Checkpoint.open(made)]
    found = values_of(sketches["child"], others, OPTIONS)
    assert [each.name for each in found.kept] == ["base"]
