"""What a report is made of."""

from parentage.report import ReportParts


def test_findings_stand_in_the_document_or_beside_it(parts):
    beside = ReportParts(parts.document, parts.slices, None, {"metadata": {"a": 1}})
    assert beside.other("metadata") == {"a": 1}
    inside = ReportParts(dict(parts.document) | {"metadata": {"b": 2}}, parts.slices)
    assert inside.other("metadata") == {"b": 2}
    assert parts.other("custody") is None


def test_the_document_is_read_once(parts):
    assert parts.read is parts.read
