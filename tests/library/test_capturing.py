"""What is captured is there whole, is logged, and is a checkpoint for every command."""

import hashlib
import json
import shutil

import parentage
import pytest
from conftest import family_path
from parentage.library import CUSTODY, sketch_of
from parentage.support import CheckpointError, WriteError


@pytest.fixture
def suspect(tmp_path):
    folder = tmp_path / "suspect"
    shutil.copytree(family_path("child"), folder)
    (folder / "config.json").write_text('{"num_hidden_layers": 40}')
    (folder / "README.md").write_text("# Mine")
    (folder / ".hidden").write_text("x")
    return folder


def test_what_is_captured_is_logged_with_digests(suspect, tmp_path):
    made = parentage.capture(suspect, tmp_path / "kept", size="64KiB", by="a clerk")
    (line,) = (made / CUSTODY).read_text("utf-8").splitlines()
    log = json.loads(line)
    assert (log["what"], log["by"]) == ("suspect", "a clerk")
    assert log["began"] <= log["ended"]
    assert log["began"].endswith("+00:00")
    kept = {each["name"]: each["sha256"] for each in log["kept"]}
    there = {x.relative_to(made).as_posix() for x in made.rglob("*") if x.is_file()}
    assert there == {*kept, CUSTODY}
    assert {"files/config.json", "files/README.md"} <= there
    for name, digest in kept.items():
        assert hashlib.sha256((made / name).read_bytes()).hexdigest() == digest
    digests = {each["name"]: each["sha256"] for each in log["files"]}
    raw = (suspect / "model.safetensors").read_bytes()
    assert digests["model.safetensors"] == hashlib.sha256(raw).hexdigest()
    header = (made / "headers" / "00000-model.safetensors.header").read_bytes()
    assert raw.startswith(header)
    assert not list(tmp_path.glob(".writing*"))


def test_a_captured_folder_stands_where_the_checkpoint_stood(suspect, tmp_path):
    made = parentage.capture(suspect, tmp_path / "kept", size="128KiB")
    assert sketch_of(parentage.Checkpoint.open(made)).name == "suspect"
    found = parentage.trace(made, base=family_path("base"), parents=[family_path("parent")])
    assert (found.verdict.kind, found.verdict.level) == ("merge", "statistical")
    assert "promises" not in found.verdict.text
    pair = parentage.compare(made, family_path("child")).pairs[0]
    assert (pair.relation, pair.level) == ("identical", "statistical")


def test_nothing_is_overwritten_and_nothing_half_made_is_left(suspect, tmp_path):
    (tmp_path / "kept").mkdir()
    with pytest.raises(WriteError, match="there already"):
        parentage.capture(suspect, tmp_path / "kept")
    with pytest.raises(CheckpointError):
        parentage.capture(tmp_path / "kept", tmp_path / "other")
    assert not (tmp_path / "other").exists()
