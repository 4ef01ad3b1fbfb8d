"""Pictures of cell spectra."""

import polars as pl
from common.reports import made_document, made_slices, made_spectrum
from parentage.report import ReportParts
from parentage.report.figure import Drawing
from parentage.report.figure_spectra import spectrum_figure, spectrum_layers_figure


def figure(spectrum, document=None, slices=None):
    parts = ReportParts(
        document or made_document(), made_slices() if slices is None else slices, spectrum
    )
    return spectrum_figure(Drawing(parts), "parent", "spectrum")


def top(found):
    return found.spec["layer"][0]["encoding"]["y"]["scale"]["domain"][1]


def test_the_peak_is_told_beside_those_of_decoy_and_control(figures):
    told = figures["spectrum"].alt
    assert told.startswith("100% of the rounding cells admit the weight 0.6; ")
    assert "a decoy is admitted by" in told
    assert "a control is admitted by" in told
    assert set(figures["spectrum"].frame["kind"]) == {"parent", "decoy", "control"}


def test_the_axis_goes_to_all_but_for_low_peaks_that_are_no_chance():
    whole = made_spectrum()
    assert top(figure(whole)) == 1.0
    low = whole.with_columns(intervals=pl.lit(5_000, pl.UInt64))
    found = figure(low)
    assert top(found) == 0.3
    assert "The axis ends at 30%." in found.caption
    # What is no higher than a decoy is not blown up.
    none = low.with_columns(admitted=pl.col("admitted").clip(upper_bound=40))
    assert top(figure(none)) == 1.0


def test_where_others_are_held_is_said():
    document = made_document(("parent", "other"))
    document["spectrum"]["held"] = {"parent": 0.6, "other": None}
    slices = made_slices(parents=("parent", "other"))
    found = figure(made_spectrum(), document, slices)
    assert "other at weights that differ by tensor" in found.caption


def test_weights_by_layer_are_told(made_figures):
    told = made_figures["spectrum-layers"].alt
    assert "layer 0: 0.6, layer 1: 0.65, layer 2: 0.7, layer 3: 0.75" in told


def test_layers_that_agree_have_no_picture():
    parts = ReportParts(made_document(), made_slices(), made_spectrum(layers=1))
    assert spectrum_layers_figure(Drawing(parts), "parent", "layers") is None
