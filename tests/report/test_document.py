"""The document is checked before it is shown."""

import copy

import pytest
from common.reports import made_document
from parentage.report.document import read_document
from parentage.support import ReportError


def test_evidence_of_a_trace_is_read(found):
    document = read_document(found.evidence)
    assert document.verdict.kind == "merge"
    assert [role for role, _ in document.others] == ["base", "parent", "control"]
    assert document.recipe.parents[0].effective_weight == 0.6
    assert document.spectrum.missing is None


def test_what_is_made_up_for_tests_is_evidence():
    assert read_document(made_document()).coverage.slices == 10


@pytest.mark.parametrize("schema", [None, "parentage.evidence/1", "parentage.evidence/3", 2, "<b>"])
def test_another_schema_is_refused_by_name(schema):
    with pytest.raises(ReportError, match=r"schema.*reports are made of parentage\.evidence/2"):
        read_document(made_document() | {"schema": schema})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict",), None),
        (("verdict", "text"), 7),
        (("inputs", "child", "files"), [{"name": "x"}]),
        (("coverage", "of"), {"base": "all"}),
        (("model", "n"), "many"),
        (("components",), []),
        (("recipe", "parents"), {"name": "x"}),
        (("relations",), [1]),
    ],
)
def test_what_is_not_what_it_should_be_is_an_error_that_says_where(path, value):
    document = copy.deepcopy(made_document())
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(ReportError, match=r"evidence\.json: "):
        read_document(document)


def test_a_missing_key_is_an_error():
    for key in ("tool", "inputs", "parameters", "coverage", "model", "components", "verdict"):
        document = made_document()
        del document[key]
        with pytest.raises(ReportError, match=key):
            read_document(document)


def test_a_document_from_before_spectra_is_read():
    document = made_document()
    del document["spectrum"]
    assert read_document(document).spectrum is None
