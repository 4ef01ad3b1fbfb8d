"""The cell spectrum is kept beside the evidence."""

import polars as pl
from parentage.evidence import SPECTRUM
from parentage.evidence.spectrum import spectrum_entry, spectrum_table
from parentage.hypothesise import spectra_of
from parentage.report.stored import SPECTRUM as READ


def test_it_is_kept_with_its_decoy_and_controls(tmp_path, merge):
    merge.save(tmp_path)
    table = pl.read_parquet(tmp_path / "spectrum.parquet")
    assert table.equals(merge.spectrum)
    assert dict(table.schema) == SPECTRUM
    whole = table.filter(pl.col("layer").is_null() & pl.col("component").is_null())
    assert whole.group_by("kind").len().sort("kind")["kind"].to_list() == [
        *("control", "decoy", "parent")
    ]
    best = whole.filter(kind="parent").sort("admitted").tail(1)
    assert best["weight"].item() == 0.6
    assert best["admitted"].item() == best["intervals"].item()
    assert (table["admitted"] <= table["intervals"]).all()


def test_the_document_says_what_it_is_of(merge):
    told = merge.evidence["spectrum"]
    assert told["missing"] is None
    assert 65_536 <= told["elements"] <= merge.elements
    assert abs(told["held"]["parent"] - 0.6) < 1e-5


def test_without_one_the_table_is_empty_and_the_document_says_why():
    none = spectra_of(None)
    assert spectrum_table(none).is_empty()
    assert dict(spectrum_table(none).schema) == SPECTRUM
    assert "no recipe was looked for" in spectrum_entry(none)["missing"]


def test_what_is_read_is_what_is_written():
    assert READ == SPECTRUM
