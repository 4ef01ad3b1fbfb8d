"""How fast it is here, and what is refused before anything is measured."""

import json

import pytest
from common import two_parents
from conftest import family_path
from parentage import _core
from parentage.bench import TOLERANCE, plot


def invoke(capsys, *arguments):
    return two_parents.invoke(capsys, "bench", *arguments)


def test_json_is_one_document_on_stdout(capsys, tmp_path):
    status, out, err = invoke(capsys, "--gib", "0.001", "--json", "--folder", tmp_path)
    document = json.loads(out)
    assert status == 0
    assert err.count("making a base, 8 parents and a child in ") == 3
    assert err.count("making a base, a parent and a child in ") == 3
    assert document["schema"] == "parentage.bench/1"
    assert {"cpu", "cpus", "level", "levels", "memory_gib", "kernel", "file_system", "device"} <= (
        document["machine"].keys()
    )
    keys = {"what", "dtype", "parents", "cache", "bytes", "gb_per_s", "of_ceiling", "seconds"}
    assert all(row.keys() == keys and len(row["seconds"]) == 5 for row in document["results"])
    assert all(each["largest_deviation"] <= TOLERANCE for each in document["inputs"])


def test_the_table_has_bars_and_the_machine(capsys):
    paths = [family_path(name) for name in ("base", "parent", "child")]
    status, out, err = invoke(capsys, *paths, "--quiet")
    assert (status, err) == (0, "")
    for expected in ("of ceiling", "█", "gram, linear replayed", _core.simd_level(), "GiB"):
        assert expected in out


def test_no_picture_without_matplotlib_and_it_is_said_before_anything_is_measured(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    status, out, err = invoke(capsys, "--plot", tmp_path / "a.svg")
    assert (status, out) == (1, "")
    assert "pip install 'parentage[plot]'" in err
    status, _, err = invoke(capsys, "--plot", tmp_path / "a.pdf")
    assert (status, "ends in .svg or .png" in err) == (1, True)


@pytest.mark.parametrize(
    "arguments", [("child",), ("base", "child"), ("--runs", "4"), ("--gib", "0")]
)
def test_usage(capsys, arguments):
    status, out, err = invoke(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "Usage" in err


def test_a_folder_and_checkpoints_exclude_each_other(capsys, tmp_path):
    paths = [family_path(name) for name in ("base", "parent", "child")]
    assert invoke(capsys, *paths, "--folder", tmp_path)[0] == 2
