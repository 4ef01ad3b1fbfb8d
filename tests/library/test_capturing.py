"""What is captured is there whole, is logged, and is a checkpoint for every command."""

import hashlib
import json
import shutil

import numpy as np
import parentage
import pytest
from common.hub import Repository
from common.networks import family_on_a_hub, quick
from conftest import family_path, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.library import CUSTODY, sketch_of
from parentage.library.capturing import _is_plain
from parentage.support import CheckpointError, ReadError, WriteError


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


def logged(made):
    return json.loads((made / CUSTODY).read_text("utf-8"))


@pytest.fixture
def hub(monkeypatch, tmp_path, suspect):
    """A hub that has the suspect, with its small files."""
    (suspect / ".hidden").unlink()
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        double.repositories["org/suspect"] = Repository.of(suspect)
        yield double


def test_of_a_remote_one_is_kept_what_was_published_and_little_is_read(hub, suspect, tmp_path):
    made = parentage.capture("hf://org/suspect", tmp_path / "kept", size="32KiB", network=quick())
    log = logged(made)
    commit = hub.repositories["org/suspect"].revisions["main"]
    assert (log["source"], log["revision"]) == ("hf://org/suspect", commit)
    raw = (suspect / "model.safetensors").read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    assert log["published_sha256"] == {"model.safetensors": digest}
    (file,) = log["files"]
    assert (file["bytes"], file["published_sha256"]) == (len(raw), digest)
    assert "sha256" not in file
    assert (made / "files" / "README.md").read_text() == "# Mine"
    assert raw.startswith((made / "headers" / "00000-model.safetensors.header").read_bytes())
    assert log["left"] == []
    assert "SECRET" not in (made / CUSTODY).read_text("utf-8")
    said = sketch_of(Checkpoint.open(made))
    assert (said.name, said.read, said.energies) == ("org/suspect", "runs", None)


def test_a_captured_remote_one_stands_where_it_stood(hub, tmp_path):
    made = parentage.capture("hf://org/suspect", tmp_path / "kept", network=quick())
    asked = hub.counts.total
    for folder in (made, made / "drawn"):
        found = parentage.trace(folder, base=family_path("base"), parents=[family_path("parent")])
        assert (found.verdict.kind, found.verdict.level) == ("merge", "statistical")
    assert hub.counts.total == asked


@pytest.mark.usefixtures("hub")
def test_with_everything_read_digests_are_computed_here(tmp_path):
    made = parentage.capture("hf://org/suspect", tmp_path / "kept", full=True, network=quick())
    digests = {each["name"]: each["sha256"] for each in logged(made)["files"]}
    assert digests["model.safetensors"] == logged(made)["published_sha256"]["model.safetensors"]
    assert sketch_of(Checkpoint.open(made)).read == "all"


def test_a_small_file_that_can_not_be_had_is_left_and_the_log_says_why(hub, tmp_path):
    hub.fault = lambda asked: "status:403" if "README" in asked.path else None
    made = parentage.capture("hf://org/suspect", tmp_path / "kept", size="32KiB", network=quick())
    (left,) = logged(made)["left"]
    assert left["name"] == "README.md"
    assert "403" in left["why"] or "refuses" in left["why"]
    assert (made / "files" / "config.json").is_file()


@pytest.mark.usefixtures("hub")
def test_what_may_not_be_received_leaves_nothing_half_made(tmp_path):
    network = quick(max_bytes=3000)
    with pytest.raises(ReadError):
        parentage.capture("hf://org/suspect", tmp_path / "kept", network=network)
    assert not (tmp_path / "kept").exists()
    assert not list(tmp_path.glob(".writing*"))


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", "", ".git", "a\\b", "C:x", "a\nb", "x" * 300]
)
def test_no_name_of_a_server_leads_out_of_the_folder(name):
    assert not _is_plain(name)
    assert _is_plain("README.md")


def test_a_link_that_leads_out_of_the_folder_is_not_kept(suspect, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (suspect / "notes.txt").symlink_to(tmp_path / "secret.txt")
    made = parentage.capture(suspect, tmp_path / "kept", size="32KiB")
    (left,) = logged(made)["left"]
    assert (left["name"], "leads out" in left["why"]) == ("notes.txt", True)
    assert not (made / "files" / "notes.txt").exists()


def test_the_second_sketch_holds_other_places_that_its_seed_draws(tmp_path):
    draw = np.random.default_rng(1)
    tensors = {f"layers.{i}.w.weight": draw.normal(size=(512, 256)).astype("f4") for i in range(4)}
    path = write_checkpoint(tmp_path / "m", tensors)
    made = {
        seed: parentage.capture(path, tmp_path / f"kept-{seed}", size="32KiB", seed=seed)
        for seed in ("one", "two")
    }
    made["one again"] = parentage.capture(path, tmp_path / "again", size="32KiB", seed="one")
    places = {
        name: dict(sketch_of(Checkpoint.open(folder / "drawn")).places)
        for name, folder in made.items()
    }
    usual = dict(sketch_of(Checkpoint.open(made["one"])).places)
    assert places["one"] == places["one again"]
    assert places["one"] != places["two"] != usual != places["one"]
    assert logged(made["one"])["seed"] == "one"
    found = parentage.trace(made["one"] / "drawn", base=path)
    assert found.verdict.kind == "identical"
    assert "were drawn when it was made is what a sketch says of itself" in found.verdict.text
    assert "known to everybody" not in found.verdict.text
    both = parentage.trace(made["one"], base=path)
    assert "known to everybody" in both.verdict.text


def test_a_seed_is_drawn_anew_each_time(suspect, tmp_path):
    seeds = {
        logged(parentage.capture(suspect, tmp_path / str(n), size="32KiB"))["seed"]
        for n in range(2)
    }
    assert len(seeds) == 2
    assert min(map(len, seeds)) == 32
