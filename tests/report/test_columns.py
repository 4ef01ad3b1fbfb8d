"""The table of slices in a page."""

import base64
import gzip
import json

import polars as pl
from common.reports import made_parts
from parentage.report import ReportParts
from parentage.report.columns import slice_table
from parentage.report.series import Series


def table(parts):
    return slice_table(parts, Series(parts))


def unpacked(found):
    told = found.as_json()
    if "columns" in told:
        return told["columns"]
    return json.loads(gzip.decompress(base64.b64decode(told["packed"])))


def test_it_has_a_row_for_every_slice(found, parts):
    made = table(parts)
    assert (made.rows, made.total) == (23, 23)
    columns = {each["name"]: each for each in unpacked(made)}
    assert columns["slice"]["values"] == found.slices["slice"].unique(maintain_order=True).to_list()
    assert columns["weight 0"]["title"] == "weight of parent"
    assert columns["equal"]["title"] == "same bits as parent"
    for each in columns.values():
        assert len(each["values"]) == 23


def test_words_are_numbered(parts):
    columns = {each["name"]: each for each in unpacked(table(parts))}
    words = columns["component"]["words"]
    found = [words[each] for each in columns["component"]["values"]]
    assert found == Series(parts).slices["component"].to_list()


def test_a_large_table_is_packed_and_a_small_one_is_not():
    assert "columns" in table(made_parts(40)).as_json()
    large = table(made_parts(5_000))
    assert "packed" in large.as_json()
    assert large.as_json() == table(made_parts(5_000)).as_json()
    assert len(unpacked(large)[0]["values"]) == 5_000


def test_of_too_many_slices_the_most_conspicuous_are_kept(made, monkeypatch):
    monkeypatch.setattr("parentage.report.columns.MOST_ROWS", 6)
    found = table(made)
    assert (found.rows, found.total) == (6, 40)
    columns = {each["name"]: each for each in unpacked(found)}
    assert columns["mismatched"]["values"] == [1] * 6


def test_numbers_that_json_can_not_hold_are_none(made):
    slices = made.slices.with_columns(residual_rms=pl.lit(float("inf")), r2=pl.lit(float("nan")))
    columns = {each["name"]: each for each in unpacked(table(ReportParts(made.document, slices)))}
    assert set(columns["ratio"]["values"]) == {None}
    assert json.dumps(list(columns.values()), allow_nan=False)


def test_nearly_all_is_not_rounded_to_all(made):
    slices = made.slices.with_columns(exact_share=pl.lit(0.9999996))
    columns = {each["name"]: each for each in unpacked(table(ReportParts(made.document, slices)))}
    assert all(each < 1.0 for each in columns["exact_share"]["values"])
