"""Pictures, and what charts have in common."""

import copy

import pytest
from common.reports import made_document, made_slices
from parentage.report import ReportParts
from parentage.report.figure import MOST_PARENTS, Drawing, least_of, most_of
from polars import DataFrame, Series


def test_what_is_drawn_is_what_json_holds(figures):
    for each in figures.values():
        columns = each.rows()
        assert {len(values) for values in columns.values()} == {each.frame.height}
        for values in columns.values():
            assert all(x is None or isinstance(x, str | int | float) for x in values)


def test_every_picture_has_words(figures, made_figures):
    for each in [*figures.values(), *made_figures.values()]:
        assert each.title
        assert len(each.caption) > 40
        assert each.alt.endswith(".")
        assert each.subject
        for name, title in each.columns:
            assert name in each.frame.columns
            assert title


def test_pictures_of_many_columns_are_wide(figures):
    weights = figures["weights"]
    assert not weights.is_wide
    many = {name: getattr(weights, name) for name in weights.__dataclass_fields__}
    many["frame"] = DataFrame({"at": [str(each) for each in range(60)]})
    assert type(weights)(**many).is_wide


def test_of_many_parents_those_with_most_weight_have_pictures():
    names = tuple("abcde")
    document = copy.deepcopy(made_document(names))
    for name, weight in zip(names, (0.1, 0.5, 0.2, -0.6, 0.3), strict=True):
        document["model"]["weights"][name] |= {"cells": None, "ols": weight}
    drawing = Drawing(ReportParts(document, made_slices(parents=names)))
    assert drawing.parents == ["b", "d", "e"]
    assert len(drawing.parents) == MOST_PARENTS


def test_extremes_of_nothing_are_what_is_asked_for():
    empty = Series([], dtype=float)
    assert (least_of(empty, 2.0), most_of(empty, 3.0)) == (2.0, 3.0)
    assert (least_of(Series([1.0, 5.0])), most_of(Series([1.0, 5.0]))) == pytest.approx((1.0, 5.0))
