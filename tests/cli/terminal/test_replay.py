"""What is shown of a replay."""

import numpy as np
import pytest
from common.terminals import shown
from common.two_parents import RECIPE, SHAPES, blend, fields, invoke, merge, places, random_tensors
from conftest import BF16, write_checkpoint
from parentage import Recipe
from parentage.cli.terminal.replay import show_replay

EXACT = Recipe(**fields(arithmetic="float32"))
ELEMENTS = sum(int(np.prod(shape)) for shape in SHAPES.values())


@pytest.fixture
def merged(tmp_path):
    return merge(tmp_path)


def test_what_is_reproduced_is_told_with_the_recipe_and_what_was_not_compared(capsys, merged):
    found = EXACT.replay(places(merged), merged / "child")
    text = shown(capsys, show_replay, found, None)
    for expected in (EXACT.describe(), "bit for bit", "100 %", f"{ELEMENTS:,}", "I64"):
        assert expected in text


def test_mismatches_are_told_by_how_much_and_where_first(capsys, merged):
    child = blend(random_tensors(1), random_tensors(2))
    child["model.layers.0.mlp.up_proj.weight"].view(np.uint16)[3, 5] += 1
    child["model.layers.0.mlp.up_proj.weight"].view(np.uint16)[7, 0] += 40
    write_checkpoint(merged / "changed", child)
    text = shown(capsys, show_replay, EXACT.replay(places(merged), merged / "changed"), None)
    assert "bit for bit" not in text
    for expected in ("33 to 64", "model.layers.0.mlp.up_proj.weight", "[3, 5]"):
        assert expected in text
    assert "9 to 16" not in text


def test_what_was_written_is_told_with_digests_and_what_was_copied(capsys, merged):
    written = EXACT.write(places(merged), merged / "out", against=merged / "child")
    text = shown(capsys, show_replay, None, written)
    for row in written.tensors.iter_rows(named=True):
        assert f"{row['sha256']} {row['tensor']}" in text
    assert "model.position_ids (copied)" in text
    assert "6 tensors" in text
    assert "copied byte for byte, 1 tensor" in text


def test_escapes_in_names_reach_no_terminal(tmp_path, capsys):
    evil = "[red]a\x1b[2J\u202e.weight"
    one = {evil: np.ones((4, 4), BF16), "b": np.arange(4)}
    write_checkpoint(tmp_path / "one", one)
    write_checkpoint(tmp_path / "two", one)
    write_checkpoint(tmp_path / "child", {**one, evil: np.zeros((4, 4), BF16)})
    (tmp_path / "recipe.json").write_text(RECIPE.to_json())
    status, out, err = invoke(
        capsys, "replay", tmp_path / "recipe.json", "--against", tmp_path / "child",
        "--write", tmp_path / "\x1b[2Jout",
    )  # fmt: skip
    assert status == 0
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    assert "[red]a" in out
