"""Files that are added to a bundle are part of it, and nothing that was altered is made right."""

import pytest
from parentage.bundle import CUSTODY, EVIDENCE, MANIFEST, amend, read_custody
from parentage.support import EvidenceError, WriteError
from parentage.verify import verify


def test_what_is_added_is_verified_as_all_else(bundle):
    amend(bundle, {"notes.html": b"<p>", "more.json": b"{}"}, "note")
    found = verify(bundle)
    assert found.standing == "consistent"
    assert not [each for each in found.findings if each.check == "others"]
    entry = read_custody((bundle / CUSTODY).read_bytes(), CUSTODY)[-1]
    assert (entry["action"], entry["outcome"]) == ("note", {"files": ["more.json", "notes.html"]})
    amend(bundle, {"notes.html": b"<p>again"}, "note")
    assert verify(bundle).standing == "consistent"
    (bundle / "notes.html").write_bytes(b"<p>other")
    assert [each.file for each in verify(bundle).failed] == ["notes.html"]


def test_what_was_altered_before_stays_found(bundle):
    (bundle / "facts.json").write_bytes(b"{}")
    amend(bundle, {"report.html": b"<p>"}, "report")
    assert "facts.json" in {each.file for each in verify(bundle).failed}


@pytest.mark.parametrize("name", [EVIDENCE, MANIFEST, CUSTODY, "statements.jsonl"])
def test_what_a_trace_writes_is_never_replaced(bundle, name):
    before = (bundle / name).read_bytes()
    with pytest.raises(EvidenceError, match="is written by a trace"):
        amend(bundle, {name: b""}, "report")
    assert (bundle / name).read_bytes() == before


def test_what_is_no_bundle_is_an_error_and_stays_as_it_is(bundle, tmp_path):
    with pytest.raises(EvidenceError, match="does not exist"):
        amend(tmp_path / "none", {}, "report")
    with pytest.raises(WriteError):
        amend(bundle, {"none/x": b""}, "report")
    (bundle / MANIFEST).unlink()
    with pytest.raises(EvidenceError, match="is missing"):
        amend(bundle, {}, "report")
