"""What was decided of each checkpoint."""

from dataclasses import replace

import pytest
from common.facts import LINE, REPLAYED, TUNED, UNDECIDED
from parentage.verdict import decide, decided_relations

pytestmark = pytest.mark.levels


def said(facts):
    return {
        each.name: (each.relation, each.test) for each in decided_relations(facts, decide(facts))
    }


def test_a_merge_has_ancestors():
    assert said(REPLAYED) == dict.fromkeys(("base", "parent"), ("ancestor", "both_ways"))
    open_ = replace(REPLAYED, both_ways=UNDECIDED)
    assert said(open_) == dict.fromkeys(("base", "parent"), ("undecided", None))


def test_kin_is_undecided():
    assert set(said(LINE).values()) == {("undecided", None)}


def test_a_fine_tune_has_siblings_and_an_older_base_is_not_tested():
    assert said(TUNED) == {"base": ("undecided", None), "parent": ("sibling", "meeting")}


def test_descendants_and_strangers_are_told():
    facts = replace(LINE, descendants=("parent",), likeness={"base": 0.001, "parent": 0.99})
    assert said(facts) == {"base": ("stranger", "cosine"), "parent": ("descendant", "both_ways")}


def test_a_relation_is_plain_data():
    (first, *_) = decided_relations(REPLAYED, decide(REPLAYED))
    assert first.as_dict()["numbers"]["forward"] == 1.0
