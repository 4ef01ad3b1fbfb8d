"""Heat maps."""

import polars as pl
from common.reports import made_document, made_slices
from parentage.report import ReportParts
from parentage.report.figure import Drawing
from parentage.report.figure_maps import experts_figure, mismatches_figure, weights_figure


def test_one_weight_everywhere_is_told_as_one(figures):
    assert figures["weights"].alt.startswith("The weight of parent is 0.600 wherever it is known")


def test_weights_that_differ_are_told_by_their_ends(made):
    slices = made.slices.with_columns(
        cells=pl.when(role="parent").then(pl.col("layer") / 10.0), cells_half_width=pl.lit(1e-6)
    )
    found = weights_figure(Drawing(ReportParts(made.document, slices)), "parent", "weights")
    assert found.alt == "The weight of parent goes from 0.000 to 0.700."


def test_the_scale_holds_weights_beyond_one(made):
    slices = made.slices.with_columns(cells=pl.when(role="parent").then(pl.lit(-1.5)))
    found = weights_figure(Drawing(ReportParts(made.document, slices)), "parent", "weights")
    assert found.spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [-1.5, 1.0]


def test_experts_have_a_column_each(made_figures):
    found = made_figures["experts"]
    assert set(found.frame["expert"]) == {"0", "1", "2", "3"}
    assert found.frame.height == 4 * 8


def test_a_model_without_experts_has_no_picture_of_them(parts):
    assert experts_figure(Drawing(parts), "parent", "experts") is None


def test_mismatches_are_told_in_numbers(made_figures):
    assert made_figures["mismatches"].alt == (
        "6 of 4,000 elements (0.15%) are not what the recipe gives."
    )


def test_where_nothing_is_off_there_is_no_picture(parts):
    assert mismatches_figure(Drawing(parts)) is None


def test_without_a_recipe_it_is_the_nearest_that_differs():
    document = made_document() | {"recipe": None}
    document["model"]["bit_equal"]["base"] = 99
    found = mismatches_figure(Drawing(ReportParts(document, made_slices())))
    assert found.title == "Where the child differs"
    assert "differ from base, the checkpoint with most of the child's bits" in found.alt
