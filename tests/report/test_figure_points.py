"""Pictures of points."""

import polars as pl
from common.reports import made_document, made_slices
from parentage.report import ReportParts
from parentage.report.figure import Drawing
from parentage.report.figure_points import controls_figure, residual_figure


def test_residuals_of_a_merge_lie_at_the_floor(figures):
    ratios = figures["residual"].frame["ratio"]
    assert ratios.max() < 1.5
    assert figures["residual"].alt.endswith("times the rounding floor.")


def test_what_is_far_beyond_the_floor_is_drawn_at_the_edge_and_told_so(made):
    slices = made.slices.with_columns(residual_rms=pl.lit(1e6))
    found = residual_figure(Drawing(ReportParts(made.document, slices)))
    assert found.frame["shown"].max() == 1e4
    assert found.alt == "Between more than 10,000 and more than 10,000 times the rounding floor."


def test_parents_and_controls_are_beside_each_other(figures):
    found = figures["controls"]
    assert found.title == "Parents against controls"
    assert set(found.frame["role"]) == {"parent", "control"}
    assert found.alt.startswith("Cosine over the whole model: parent (parent) 0.99")


def test_that_there_is_no_control_is_said():
    document = made_document(controls=())
    found = controls_figure(Drawing(ReportParts(document, made_slices(controls=()))))
    assert found.title == "How alike the changes are"
    assert "No control was offered" in found.caption


def test_without_a_parent_it_is_the_difference_from_the_base():
    document = made_document()
    document["inputs"] = document["inputs"] | {"parents": []}
    found = residual_figure(Drawing(ReportParts(document, made_slices())))
    assert found.title.startswith("The difference from the base")
