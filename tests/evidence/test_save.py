"""Evidence is written whole or not at all."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import parentage
import polars as pl
import pytest
from common.documents import strict
from parentage.checkpoint import Checkpoint
from parentage.evidence.save import save
from parentage.support import ReportError, WriteError


def test_saving_makes_the_folder_and_replaces_what_is_there(tmp_path, merge):
    folder = tmp_path / "a" / "b"
    assert merge.save(folder) == folder
    (folder / "evidence.json").write_text("old")
    (folder / "notes.txt").write_text("kept")
    merge.save(folder)
    assert strict((folder / "evidence.json").read_text("utf-8")) == strict(merge.to_json())
    assert sorted(path.name for path in folder.iterdir()) == [
        *("custody.jsonl", "evidence.json", "facts.json", "manifest.json", "metadata.json"),
        *("notes.txt", "recipe.yaml", "report.html", "slices.parquet", "spectrum.parquet"),
        "sums.parquet",
    ]


def test_a_file_in_the_way_of_the_folder_is_an_error(tmp_path, merge):
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WriteError, match="write evidence: "):
            merge.save(folder)
    assert (tmp_path / "file").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "name", ["slices.parquet", "spectrum.parquet", "report.html", "evidence.json"]
)
def test_a_folder_in_the_way_of_a_file_leaves_nothing_half_written(tmp_path, merge, name):
    (tmp_path / name / "kept").mkdir(parents=True)
    with pytest.raises(WriteError, match="write evidence: "):
        merge.save(tmp_path)
    for path in tmp_path.iterdir():
        # What there is, is whole.
        if path.name == name:
            assert [each.name for each in path.iterdir()] == ["kept"]
        elif path.suffix == ".json":
            strict(path.read_text("utf-8"))
        elif path.suffix == ".html":
            assert path.read_text("utf-8").endswith("</html>")
        elif path.suffix == ".parquet":
            tables = {"slices": merge.slices, "spectrum": merge.spectrum, "sums": merge.sums}
            table = tables[path.stem]
            assert pl.read_parquet(path).equals(table)
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.usefixtures("permissions_hold")
def test_a_folder_without_permission_is_an_error(tmp_path, merge):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="write evidence: Permission denied"):
        merge.save(tmp_path / "out")
    tmp_path.chmod(0o700)


SAVE_WITH_LITTLE_SPACE = """
import resource, signal, sys
import parentage
family, folder = sys.argv[1:]
found = parentage.trace(f"{family}/child", base=f"{family}/base", parents=[f"{family}/parent"])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    found.save(folder)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory, family):
    """What saving raised where no file could grow beyond 1000 bytes, and what it left."""
    assert hasattr(resource, "RLIMIT_FSIZE")
    folder = tmp_path_factory.mktemp("full")
    done = subprocess.run(
        [sys.executable, "-c", SAVE_WITH_LITTLE_SPACE, family("base").parent, folder],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip(), folder


def test_a_full_disk_leaves_nothing_half_written(full_disk):
    error, folder = full_disk
    assert error
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_an_error_of_writing(full_disk):
    assert full_disk[0] == "WriteError"


def test_a_name_that_is_no_text_can_be_saved(tmp_path, family):
    parent = Path(os.fsdecode(os.fsencode(tmp_path) + b"/par\xffent"))
    try:
        shutil.copytree(family("parent"), parent)
    except OSError:
        # This file system takes no such name, but a person may give it.
        parent = Checkpoint.open(family("parent"), name=parent.name)
    found = parentage.trace(family("child"), base=family("base"), parents=[parent])
    found.save(tmp_path / "out")
    strict((tmp_path / "out" / "evidence.json").read_text("utf-8"))


def test_without_what_draws_charts_the_evidence_is_written_and_it_is_said(
    tmp_path, merge, monkeypatch
):
    def missing(_):
        raise ReportError("altair is not at hand")

    merge.save(tmp_path)
    monkeypatch.setattr("parentage.evidence.trace.render_report", missing)
    said = []
    merge.save(tmp_path, said.append)
    assert said == ["no report.html was written: altair is not at hand"]
    # A report of what lay there before would be one of other evidence.
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [
        *("custody.jsonl", "evidence.json", "facts.json", "manifest.json", "metadata.json"),
        *("recipe.yaml", "slices.parquet", "spectrum.parquet", "sums.parquet"),
    ]


def test_whatever_is_amiss_with_the_report_the_evidence_is_kept(tmp_path, merge, monkeypatch):
    def broken(_):
        raise KeyError("colour")

    monkeypatch.setattr("parentage.evidence.trace.render_report", broken)
    with pytest.raises(KeyError, match="colour"):
        merge.save(tmp_path)
    assert strict((tmp_path / "evidence.json").read_text("utf-8")) == strict(merge.to_json())


def test_a_full_disk_is_told_in_the_system_s_words(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WriteError, match="No space left"):
        save(tmp_path / "out", {"a.parquet": pl.DataFrame({"a": [1]}), "a.json": "{}"})
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="folders can not be locked there")
def test_what_a_killed_writer_left_is_removed(tmp_path):
    left = tmp_path / ".writing-abc123_x"
    left.mkdir()
    (left / "slices.parquet").write_bytes(b"half")
    save(tmp_path, {"a.parquet": pl.DataFrame({"a": [1]}), "a.json": "{}"})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "a.parquet"]
