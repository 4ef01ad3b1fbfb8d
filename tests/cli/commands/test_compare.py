"""Checkpoints are compared from the command line."""

import json

from common.two_parents import invoke
from conftest import family_path


def test_two_are_told_with_figures_and_three_with_a_matrix(capsys):
    one, two, three = (family_path(name) for name in ("base", "parent", "child"))
    status, out, _ = invoke(capsys, "compare", one, two, "--layers")
    assert status == 0
    for expected in ("base and parent: close relatives", "attention", "layer", "not tested"):
        assert expected in out
    status, out, _ = invoke(capsys, "compare", one, two, f"mine={three}")
    assert status == 0
    assert "mine" in out
    assert out.count("close") >= 6


def test_the_document_is_json_alone(capsys):
    status, out, err = invoke(
        capsys, "compare", family_path("base"), family_path("child"), "--json"
    )
    assert (status, err) == (0, "")
    assert json.loads(out)["pairs"][0]["relation"] == "close relatives"


def test_one_alone_is_wrong_usage(capsys):
    status, _, err = invoke(capsys, "compare", family_path("base"))
    assert status == 2
    assert "two checkpoints or more" in err


def test_what_is_not_there_is_an_error(capsys, tmp_path):
    status, _, err = invoke(capsys, "compare", family_path("base"), tmp_path / "gone")
    assert status == 1
    assert "gone" in err
