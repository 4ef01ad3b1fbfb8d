"""What follows from findings."""

import pytest
from parentage.support import EvidenceError, ReadError
from parentage.verify import FAILED, OK, UNCHECKED, Finding, Verification
from parentage.verify.finding import guarded

GOOD = Finding("a", OK, "fine")
BAD = Finding("b", FAILED, "not \x1b fine", "f")
LEFT = Finding("c", UNCHECKED, "left")


@pytest.mark.parametrize(
    ("findings", "slices", "standing"),
    [
        ((GOOD, LEFT), None, "consistent"),
        ((GOOD, LEFT), {"read": 3}, "reproduced"),
        ((GOOD, BAD), {"read": 3}, "refuted"),
        ((GOOD, LEFT), {"read": 0}, "consistent"),
        ((BAD,), None, "refuted"),
    ],
)
def test_one_check_that_fails_refutes(findings, slices, standing):
    found = Verification("x", findings, slices=slices)
    assert found.standing == standing
    assert found.is_refuted == (standing == "refuted")
    assert found.outcome == {"standing": standing, "slices": slices}
    assert [each.check for each in found.failed] == (["b"] if BAD in findings else [])


def test_json_holds_all_findings_and_nothing_that_acts_on_a_terminal():
    told = Verification("x", (GOOD, BAD), None, "abc").as_dict()
    assert told["schema"] == "parentage.verification/1"
    assert told["findings"][1] == {
        "check": "b", "status": "failed", "file": "f", "text": r"not \x1b fine",
    }  # fmt: skip
    assert (told["manifest"], told["verdict"]) == ("abc", None)


@pytest.mark.parametrize(
    "error",
    [
        *(KeyError("x"), LookupError("x"), ZeroDivisionError(), RecursionError(), AssertionError()),
        *(EvidenceError("f: x"), ValueError("x"), TypeError("x"), StopIteration()),
    ],
)
def test_what_an_edited_file_ends_in_is_a_finding(error):
    def run(_):
        yield GOOD
        raise error

    (found,) = guarded("a", "f", run, 5)
    assert (found.check, found.status, found.file) == ("a", FAILED, "f")
    assert not found.text.startswith("f: ")


def test_a_checkpoint_that_can_not_be_read_is_an_error():
    def run():
        raise ReadError("gone")
        yield

    with pytest.raises(ReadError, match="gone"):
        guarded("a", "f", run)
