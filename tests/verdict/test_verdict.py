"""Verdicts: kind, level, rule, text and numbers."""

from dataclasses import FrozenInstanceError

import pytest
from common.facts import LINE, MERGE, TUNED
from parentage.verdict import KINDS, RULES, Verdict, decide


def test_kinds_are_told_once_and_the_last_is_that_nothing_is_told():
    assert len(set(KINDS)) == len(KINDS)
    assert KINDS[-1] == "undetermined"
    assert all(kind == kind.lower() for kind in KINDS)


@pytest.mark.parametrize("facts", [MERGE, LINE, TUNED], ids=["merge", "line", "tuned"])
def test_what_is_decided_is_a_kind_by_a_rule_with_numbers(facts):
    found = decide(facts)
    assert found.kind in KINDS
    assert found.level in ("exact", "statistical", "circumstantial")
    assert found.rule in {rule.__name__ for rule in RULES} | {"undetermined"}
    assert found.text
    assert found.numbers


def test_a_line_has_kind_level_and_text_and_nothing_changes_later():
    verdict = Verdict("merge", "exact", "replayed", "All of it.", {"share": 1.0})
    assert str(verdict) == "merge (exact): All of it."
    with pytest.raises(FrozenInstanceError):
        verdict.kind = "identical"
