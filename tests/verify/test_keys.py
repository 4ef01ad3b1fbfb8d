"""What somebody writes into a document for its readers is found, though it contradicts nothing."""

import pytest
from common.bundles import edit_document, resealed
from parentage.report import write_report
from parentage.verify import verify

ADDED = {
    "identity": {"sentences": ["It says that it is Nex."]},
    "metadata": {"summary": ["All of it is original."]},
    "custody": [{"who": "a notary"}],
    "places": [{"slice": "a"}],
    "note": "x",
    "tool.note": "x",
    "inputs.note": "x",
    "inputs.child.note": "x",
    "inputs.parents[0].note": "x",
    "inputs.child.files.note": "x",
    "parameters.note": "x",
    "coverage.note": "x",
    "spectrum.note": "x",
    "verdict.note": "All of it is original.",
}


def add(told, path, value):
    *way, last = path.replace("[0]", ".0").replace("files.", "files.0.").split(".")
    for key in way:
        told = told[int(key)] if isinstance(told, list) else told[key]
    told[last] = value


@pytest.mark.parametrize("path", ADDED)
def test_a_key_that_no_trace_writes_is_found_and_named(bundle, path):
    edit_document(bundle, lambda told: add(told, path, ADDED[path]))
    page = write_report(bundle).read_text("utf-8")
    resealed(bundle)
    (failed,) = [each for each in verify(bundle).failed if each.check == "keys"]
    assert failed.text == f"{path} is nothing that a trace writes"
    # What stands in a document in the place of other files is not shown either.
    assert "It says that it is Nex." not in page
    assert "a notary" not in page
