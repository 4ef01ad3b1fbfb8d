"""Sketches are written from the command line, and stand where checkpoints stand."""

import json

from common.two_parents import invoke
from conftest import family_path


def test_a_sketch_is_written_and_traced_from(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("base", "parent", "child"):
        status, out, err = invoke(capsys, "sketch", family_path(name), "--size", "128KiB")
        assert (status, out) == (0, "")
        assert f"wrote {name}.sketch.safetensors" in err
    arguments = ["child.sketch.safetensors", "-b", "base.sketch.safetensors"]
    status, out, _ = invoke(
        capsys, "trace", *arguments, "-p", "parent.sketch.safetensors", "--json"
    )
    document = json.loads(out)
    assert status == 0
    assert (document["verdict"]["kind"], document["verdict"]["level"]) == ("merge", "statistical")
    status, out, _ = invoke(capsys, "inspect", "child.sketch.safetensors")
    assert status == 0


def test_what_is_no_checkpoint_and_a_size_too_small_are_errors(capsys, tmp_path):
    status, _, err = invoke(capsys, "sketch", tmp_path / "none", "-o", tmp_path / "x")
    assert (status, (tmp_path / "x").exists()) == (1, False)
    assert "none" in err
    status, _, err = invoke(capsys, "sketch", family_path("base"), "--size", "1kB")
    assert status == 2
    assert "16,384 bytes at least" in err


def test_quick_is_quiet_and_reads_runs_alone(capsys, tmp_path):
    path = tmp_path / "x.sketch.safetensors"
    status, out, err = invoke(
        capsys, "sketch", f"ours={family_path('base')}", "-o", path, "--runs-only", "-q"
    )
    assert (status, out, err) == (0, "", "")
    status, out, _ = invoke(capsys, "inspect", path, "--json")
    said = json.loads(json.loads(out)["shards"][0]["metadata"]["parentage.sketch"])
    assert (said["name"], said["read"]) == ("ours", "runs")


def test_everything_and_what_is_held_alone_do_not_go_together(capsys):
    status, _, err = invoke(capsys, "sketch", family_path("base"), "--full", "--runs-only")
    assert (status, "--runs-only" in err) == (2, True)
