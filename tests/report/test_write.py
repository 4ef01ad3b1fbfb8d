"""Reports are made of stored evidence again."""

import shutil

import pytest
from parentage import WriteError, write_report
from parentage.support import ReportError


def test_it_is_the_report_that_the_trace_wrote(stored, tmp_path):
    folder = shutil.copytree(stored, tmp_path / "evidence")
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    # The log of custody has times, and what lies there is shown.
    (folder / "custody.jsonl").unlink()
    assert write_report(folder) == folder / "report.html"
    assert (folder / "report.html").read_bytes() == before
    (folder / "custody.jsonl").unlink()
    assert write_report(folder, tmp_path / "other.html").read_bytes() == before
    assert not list(tmp_path.glob(".writing-*"))


def test_where_it_can_not_be_written_is_said(stored, tmp_path):
    with pytest.raises(WriteError, match="write: "):
        write_report(stored, tmp_path / "missing" / "report.html")
    with pytest.raises(WriteError, match="write: "):
        write_report(stored, tmp_path)


def test_without_evidence_nothing_is_written(tmp_path):
    with pytest.raises(ReportError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
