"""What is measured, and that it is checked first and cleaned up after; nothing here is timed."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import encode_safetensors, family_path
from parentage.bench import measure as bench
from parentage.cli import run
from parentage.stream import Progress
from parentage.support import ParentageError, PlanError

SMALL = 1 << 20
WARM = ["read mapped", *["gram"] * 4, "gram, linear replayed", "gram, pread", "sha256"]


def invoke(capsys, *arguments):
    status = run(["bench", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A bench on what it makes, and the folder it was made in."""
    folder = tmp_path_factory.mktemp("made")
    notes = []
    return bench.bench(size=SMALL, runs=2, folder=folder, note=notes.append), folder, notes


def test_every_dtype_is_measured_for_up_to_eight_parents(measured):
    found, _, notes = measured
    for dtype in ("BF16", "F16", "F32"):
        warm = [e for e in found.cases if e.dtype == dtype and e.warm]
        assert [each.what for each in warm] == WARM
        assert [each.parents for each in warm if each.what == "gram"] == [1, 2, 4, 8]
        assert any(dtype in note for note in notes)
    assert all(len(each.seconds) == 2 for each in found.cases)


def test_cases_count_the_bytes_that_they_read(measured):
    found, _, _ = measured
    grams = {e.parents: e.bytes for e in found.cases if e.what == "gram" and e.dtype == "F16"}
    # Base, parents and child are of one size.
    assert [grams[parents] * 3 for parents in (1, 2, 4, 8)] == [
        grams[1] * (parents + 2) for parents in (1, 2, 4, 8)
    ]
    (read,) = (e for e in found.cases if e.what == "read mapped" and e.dtype == "F16")
    assert read.bytes == grams[8]


def test_nothing_is_left_of_what_is_made(measured):
    _, folder, _ = measured
    assert list(folder.iterdir()) == []


def test_what_fails_leaves_nothing_either(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "assert_equal", fail)
    with pytest.raises(KeyboardInterrupt):
        bench.bench(size=SMALL, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_cleans_up(tmp_path):
    code = "from parentage.cli import main; main()"
    arguments = ["bench", "--gib", "0.05", "--runs", "1000", "--folder", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        assert "making" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert list(tmp_path.iterdir()) == []


def test_given_checkpoints_are_measured_and_left():
    paths = [family_path(name) for name in ("base", "parent", "sibling", "child")]
    before = {path: path.stat().st_mtime_ns for each in paths for path in each.iterdir()}
    seen = []

    class Watcher(Progress):
        def start(self, total):
            seen.append(total)

        def update(self, done):
            seen.append(done)

    found = bench.bench(paths, runs=1, progress=Watcher())
    assert [each.parents for each in found.cases if each.what == "gram"] == [1, 2]
    assert found.inputs[0]["checkpoints"] == ["base", "parent", "sibling", "child"]
    assert seen[1:] == sorted(seen[1:])
    assert seen[0] == seen[-1] == sum(each.bytes for each in found.cases)
    assert before == {path: path.stat().st_mtime_ns for each in paths for path in each.iterdir()}


def test_no_more_is_read_of_given_checkpoints_than_asked_for():
    paths = [family_path(name) for name in ("base", "parent", "child")]
    most = bench.bench(paths, runs=1).inputs[0]["bytes"]
    found = bench.bench(paths, size=most // 2, runs=1)
    assert 0 < found.inputs[0]["bytes"] <= most // 2
    least = bench.bench(paths, size=1, runs=1)
    assert 0 < least.inputs[0]["bytes"] < most // 2


def test_no_room_is_said_before_anything_is_made(capsys, tmp_path, monkeypatch):
    status, _, err = invoke(capsys, "--gib", "1e9", "--folder", tmp_path)
    assert (status, "half of the" in err) == (1, True)
    monkeypatch.setattr(bench, "memory_bytes", lambda: 1 << 80)
    status, _, err = invoke(capsys, "--gib", "1e9", "--folder", tmp_path)
    assert (status, "bytes are free" in err) == (1, True)
    status, _, err = invoke(capsys, "--folder", tmp_path / "missing")
    assert (status, "no such folder" in err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_that_do_not_pair_are_an_error(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(
        encode_safetensors({"a": np.zeros((2, 2), dtype=np.float32)})
    )
    with pytest.raises(PlanError):
        bench.bench([family_path("base"), family_path("parent"), tmp_path])
    with pytest.raises(ValueError, match="at least one parent"):
        bench.bench([family_path("base"), family_path("child")])


def test_a_debug_build_is_not_measured(monkeypatch):
    monkeypatch.setattr(bench._core, "build_profile", "debug")
    with pytest.raises(ParentageError, match="debug build"):
        bench.bench()
