"""Libraries are kept from the command line."""

import json

import pytest
from common.two_parents import invoke
from conftest import family_path


@pytest.fixture
def made(capsys, tmp_path):
    out = []
    for name in ("base", "parent"):
        path = tmp_path / f"{name}.sketch.safetensors"
        assert invoke(capsys, "sketch", family_path(name), "-o", path, "--size", "32KiB")[0] == 0
        out.append(path)
    return out


def test_sketches_are_added_listed_shown_and_removed(capsys, tmp_path, made):
    where = ["--library", tmp_path / "library"]
    status, _, err = invoke(capsys, "library", "add", *made, *where)
    assert status == 0
    assert "added base, parent" in err
    status, out, _ = invoke(capsys, "library", "list", *where)
    assert status == 0
    assert "2 sketches" in out
    status, out, _ = invoke(capsys, "library", "list", *where, "--json")
    assert [each["name"] for each in json.loads(out)] == ["base", "parent"]
    status, out, _ = invoke(capsys, "library", "show", "base", *where)
    assert status == 0
    assert "294,488 elements" in out
    status, out, _ = invoke(capsys, "library", "show", "base", *where, "--json")
    assert len(json.loads(out)["tensors"]) == 23
    assert invoke(capsys, "library", "remove", "base", *where)[0] == 0
    assert "1 sketch in" in invoke(capsys, "library", "list", *where)[1]


def test_what_is_not_there_is_an_error_in_a_line(capsys, tmp_path, made):
    where = ["--library", tmp_path / "library"]
    for arguments in (("show", "x"), ("remove", "x"), ("add", tmp_path / "x")):
        status, _, err = invoke(capsys, "library", *arguments, *where)
        assert status == 1
        assert err.startswith("error: ")
    assert invoke(capsys, "library", "add", *made, made[0], *where)[0] == 1
    assert "0 sketches" in invoke(capsys, "library", "list", *where)[1]


def test_a_checkpoint_is_added_under_a_name_and_where_it_is_is_listed(capsys, tmp_path):
    where = ["--library", tmp_path / "library"]
    given = f"old={family_path('base')}"
    status, _, err = invoke(capsys, "library", "add", given, *where, "--size", "32KiB")
    assert (status, "added old to" in err) == (0, True)
    (row,) = json.loads(invoke(capsys, "library", "list", *where, "--json")[1])
    assert row["source"] == str(family_path("base"))
    assert "made of" in invoke(capsys, "library", "list", *where)[1]


def test_a_sketch_is_added_under_another_name(capsys, tmp_path, made):
    where = ["--library", tmp_path / "library"]
    assert invoke(capsys, "library", "add", f"old={made[0]}", made[1], *where)[0] == 0
    rows = json.loads(invoke(capsys, "library", "list", *where, "--json")[1])
    assert [each["name"] for each in rows] == ["old", "parent"]
