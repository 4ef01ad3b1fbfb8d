"""Checkpoints, plans, programs and results go to other processes; hashes in the making do not."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import BF16, write_checkpoint
from parentage import _core

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
FIELDS = {
    _core.Statistics: "gram energy bias precision excluded moved stray equal nan inf histogram",
    _core.Replayed: "reproduced explained mismatched zero_signs ulps blocks first",
    _core.Spectrum: "coverage intervals fixed fixed_admitted",
}
"""The arrays of each result."""


def made(folder: Path, columns: int = 3) -> list[_core.Checkpoint]:
    """Return relatives of two shards, with metadata and an index."""
    rng = np.random.default_rng(5)
    base = {"a": rng.normal(size=(40, 50)), "b": rng.normal(size=300), "c.é": rng.normal(size=7)}
    out = []
    for column in range(columns):
        tensors = {
            name: (values + 0.01 * column * rng.normal(size=values.shape)).astype(BF16)
            for name, values in base.items()
        }
        out.append(_core.Checkpoint(write_checkpoint(folder / f"{column}", tensors, shards=2)))
    return out


def planned(checkpoints: list[_core.Checkpoint]) -> _core.Plan:
    """Return a plan of three slices, of which one starts within its tensor."""
    tensors = np.array([[0], [0], [1]], np.uint64).repeat(len(checkpoints), axis=1)
    starts = np.array([[0], [1000], [3]], np.uint64).repeat(len(checkpoints), axis=1)
    return _core.Plan(checkpoints, np.array([1000, 999, 290], np.uint64), tensors, starts)


def blend(slices: int = 3) -> _core.Replay:
    """Return a program with every kind of input."""
    operations: list[tuple[str, list[int], str | None]] = [
        ("column", [0], None),
        ("reversed", [1], None),
        ("scalar", [0], None),
        ("low_rank", [0], None),
        ("fma", [1, 2, 0], None),
        ("add", [4, 3], None),
        ("select", [2, 5, 0], None),
        ("round", [6], "BF16"),
    ]
    matrix = (np.full((40, 1), 0.5), np.linspace(0, 1, 50)[None], 0)
    matrices: list = [[matrix], [None], [None]]
    scalars = np.linspace(0.1, 0.9, slices, dtype=np.float32)[:, None]
    return _core.Replay(operations, [7, 6], scalars, matrices, np.array([True, True, False]))


def passed(plan: _core.Plan, replays: list[_core.Replay]) -> _core.Statistics:
    return _core.gram(plan, 0, plan.slices, threads=1, replays=replays)


def arrays(result: object) -> dict[str, np.ndarray]:
    return {name: getattr(result, name) for name in FIELDS[type(result)].split()}


def assert_alike(one: object, other: object) -> None:
    """Compare results bit for bit."""
    assert type(one) is type(other)
    for name, values in arrays(one).items():
        np.testing.assert_array_equal(values, getattr(other, name), err_msg=name, strict=True)


def in_fresh_process(code: str, payload: bytes, cwd: Path | None = None) -> bytes:
    """Return what code prints that finds ``payload`` unpickled as ``given``."""
    code = f"import pickle, sys\ngiven = pickle.load(sys.stdin.buffer)\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code], input=payload, capture_output=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def rewrite(path: Path) -> None:
    """Change bytes of a file, and surely its modification time, but not its length."""
    stat = path.stat()
    raw = path.read_bytes()
    path.write_bytes(raw[:-2] + b"\0\1")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_checkpoint_says_what_its_headers_said(tmp_path: Path, protocol: int) -> None:
    (checkpoint,) = made(tmp_path, 1)
    again = pickle.loads(pickle.dumps(checkpoint, protocol))
    assert type(again) is _core.Checkpoint
    assert (again.path, again.index) == (checkpoint.path, checkpoint.index)
    assert again.shards() == checkpoint.shards()
    assert again.tensors() == checkpoint.tensors()
    again.verify_unchanged()


def test_metadata_and_odd_names_are_kept(tmp_path: Path) -> None:
    header = b'{"__metadata__":{"format":"pt","\\u0000":"\\ud83d\\ude00"},"x\\n":{"dtype":"U8",'
    header += b'"shape":[],"data_offsets":[0,1]}}'
    path = tmp_path / "a\udcff.safetensors"
    try:
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\7")
    except (OSError, UnicodeError):
        pytest.skip("the file system has no such names")
    checkpoint = _core.Checkpoint(path)
    again = pickle.loads(pickle.dumps(checkpoint))
    assert again.shards() == checkpoint.shards()
    assert again.shards()[0][5] == [("format", "pt"), ("\0", "\U0001f600")]
    assert again.names() == ["x\n"]


def test_unpickling_opens_no_file(tmp_path: Path) -> None:
    checkpoints = made(tmp_path)
    payload = pickle.dumps([planned(checkpoints), checkpoints])
    for path in sorted(tmp_path.rglob("*.*")):
        path.unlink()
    plan, again = pickle.loads(payload)
    assert [each.names() for each in again] == [["a", "b", "c.é"]] * 3
    assert plan.bytes(0, 3) == 3 * 2 * (1000 + 999 + 290)
    with pytest.raises(_core.ReadError, match=r"model-00001-of-00002\.safetensors"):
        passed(plan, [])


def test_a_relative_path_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    plan = planned([_core.Checkpoint(f"x/{column}") for column in range(3)])
    (tmp_path / "y").mkdir()
    code = "from parentage import _core; print(_core.read(given, 0, 3, threads=1))"
    found = in_fresh_process(code, pickle.dumps(plan), tmp_path / "y")
    assert int(found) == _core.read(plan, 0, 3, threads=1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_plan_and_a_program_give_the_same_bits(tmp_path: Path, protocol: int) -> None:
    plan, replay = planned(made(tmp_path)), blend()
    again, replayed = pickle.loads(pickle.dumps((plan, replay), protocol))
    assert (again.slices, again.columns) == (plan.slices, plan.columns)
    assert again.ranges(1) == plan.ranges(1)
    np.testing.assert_array_equal(
        _core.elements(again, 0, 3, threads=1), _core.elements(plan, 0, 3, threads=1)
    )
    one, other = passed(plan, [replay]), passed(again, [replayed])
    assert_alike(one, other)
    assert_alike(one.replayed, other.replayed)
    assert one.replayed.mismatched.sum() > 0


def test_a_fresh_process_computes_what_this_one_does(tmp_path: Path) -> None:
    plan, replay = planned(made(tmp_path)), blend()
    code = """
from parentage import _core
plan, replay = given
found = _core.gram(plan, 0, 3, threads=2, replays=[replay])
sys.stdout.buffer.write(pickle.dumps(found))
"""
    found = pickle.loads(in_fresh_process(code, pickle.dumps((plan, replay))))
    here = passed(plan, [replay])
    assert_alike(found, here)
    assert_alike(found.replayed, here.replayed)


def test_programs_without_scalars_or_matrices_are_pickled(tmp_path: Path) -> None:
    plan = planned(made(tmp_path))
    copied = _core.Replay([("column", [1], None)], [0], np.zeros((3, 0), np.float32))
    again = pickle.loads(pickle.dumps(copied))
    assert_alike(passed(plan, [copied]).replayed, passed(plan, [again]).replayed)


def test_every_operation_is_pickled_as_what_it_is() -> None:
    binary = ("add", "sub", "mul", "div", "max", "min", "greater", "greater_equal")
    operations: list[tuple[str, list[int], str | None]] = [
        ("column", [3], None),
        ("reversed", [1], None),
        ("scalar", [0], None),
        ("low_rank", [1], None),
        ("abs", [0], None),
        ("fma", [0, 1, 2], None),
        ("select", [2, 1, 0], None),
        *((name, [4, 5], None) for name in binary),
        *(("round", [6], dtype) for dtype in ("BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2")),
    ]
    replay = _core.Replay(operations, [20, 3], np.ones((2, 1), np.float32))
    _, (found, results, scalars, matrices, applies) = replay.__reduce__()
    assert (found, results) == (operations, [20, 3])
    assert (matrices, applies) == ([[None, None], [None, None]], None)
    np.testing.assert_array_equal(scalars, np.ones((2, 1), np.float32), strict=True)


def test_plans_that_are_pickled_together_share_their_checkpoints(tmp_path: Path) -> None:
    checkpoints = made(tmp_path)
    plan = planned([checkpoints[0], *checkpoints])
    one, other, again = pickle.loads(pickle.dumps((plan, planned(checkpoints), checkpoints)))
    of_one, of_other = one.__reduce__()[1][0], other.__reduce__()[1][0]
    assert of_one[0] is of_one[1] is of_other[0] is again[0]
    assert len(pickle.dumps([plan, plan, checkpoints])) < 1.1 * len(pickle.dumps(plan))


def test_what_never_changes_is_its_own_copy(tmp_path: Path) -> None:
    checkpoints = made(tmp_path)
    for each in (checkpoints[0], planned(checkpoints), blend()):
        assert copy.copy(each) is each
        assert copy.deepcopy(each) is each
        assert copy.deepcopy([each])[0] is each


def test_results_are_pickled_and_copied(tmp_path: Path) -> None:
    plan = planned(made(tmp_path))
    found = passed(plan, [blend()])
    cells = _core.spectrum(
        plan,
        0,
        3,
        weights=np.zeros((3, 2)),
        axis=1,
        groups=[0, 1, 1],
        windows=np.array([[0.0, 1.0]] * 2),
        bins=8,
        threads=1,
    )
    for result in (found, found.replayed, cells):
        for protocol in PROTOCOLS:
            assert_alike(pickle.loads(pickle.dumps(result, protocol)), result)
        assert_alike(copy.copy(result), result)
        deep = copy.deepcopy(result)
        assert_alike(deep, result)
        assert not any(
            np.shares_memory(a, arrays(deep)[name]) for name, a in arrays(result).items()
        )
    assert_alike(pickle.loads(pickle.dumps(found)).replayed, found.replayed)


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_changed_after_pickling_is_an_error_that_names_it(tmp_path: Path, io: str) -> None:
    checkpoints = made(tmp_path)
    payload = pickle.dumps((planned(checkpoints), checkpoints))
    rewrite(tmp_path / "1" / "model-00001-of-00002.safetensors")
    plan, again = pickle.loads(payload)
    named = r"1/model-00001-of-00002.safetensors: .*written to"
    with pytest.raises(_core.ReadError, match=named):
        again[1].verify_unchanged()
    again[0].verify_unchanged()
    with pytest.raises(_core.ReadError, match=named):
        _core.gram(plan, 0, 3, threads=1, io=io)
    with pytest.raises(_core.ReadError, match=named):
        _core.Digests(again).finish(threads=1, io=io)


def test_a_file_cut_short_after_pickling_is_an_error_that_names_it(tmp_path: Path) -> None:
    checkpoints = made(tmp_path)
    payload = pickle.dumps(planned(checkpoints))
    path = tmp_path / "2" / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(_core.ReadError, match=r"2/model-00002-of-00002.safetensors: .*bytes"):
        passed(pickle.loads(payload), [])


def test_digests_can_not_be_pickled_or_copied(tmp_path: Path) -> None:
    digests = _core.Digests(made(tmp_path))
    for action in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="digests can not be pickled"):
            action(digests)


def test_a_state_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    (checkpoint,) = made(tmp_path, 1)
    restored, (path, index, shards, tensors, codings) = checkpoint.__reduce__()
    position, name, dtype, shape, shard, begin, end = tensors[0]
    for wrong in (
        (position, name, dtype, (1, *shape), 7, begin, end),
        (position, name, dtype, (2, *shape), shard, begin, end),
        (position, name, dtype, shape, shard, begin, 1 << 40),
        (position, "z", dtype, shape, shard, begin, end),
    ):
        with pytest.raises(_core.CheckpointError):
            restored(path, index, shards, [wrong, *tensors[1:]], codings)
    with pytest.raises(ValueError, match="F7"):
        restored(path, index, shards, [(position, name, "F7", shape, shard, begin, end)], codings)
