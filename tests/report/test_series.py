"""Small tables for pictures: right, and small however many slices there are."""

import numpy as np
import polars as pl
import pytest
from common.reports import made_document, made_parts, made_slices, made_spectrum
from parentage.report import ReportParts
from parentage.report.figures import figures_of
from parentage.report.series import MOST_EXPERTS, MOST_LAYERS, OUTSIDE, Series


@pytest.fixture
def series(made):
    return Series(made)


def test_weights_are_means_by_elements(made):
    slices = made.slices.with_columns(
        n=pl.when(pl.col("expert") == 0).then(pl.lit(300, pl.UInt64)).otherwise(pl.col("n")),
        cells=pl.lit(None, pl.Float64),
        rounding_bias=pl.lit(0.01),
    )
    found = Series(ReportParts(made.document, slices)).weights("parent")
    one = found.filter(component="experts", at="2")
    rows = slices.filter(role="parent", component="experts", layer=2)
    expected = np.average(rows["ols"].to_numpy(), weights=rows["n"].to_numpy())
    assert one["weight"].item() == pytest.approx(expected)
    assert one["elements"].item() == 600
    assert one["source"].item() == "least squares"


def test_weights_from_cells_come_first_and_are_said_to_be(made):
    slices = made.slices.with_columns(cells=pl.when(role="parent").then(pl.lit(0.25)))
    found = Series(ReportParts(made.document, slices)).weights("parent")
    assert found["weight"].to_list() == pytest.approx([0.25] * found.height)
    assert set(found["source"]) == {"rounding cells"}


def test_weights_that_rounding_may_have_moved_far_are_not_known(made):
    slices = made.slices.with_columns(
        cells=pl.lit(None, pl.Float64), cells_half_width=pl.lit(None, pl.Float64),
        rounding_bias=pl.when(component="attention").then(0.3).otherwise(0.01),
    )  # fmt: skip
    found = Series(ReportParts(made.document, slices)).weights("parent")
    known = found.filter(pl.col("weight").is_not_null())
    assert set(known["component"]) == {"experts"}
    assert found["guess"].null_count() == 0


def test_slices_outside_of_layers_have_a_column_of_their_own(parts, series):
    assert Series(parts).layers[0] == OUTSIDE
    assert OUTSIDE not in series.layers


@pytest.mark.parametrize(("count", "experts"), [(20_000, 512), (20_000, 1)])
def test_tables_are_small_however_many_slices_there_are(count, experts):
    series = Series(made_parts(count, experts=experts))
    assert len(series.layers) <= MOST_LAYERS + 1
    assert series.weights("parent").height <= 2 * MOST_LAYERS
    assert series.experts("parent").height <= MOST_EXPERTS * MOST_LAYERS
    assert series.residuals.height <= 2 * MOST_LAYERS
    assert series.mismatches["elements"].sum() == count * 100


def test_residuals_are_root_mean_squares(made, series):
    whole = made.slices.unique("slice").filter(component="experts", layer=1)
    expected = np.sqrt((whole["residual_rms"] ** 2).mean()) / 1e-4
    found = series.residuals.filter(component="experts", at="1")
    assert found["ratio"].item() == pytest.approx(expected)


def test_residuals_without_a_floor_are_left_out(made):
    slices = made.slices.with_columns(rounding_rms=pl.lit(0.0))
    assert Series(ReportParts(made.document, slices)).residuals.is_empty()


def test_mismatches_are_counted(series):
    found = series.mismatches
    assert found["off"].sum() == len([each for each in range(40) if each % 7 == 0])
    assert (found["share"] == found["off"] / found["elements"]).all()


def test_without_a_recipe_what_differs_is_what_the_nearest_has_not():
    document = made_document() | {"recipe": None}
    document["model"]["bit_equal"]["parent"] = 99
    slices = made_slices()
    found = Series(ReportParts(document, slices))
    assert found.nearest == "parent"
    rows = slices.filter(checkpoint="parent")
    assert found.mismatches["off"].sum() == (rows["n"] - rows["bit_equal"]).sum()


def test_layers_with_peaks_at_several_weights_are_shown_and_others_not(series, made):
    peaks = series.layer_peaks("parent")
    assert peaks["weight"].to_list() == pytest.approx([0.6, 0.65, 0.7, 0.75])
    found = series.spectrum_layers("parent")
    best = found.sort("share", descending=True).unique("at", keep="first").sort("at")
    for row, weight in zip(best.to_dicts(), (0.6, 0.65, 0.7, 0.75), strict=True):
        assert row["start"] <= weight <= row["end"]
    one = made_spectrum(layers=1)
    assert Series(ReportParts(made.document, made.slices, one)).spectrum_layers("parent").is_empty()


def test_evidence_without_spectra_has_none(made):
    series = Series(ReportParts(made.document, made.slices))
    assert series.spectrum_parents == []
    assert series.spectrum("parent").is_empty()
    assert series.spectrum_layers("parent").is_empty()


def test_an_empty_table_is_no_error(made):
    series = Series(ReportParts(made.document, made.slices.clear(), made.spectrum.clear()))
    assert series.layers == []
    assert series.weights("parent").is_empty()
    assert series.experts("parent").is_empty()
    assert series.mismatches.is_empty()


def test_spectra_that_make_no_sense_are_left_out(made):
    for change in (
        {"kind": pl.lit("decoy")}, {"kind": pl.lit("<b>")}, {"intervals": pl.lit(0, pl.UInt64)},
        {"parent": pl.lit(None, pl.String)},
    ):  # fmt: skip
        parts = ReportParts(made.document, made.slices, made.spectrum.with_columns(**change))
        assert Series(parts).spectrum_parents == []
        assert "spectrum" not in {each.name for each in figures_of(parts)}
