"""What a report is made of."""

from parentage.report import ReportParts


def test_findings_lie_beside_the_document_and_are_not_taken_from_it(parts):
    beside = ReportParts(parts.document, parts.slices, None, {"metadata": {"a": 1}})
    assert beside.other("metadata") == {"a": 1}
    inside = ReportParts(dict(parts.document) | {"metadata": {"b": 2}}, parts.slices)
    assert inside.other("metadata") is None
    assert parts.other("custody") is None


def test_the_document_is_read_once(parts):
    assert parts.read is parts.read
