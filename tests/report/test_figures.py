"""Which pictures there are, and that all are charts of Vega-Lite."""

import sys

import altair
import pytest
from common.reports import MARKUP, made_document, made_slices
from parentage.report import ReportParts
from parentage.report.figures import figures_of
from parentage.support import ReportError


def test_a_merge_has_every_picture_that_there_is_something_to_show_of(figures, made_figures):
    assert list(figures) == ["spectrum", "weights", "residual", "controls"]
    assert list(made_figures) == [
        "spectrum", "spectrum-layers", "weights", "experts", "residual", "mismatches", "controls",
    ]  # fmt: skip


def test_several_parents_have_pictures_of_their_own():
    document = made_document(("one", "two"))
    names = [
        each.name for each in figures_of(ReportParts(document, made_slices(parents=("one", "two"))))
    ]
    assert names[:4] == ["weights-1", "experts-1", "weights-2", "experts-2"]


def test_without_a_parent_what_is_left_is_shown():
    document = made_document() | {"recipe": None}
    document["inputs"] = document["inputs"] | {"parents": [], "controls": []}
    document["model"] = document["model"] | {"weights": {}, "cosine": {}}
    document["components"] = {}
    slices = made_slices(parents=(), controls=())
    assert [each.name for each in figures_of(ReportParts(document, slices))] == [
        "residual", "mismatches",
    ]  # fmt: skip


def test_charts_keep_to_their_schema(figures, made_figures, hostile):
    for each in [*figures.values(), *made_figures.values(), *figures_of(hostile)]:
        altair.Chart.from_dict(each.spec)


def texts(spec, names=("domain", "sort", "values", "datasets")):
    """Yield all text in a specification that does not stand where names stand."""
    if isinstance(spec, dict):
        for key, value in spec.items():
            if key not in names:
                yield from texts(value, names)
    elif isinstance(spec, list):
        for each in spec:
            yield from texts(each, names)
    elif isinstance(spec, str):
        yield spec


def test_names_are_data_and_no_part_of_expressions(hostile):
    for each in figures_of(hostile):
        # Titles of axes are plain text.
        found = [text for text in texts(each.spec) if MARKUP[:9] in text]
        assert all(text.startswith("weight of ") for text in found)
        assert "href" not in str(each.spec)
        assert "url" not in str(each.spec)


def test_without_altair_it_is_said(made, monkeypatch):
    for name in [each for each in sys.modules if each.partition(".")[0] == "altair"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(ReportError, match="altair, which describes charts, is not at hand"):
        figures_of(made)
