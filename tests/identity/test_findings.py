"""Findings are put together once, and say nothing that was not given."""

from common.identities import answers_of
from parentage.identity.findings import Findings


def test_they_are_what_was_found():
    answers = answers_of(lambda _: "I am Nex.")
    found = Findings(answers, (), (), (), {}, {}, ())
    assert found.answers is answers
    assert found.other is None
