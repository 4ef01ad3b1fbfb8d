"""Rules in their order: there is a verdict on anything."""

import math
from dataclasses import replace

import pytest
from common.facts import LINE, MERGE, REPLAYED, TUNED, kind
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.verdict import KINDS, RULES, Facts, decide

pytestmark = pytest.mark.levels


def test_the_examples_are_what_they_are_meant_to_be():
    assert kind(MERGE) == "merge"
    assert kind(REPLAYED) == "merge"
    assert kind(LINE) == "related"
    assert kind(TUNED) == "fine-tune"


def test_a_verdict_names_its_rule_its_numbers_and_its_level():
    verdict = decide(MERGE)
    assert (verdict.level, verdict.rule) == ("statistical", "merge")
    assert verdict.numbers["weight_parent"] == 0.6
    assert verdict.numbers["stray_share"] == 0.0
    assert "0.6000 parent + 0.4000 base" in verdict.text
    assert str(verdict) == f"merge (statistical): {verdict.text}"


NUMBER = st.floats() | st.floats(0, 1) | st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf])
COUNT = st.integers(0, 10**15)


@st.composite
def any_evidence(draw):
    parents = draw(st.lists(st.sampled_from("pqr"), unique=True, max_size=3))
    controls = draw(st.lists(st.sampled_from("xy"), unique=True, max_size=2))
    others = ["base", *parents, *controls]

    def each(names, values):
        return {name: draw(values) for name in names}

    elements = draw(st.integers(1, 10**15))
    return Facts(
        child="child",
        base="base",
        elements=elements,
        extent=elements,
        coverage=draw(NUMBER),
        equal=each(others, COUNT | st.just(elements)),
        weights=each(parents, NUMBER),
        log10_p=each(parents, NUMBER),
        condition=draw(NUMBER),
        r2=draw(NUMBER),
        r2_slices=draw(NUMBER),
        residual_floors=draw(NUMBER),
        residual_floors_slices=draw(NUMBER),
        distance_floors=each(others, NUMBER),
        likeness=each(others, NUMBER),
        origin=draw(st.sampled_from(["base", *parents])),
        origin_r2=draw(NUMBER),
        strange_share=draw(NUMBER),
        slices=draw(st.integers(1, 10**6)),
        finite=draw(st.floats(0, 1)),
        crossed=dict,
        unmoved=draw(COUNT),
        stray=draw(COUNT),
        bias=each(parents, NUMBER),
    )


@settings(max_examples=400)
@given(any_evidence())
def test_there_is_a_verdict_on_anything(evidence):
    verdict = decide(evidence)
    assert verdict.kind in KINDS
    assert verdict.level in ("exact", "statistical", "circumstantial")
    assert verdict.rule in {rule.__name__ for rule in (*RULES, decide)} | {"undetermined"}
    assert verdict.text.endswith(".")
    assert (verdict.level == "exact") == (verdict.kind in ("identical", "re-encoded", "assembled"))


@settings(max_examples=200)
@given(any_evidence())
def test_nothing_is_decided_by_what_is_not_a_number(evidence):
    """Without a residual there is no merge, and without a cosine there are no strangers."""
    nan = math.nan
    unknown = replace(
        evidence,
        r2_slices=nan,
        residual_floors_slices=nan,
        likeness=dict.fromkeys(evidence.likeness, nan),
    )
    assert decide(unknown).kind not in ("merge", "merge-then-changed", "unrelated")


def test_what_may_only_be_in_another_order_is_not_called_unrelated(monkeypatch):
    unrelated = replace(decide(MERGE), kind="unrelated", rule="stranger", text="nothing in common")
    monkeypatch.setattr("parentage.verdict.deciding.RULES", (lambda _facts: unrelated,))
    assert decide(MERGE).kind == "unrelated"
    verdict = decide(replace(MERGE, unordered=("base",)))
    assert (verdict.kind, verdict.rule) == ("undetermined", "order_not_looked_for")
    assert "nothing in common" in verdict.text
