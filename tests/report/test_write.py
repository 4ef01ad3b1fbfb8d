"""Reports are made of stored evidence again."""

import json
import shutil

import pytest
from parentage import WriteError, write_report
from parentage.support import ReportError


def test_it_is_the_report_that_the_trace_wrote(stored, tmp_path):
    folder = shutil.copytree(stored, tmp_path / "evidence")
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    # The log of custody grows, and the page does not change with it.
    for _ in range(2):
        assert write_report(folder) == folder / "report.html"
        assert (folder / "report.html").read_bytes() == before
    assert (folder / "custody.jsonl").read_bytes().count(b"\n") == 3
    assert write_report(folder, tmp_path / "other.html").read_bytes() == before
    (folder / "custody.jsonl").unlink()
    assert write_report(folder, tmp_path / "other.html").read_bytes() == before
    assert not list(tmp_path.glob(".writing-*"))


def test_the_log_of_custody_is_shown_in_a_page_that_is_none_of_the_bundle(stored, tmp_path):
    folder = shutil.copytree(stored, tmp_path / "evidence")
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    text = write_report(folder, tmp_path / "court.html", custody=True).read_text("utf-8")
    assert "as the log stood when this page was made" in text
    assert json.loads((folder / "custody.jsonl").read_text("utf-8"))["time"] in text
    for page in (
        None,
        folder / "report.html",
        tmp_path / "evidence" / ".." / "evidence/report.html",
    ):
        with pytest.raises(ValueError, match="has no log of custody"):
            write_report(folder, page, custody=True)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_what_the_model_says_of_itself_becomes_part_of_the_bundle_with_the_page(stored, tmp_path):
    folder = shutil.copytree(stored, tmp_path / "evidence")
    (folder / "identity.json").write_text('{"sentences": ["It says that it is Nex."]}')
    page = write_report(folder, folder / "report.html").read_text("utf-8")
    assert "It says that it is Nex." in page
    named = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    assert {"identity.json", "report.html"} <= {each["name"] for each in named}


def test_where_it_can_not_be_written_is_said(stored, tmp_path):
    with pytest.raises(WriteError, match="write: "):
        write_report(stored, tmp_path / "missing" / "report.html")
    with pytest.raises(WriteError, match="write: "):
        write_report(stored, tmp_path)


def test_without_evidence_nothing_is_written(tmp_path):
    with pytest.raises(ReportError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
