"""Libraries are searched from the command line."""

import json

import pytest
from common.two_parents import invoke
from conftest import family_path


@pytest.fixture
def where(capsys, tmp_path):
    folder = ["--library", tmp_path / "library"]
    for name in ("base", "parent", "sibling"):
        path = tmp_path / f"{name}.sketch.safetensors"
        assert invoke(capsys, "sketch", family_path(name), "-o", path)[0] == 0
        assert invoke(capsys, "library", "add", path, *folder)[0] == 0
    return folder


def test_relatives_a_verdict_and_a_command_are_told(capsys, where):
    status, out, _ = invoke(capsys, "search", family_path("child"), *where, "--trace")
    assert status == 0
    for expected in ("3 of 3 sketches are relatives", "parent", "from sketches: merge", "--base"):
        assert expected in out
    status, out, _ = invoke(capsys, "search", family_path("child"), *where, "--most", "1")
    assert status == 0
    assert "from sketches" not in out
    assert "2 relatives more" in out


def test_the_tree_and_the_document_are_alone_on_stdout(capsys, where):
    status, out, _ = invoke(capsys, "search", family_path("child"), *where, "--mermaid")
    assert status == 0
    assert out.startswith("graph TD")
    status, out, _ = invoke(capsys, "search", family_path("child"), *where, "--json")
    assert status == 0
    assert len(json.loads(out)["relatives"]) == 3


def test_a_library_that_is_none_is_an_error_and_an_empty_one_is_not(capsys, tmp_path):
    status, out, _ = invoke(capsys, "search", family_path("child"), "-l", tmp_path)
    assert status == 0
    assert "none of 0 sketches" in out
    (tmp_path / "index.parquet").write_text("x")
    status, _, err = invoke(capsys, "search", family_path("child"), "-l", tmp_path)
    assert status == 1
    assert "index.parquet" in err


def test_the_tree_is_written_as_a_picture_by_the_ending_of_its_name(capsys, where, tmp_path):
    for name, begins in (("a.svg", b"<svg"), ("b.PNG", b"\x89PNG")):
        status, out, err = invoke(
            capsys, "search", family_path("child"), *where, "--json", "--picture", tmp_path / name
        )
        assert status == 0
        assert json.loads(out)["child"] == "child"
        assert f"wrote {tmp_path / name}" in err
        assert (tmp_path / name).read_bytes().startswith(begins)
    status, _, err = invoke(capsys, "search", "x", *where, "--picture", tmp_path / "c.gif")
    assert (status, "ends with .svg or .png" in err) == (2, True)
    missing = tmp_path / "file" / "x.svg"
    (tmp_path / "file").write_text("in the way")
    status, _, err = invoke(capsys, "search", family_path("child"), *where, "--picture", missing)
    assert (status, err.startswith("error: ")) == (1, True)


def test_without_relatives_no_picture_is_written_and_that_is_said(capsys, tmp_path):
    path = tmp_path / "x.svg"
    status, _, err = invoke(
        capsys, "search", family_path("child"), "-l", tmp_path / "none", "--picture", path
    )
    assert (status, path.exists()) == (0, False)
    assert "no relative to draw" in err
