"""Evidence in folders: read, or refused in a sentence."""

import json
import shutil

import polars as pl
import pytest
from parentage.report import MADE_OF, parts_of, read_parts, render_report
from parentage.report.stored import SLICES, read_table
from parentage.support import ReportError


@pytest.fixture
def folder(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "evidence")


def test_what_was_stored_is_read(found, stored):
    parts = read_parts(stored)
    assert parts.document == json.loads(found.to_json())
    assert parts.slices.equals(found.slices.select(list(SLICES)))
    assert parts.spectrum.equals(found.spectrum)
    assert set(parts.beside) == {"metadata"}
    assert set(read_parts(stored, custody=True).beside) == {"custody", "metadata"}


def test_what_other_commands_left_is_read(folder):
    (folder / "metadata.json").write_text('{"fields": []}')
    (folder / "identity.json").write_text('{"answers": 3}')
    (folder / "custody.jsonl").write_text('{"who": "a"}\n\n{"who": "b"}\n')
    assert read_parts(folder, custody=True).beside == {
        "metadata": {"fields": []},
        "identity": {"answers": 3},
        "custody": [{"who": "a"}, {"who": "b"}],
    }


def test_evidence_from_before_spectra_is_read(folder):
    (folder / "spectrum.parquet").unlink()
    assert read_parts(folder).spectrum is None


def test_a_folder_without_evidence_says_what_writes_it(tmp_path):
    with pytest.raises(ReportError, match="parentage trace -o DIR"):
        read_parts(tmp_path)
    with pytest.raises(ReportError, match="parentage trace -o DIR"):
        read_parts(tmp_path / "nowhere")


def test_a_file_in_place_of_its_folder_is_told(stored):
    with pytest.raises(ReportError, match="it is a file; a report is made of the folder"):
        read_parts(stored / "evidence.json")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("evidence.json", b"{", "no JSON"),
        ("evidence.json", b"[]", "no JSON object"),
        ("evidence.json", b"\xff", "no UTF-8 at byte 0"),
        ("evidence.json", b'{"a": NaN}', "NaN"),
        ("evidence.json", b"[" * 100_000, "nested too deeply"),
        ("evidence.json", b'{"schema": "parentage.evidence/9"}', "parentage.evidence/9"),
        ("slices.parquet", b"", "no such table"),
        ("slices.parquet", b"PAR1 and nothing", "no such table"),
        ("spectrum.parquet", b"<html>", "no such table"),
        ("metadata.json", b"no", "no JSON"),
        ("custody.jsonl", b'{"a": 1}\n{', "line 2"),
    ],
)
def test_what_is_damaged_is_an_error_that_names_the_file(folder, name, content, told):
    (folder / name).write_bytes(content)
    with pytest.raises(ReportError, match=told) as error:
        read_parts(folder, custody=True)
    assert name in str(error.value)


def test_a_table_that_is_missing_is_an_error(folder):
    (folder / "slices.parquet").unlink()
    with pytest.raises(ReportError, match=r"slices\.parquet: it is missing"):
        read_parts(folder)


def test_columns_that_are_missing_or_of_another_type_are_named(folder):
    path = folder / "slices.parquet"
    whole = pl.read_parquet(path)
    whole.drop("component").write_parquet(path)
    with pytest.raises(ReportError, match="column component is missing"):
        read_parts(folder)
    whole.with_columns(pl.col("n").cast(pl.String)).write_parquet(path)
    with pytest.raises(ReportError, match="column n is of type String; it should be UInt64"):
        read_parts(folder)


def test_the_bytes_of_files_give_what_the_folder_gives(stored):
    files = {name: (stored / name).read_bytes() for name in MADE_OF if (stored / name).exists()}
    assert render_report(parts_of(files)) == (stored / "report.html").read_text("utf-8")
    with pytest.raises(ReportError, match=r"slices\.parquet: it is missing"):
        parts_of({"evidence.json": files["evidence.json"]})


def test_what_is_too_large_is_refused_before_it_is_read(stored, monkeypatch):
    table = (stored / "slices.parquet").read_bytes()
    monkeypatch.setattr("parentage.report.stored.MOST_ROWS", 10)
    with pytest.raises(ReportError, match="rows are more than a report is made of"):
        read_table(table, SLICES, "slices.parquet")
    monkeypatch.setattr("parentage.report.stored.MOST_TABLE_BYTES", 10)
    with pytest.raises(ReportError, match=r"slices\.parquet: it is larger than 10 bytes"):
        read_parts(stored)
    monkeypatch.setattr("parentage.report.stored.MOST_BYTES", 10)
    with pytest.raises(ReportError, match=r"evidence\.json: it is larger than 10 bytes"):
        read_parts(stored)
