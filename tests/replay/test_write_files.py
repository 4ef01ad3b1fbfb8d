"""Writing what a recipe gives: the child's bytes, whole or not at all."""

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from common.two_parents import (
    SHAPES,
    blend,
    fields,
    invoke,
    names_in,
    places,
    random_tensors,
    sources,
)
from conftest import BF16, family_path, load, raw_tensors, write_checkpoint
from parentage import Checkpoint, ParentageError, Recipe, RecipeError, WriteError, _core
from parentage.methods import METHODS
from parentage.recipe import Ingredient
from parentage.replay import plan_write
from parentage.stream import Options, Progress
from safetensors.numpy import load_file

RECIPE = Recipe(**fields(arithmetic="float32"))
ELEMENTS = sum(int(np.prod(shape)) for shape in SHAPES.values())


def test_the_child_is_written_again_byte_for_byte(merged):
    before = names_in(merged)
    written = RECIPE.write(places(merged), merged / "out", against=merged / "child")
    assert list(raw_tensors(merged / "out").items()) == list(raw_tensors(merged / "child").items())
    assert names_in(merged / "out") == ["model.safetensors"]
    assert names_in(merged) == sorted([*before, "out"])
    assert written.agrees
    assert (written.agreeing, written.replayed, written.tensors.height) == (6, 5, 6)
    assert written.copied.rows()[0][0] == "model.position_ids"
    digests = dict(written.tensors.select("tensor", "sha256").rows())
    for name, (_, _, raw) in raw_tensors(merged / "child").items():
        assert digests[name] == hashlib.sha256(raw).hexdigest()
    again = RECIPE.replay(places(merged), merged / "out")
    assert again.mismatched == 0


def test_other_tools_read_what_is_written(merged):
    recipe = Recipe(**fields(arithmetic="float32", out_dtype="F32"))
    recipe.write(places(merged), merged / "out", shard_bytes=1000)
    read = {}
    for path in (merged / "out").glob("*.safetensors"):
        read |= load_file(path)
        raw = path.read_bytes()
        assert int.from_bytes(raw[:8], "little") % 8 == 0
        assert json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"] == {
            "format": "pt"
        }
    index = json.loads((merged / "out" / "model.safetensors.index.json").read_text())
    held = load(merged / "out")
    assert index["weight_map"].keys() == held.keys() == read.keys()
    assert all(np.array_equal(read[name], held[name]) for name in held)
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in held.values())


@pytest.mark.parametrize("shard_bytes", [1, 100, 1000, 3000, 5 * 10**9])
def test_shards_hold_the_same_tensors_in_the_same_order(merged, shard_bytes):
    written = RECIPE.write(
        places(merged), merged / "out", against=merged / "child", shard_bytes=shard_bytes
    )
    assert written.agrees
    assert list(raw_tensors(merged / "out").items()) == list(raw_tensors(merged / "child").items())
    files = sorted(path.name for path in (merged / "out").glob("*.safetensors"))
    if shard_bytes == 5 * 10**9:
        assert files == ["model.safetensors"]
    else:
        assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
        assert Checkpoint.open(merged / "out").tensors.keys() == random_tensors(1).keys()
    for name, bytes_ in written.files:
        assert (merged / "out" / name).stat().st_size == bytes_


@pytest.mark.parametrize(
    "options", [{"threads": 1}, {"threads": 5}, {"tile_bytes": 4096}, {"io": "pread"}], ids=str
)
def test_how_it_is_read_changes_no_byte(merged, options):
    RECIPE.write(places(merged), merged / "usual", shard_bytes=1500)
    RECIPE.write(places(merged), merged / "other", shard_bytes=1500, **options)
    for path in (merged / "usual").iterdir():
        assert path.read_bytes() == (merged / "other" / path.name).read_bytes()


@pytest.mark.parametrize("dtype", ["F32", "F16", "F64"])
def test_the_dtype_is_the_recipe_s(merged, dtype):
    recipe = Recipe(**fields(arithmetic="float32", out_dtype=dtype))
    recipe.write(places(merged), merged / "out")
    one, two = random_tensors(1), random_tensors(2)
    for name, array in load(merged / "out").items():
        if one[name].dtype == BF16:
            a, b = np.float32(0.6), np.float32(0.4)
            exact = (one[name].astype(np.float32) * a + two[name].astype(np.float32) * b) / (a + b)
            expected = np.asarray(exact).astype(array.dtype)
            assert np.array_equal(array, expected)
            assert array.nbytes == expected.nbytes


def test_a_choice_that_is_not_in_the_parents_can_not_be_written(merged, monkeypatch):
    linear = METHODS["linear"]

    def undecided(r):
        return [r.column("one"), r.column("two")]

    monkeypatch.setitem(METHODS, "linear", replace(linear, replay=undecided))
    with pytest.raises(RecipeError, match="leaves a choice that is not in the parents"):
        RECIPE.write(places(merged), merged / "out")
    assert not (merged / "out").exists()
    assert RECIPE.replay(places(merged), merged / "one").explained > 0


@pytest.mark.parametrize("name", ["one", "two", "child"])
def test_a_checkpoint_cut_short_leaves_nothing(merged, name):
    """Cut after its header was read, as by a download that goes on."""
    writing = plan_write(RECIPE, places(merged), merged / "out", 10**9, Options(1))
    child = Checkpoint.open(merged / "child")
    before = names_in(merged)
    for path in (merged / name).glob("*.safetensors"):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 40)
    with pytest.raises(ParentageError, match=name):
        writing.run(child)
    assert names_in(merged) == before


def test_files_that_may_not_grow_leave_nothing(merged):
    before = names_in(merged)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [
            sys.executable, "-c", "from parentage.cli import main; main()",
            "replay", merged / "recipe.json", *sources(merged), "--write", merged / "out",
        ],
        capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "File too large" in done.stderr
    assert ".partial" not in done.stderr
    assert names_in(merged) == before


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A file system of 64 KiB; where none may be mounted, what the system would say of one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if os.geteuid() == 0 and mount and not subprocess.run(command, check=False).returncode:
        yield folder
        subprocess.run(["umount", folder], check=True)
        return

    def disk_usage(path, usual=shutil.disk_usage):
        return usual(path)._replace(free=1 << 16 if path == folder else usual(path).free)

    def write_replay(_plan, _replay, files, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(files[0]))

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    monkeypatch.setattr(_core, "write_replay", write_replay)
    yield folder


def test_a_disk_that_fills_up_leaves_nothing(small_disk, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        tensors = {f"{i}.weight": rng.standard_normal((64, 64)).astype(BF16) for i in range(20)}
        write_checkpoint(tmp_path / name, tensors)
    with pytest.raises(WriteError, match="are free"):
        RECIPE.write(places(tmp_path), small_disk / "out")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WriteError, match="No space left") as caught:
        RECIPE.write(places(tmp_path), small_disk / "out")
    assert str(small_disk / "out") in str(caught.value)
    assert ".partial" not in str(caught.value)
    assert names_in(small_disk) == []
    with pytest.raises(WriteError, match="mount point"):
        RECIPE.write(places(tmp_path), small_disk)


@pytest.mark.parametrize("calls", [1, 2, 3, 5, 8])
def test_ctrl_c_leaves_nothing_whenever_it_comes(merged, calls):
    class Watcher(Progress):
        seen = 0

        def start(self, total):
            pass

        def update(self, _):
            self.seen += 1
            if self.seen == calls:
                # While it is written, nothing in the folder opens as a checkpoint.
                for path in merged.glob(".out.*.partial/*.safetensors"):
                    with pytest.raises(ParentageError):
                        Checkpoint.open(path)
                assert not (merged / "out").exists()
                raise KeyboardInterrupt

    before = names_in(merged)
    with pytest.raises(KeyboardInterrupt):
        RECIPE.write(places(merged), merged / "out", against=merged / "child", progress=Watcher())
    assert names_in(merged) == before


def test_somebody_else_s_file_in_the_folder_is_not_written_over(merged):
    class Watcher(Progress):
        def start(self, _):
            (merged / "out").mkdir()
            (merged / "out" / "theirs").write_text("")

        def update(self, done):
            pass

    with pytest.raises(WriteError, match="out"):
        RECIPE.write(places(merged), merged / "out", progress=Watcher())
    assert names_in(merged / "out") == ["theirs"]
    assert not list(merged.glob(".out*"))


def test_a_child_with_other_tensors_is_told_apart(merged):
    one, two = random_tensors(1), random_tensors(2)
    child = blend(one, two)
    child["lm_head.weight"].view(np.uint16)[0, 0] ^= 1
    del child["scalar"]
    child["more.weight"] = np.ones(3, BF16)
    write_checkpoint(merged / "other", child)
    written = RECIPE.write(places(merged), merged / "out", against=merged / "other")
    assert not written.agrees
    assert written.agreeing == 4
    assert written.unwritten == ("more.weight",)
    rows = {row["tensor"]: row for row in written.tensors.iter_rows(named=True)}
    assert rows["scalar"]["child_sha256"] is None
    assert not rows["lm_head.weight"]["agrees"]


def test_the_command_prints_digests_and_agreement(merged, capsys):
    arguments = ["replay", merged / "recipe.json", *sources(merged), "--against", merged / "child"]
    status, out, err = invoke(capsys, *arguments, "--write", merged / "out", "--fail-on-mismatch")
    assert (status, err) == (0, "")
    for name, (_, _, raw) in raw_tensors(merged / "child").items():
        assert f"{hashlib.sha256(raw).hexdigest()}  {name}" in out
    assert "the bytes are those of child in 6 of 6 tensors" in out
    assert "copied byte for byte, 1 tensor" in out
    status, out, _ = invoke(capsys, *arguments, "--write", merged / "more", "--json")
    document = json.loads(out)
    assert status == 0
    assert document["written"]["agrees"] is True
    assert document["replay"]["mismatches"] == 0
    assert str(merged) not in out
    assert len(document["written"]["tensors"]) == 6


def test_what_the_command_writes_is_read_by_safetensors(capsys, merged):
    status, _, _ = invoke(
        capsys, "replay", merged / "recipe.json", *sources(merged), "--write", merged / "out"
    )
    assert status == 0
    ours, child = (load_file(merged / name / "model.safetensors") for name in ("out", "child"))
    assert list(ours) == list(child)
    for name, array in child.items():
        assert (ours[name].dtype, ours[name].shape) == (array.dtype, array.shape)
        assert ours[name].tobytes() == array.tobytes()


def test_without_a_child_there_are_digests_alone(merged, capsys):
    status, out, _ = invoke(
        capsys, "replay", merged / "recipe.json", "--write", merged / "out", "--json",
        "--shard-size", "1kB",
    )  # fmt: skip
    document = json.loads(out)
    assert status == 0
    assert document["replay"] is None
    assert document["written"]["agrees"] is None
    assert len(document["written"]["files"]) > 1
    assert all(len(each["sha256"]) == 64 for each in document["written"]["tensors"])


def test_the_shipped_child_is_written_again(tmp_path):
    family = {name: family_path(name) for name in ("parent", "base")}
    ingredients = (Ingredient("parent", 0.6), Ingredient("base", 0.4))
    recipe = Recipe("linear", ingredients, arithmetic="float32-fma")
    written = recipe.write(family, tmp_path / "out", against=family_path("child"))
    assert written.agrees
    assert written.replayed == 23


@pytest.mark.parametrize("weights", [(3e38, 1.0), (3e38, 3e38), (3e38, -2e38)], ids=str)
def test_what_is_not_finite_though_the_parents_are_is_refused_unless_allowed(
    merged, capsys, weights
):
    ingredients = tuple(map(Ingredient, ("one", "two"), weights))
    recipe = Recipe(**fields(ingredients=ingredients, parameters={"normalize": False}))
    (merged / "odd.json").write_text(recipe.to_json())
    arguments = ["replay", merged / "odd.json", *sources(merged), "--write", merged / "out"]
    before = names_in(merged)
    status, out, err = invoke(capsys, *arguments)
    assert (status, out) == (1, "")
    assert "not finite that are made of finite ones, in" in err
    assert "the first in lm_head.weight" in err
    assert names_in(merged) == before
    status, out, _ = invoke(capsys, *arguments, "--allow-non-finite", "--json")
    assert status == 0
    found = sum(each["non_finite"] for each in json.loads(out)["written"]["tensors"])
    arrays = load(merged / "out").values()
    assert found == sum(np.count_nonzero(~np.isfinite(x.astype(float))) for x in arrays)
    assert 0 < found < ELEMENTS


def test_what_is_not_finite_in_the_parents_is_written_as_it_comes(merged):
    one = random_tensors(1)
    one["model.norm.weight"][:3] = np.nan
    write_checkpoint(merged / "one", one)
    written = RECIPE.write(places(merged), merged / "out")
    assert written.tensors["non_finite"].sum() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="folders can not be locked there")
def test_what_a_killed_writer_left_goes_with_the_next_into_the_same_folder(merged):
    left = merged / ".out.0123abcd.partial"
    others = merged / ".out2.0123abcd.partial", merged / ".out.backup.partial"
    for each in (left, *others):
        each.mkdir()
        (each / "model.safetensors").write_bytes(b"half")
    RECIPE.write(places(merged), merged / "out")
    assert not left.exists()
    assert all(each.exists() for each in others)
