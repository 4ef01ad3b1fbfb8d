"""Checkpoints are captured from the command line."""

import json

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
