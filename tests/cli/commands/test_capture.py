"""Checkpoints are captured from the command line."""

import json

from common.networks import family_on_a_hub
from common.two_parents import invoke
from conftest import family_path


def test_a_checkpoint_is_captured_and_inspected(capsys, tmp_path):
    made = tmp_path / "kept"
    status, out, err = invoke(
        capsys, "capture", family_path("base"), "-o", made, "--by", "me", "--size", "32KiB"
    )
    assert (status, out) == (0, "")
    assert "captured in" in err
    assert json.loads((made / "custody.jsonl").read_text())["by"] == "me"
    assert invoke(capsys, "inspect", made)[0] == 0
    status, _, err = invoke(capsys, "capture", family_path("base"), "-o", made)
    assert status == 1
    assert "there already" in err


def test_a_folder_has_to_be_named(capsys):
    assert invoke(capsys, "capture", family_path("base"))[0] == 2


def test_a_remote_checkpoint_is_captured_and_what_that_cost_is_said(capsys, monkeypatch, tmp_path):
    with family_on_a_hub(monkeypatch, tmp_path):
        made = tmp_path / "kept"
        status, _, err = invoke(capsys, "capture", "hf://org/base", "-o", made, "--size", "32KiB")
        assert status == 0
        assert "captured in" in err and "requests" in err
        status, out, _ = invoke(capsys, "inspect", made)
        assert (status, "org/base" in out or "kept" in out) == (0, True)
        status, _, err = invoke(
            capsys, "capture", "hf://org/nobody", "-o", tmp_path / "x", "--max-bytes", "1MB"
        )
        assert (status, "no such repository" in err) == (1, True)
        assert not (tmp_path / "x").exists()
