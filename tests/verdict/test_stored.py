"""Facts that were stored decide as those that were looked at."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from common.facts import LINE, MERGE, REPLAYED, TUNED
from common.families import F32, FAMILY, stored
from common.merges import merged
from common.traced import disturbed, trace
from hypothesis import given
from hypothesis import strategies as st
from parentage.support import EvidenceError
from parentage.verdict import (
    FACTS_SCHEMA,
    Asked,
    Facts,
    decide,
    decided_relations,
    restored_facts,
    stored_facts,
    watched,
)


def journey(facts):
    """Return a verdict, what was stored of the facts, and the facts again."""
    seen, asked = watched(facts)
    verdict = decide(seen)
    data = json.loads(json.dumps(stored_facts(seen, asked), allow_nan=False))
    return verdict, data, restored_facts(data)


@pytest.mark.parametrize("facts", [MERGE, REPLAYED, LINE, TUNED])
def test_the_same_rules_say_the_same_of_stored_facts(facts):
    verdict, data, again = journey(facts)
    assert decide(again) == verdict
    assert data["schema"] == FACTS_SCHEMA
    assert decided_relations(again, verdict) == decided_relations(facts, verdict)


NUMBER = st.floats() | st.floats(0, 1)


@given(
    st.sampled_from([MERGE, LINE, TUNED]),
    st.fixed_dictionaries(
        dict.fromkeys(("r2", "r2_slices", "residual_floors", "origin_r2", "finite"), NUMBER)
    ),
)
def test_whatever_the_numbers_are(facts, numbers):
    verdict, _, again = journey(replace(facts, **numbers))
    assert repr(decide(again)) == repr(verdict)


def decided_again(found):
    again = restored_facts(json.loads(json.dumps(found.facts, allow_nan=False)))
    verdict = decide(again)
    assert verdict == found.verdict
    assert decided_relations(again, verdict) == found.relations
    return again


@pytest.mark.parametrize("change", [{}, {"scale": 5e-4}, {"scale": 5e-4, "only": "layers.1"}])
def test_real_traces_are_decided_again(tmp_path, change):
    child = merged("linear", "float32", {"one": 0.5, "two": 0.3, "base": 0.2})
    found = trace(tmp_path, disturbed(child, **change) if change else child, ["one", "two"])
    decided_again(found)


def test_so_are_copies_strangers_parts_and_samples(tmp_path):
    random = np.random.default_rng(8)
    cases = {
        "copy": (stored(FAMILY["one"]), {}),
        "cast": ({name: x.astype(F32) for name, x in stored(FAMILY["one"]).items()}, {}),
        "stranger": (
            {
                n: random.normal(0, 0.03, x.shape).astype(x.dtype)
                for n, x in stored(FAMILY["one"]).items()
            },
            {},
        ),
        "parts": ({**stored(FAMILY["one"]), "model.layers.9.new.weight": np.ones((4, 4), F32)}, {}),
        "sample": (stored(FAMILY["one"]), {"sample": "50%"}),
    }
    for name, (child, options) in cases.items():
        decided_again(trace(tmp_path / name, child, ["one", "two"], **options))


def test_names_are_stored_once_and_long_lists_as_places(tmp_path):
    found = trace(tmp_path, stored(FAMILY["one"]), ["two"], recipes=False)
    assert found.facts["facts"]["shared"]["base"]["others"].keys() == {"names"}
    assert len(found.facts["names"]) == found.tables.number_of_slices
    decided_again(found)


def test_what_was_not_asked_is_not_there_and_asking_is_an_error():
    _, data, again = journey(REPLAYED)
    assert data["asked"].keys() <= {"constants"}
    with pytest.raises(EvidenceError, match=r"ask for structure\(\), which was not kept"):
        again.structure()


def test_the_order_in_which_was_asked_counts_for_nothing():
    one, other = Asked(), Asked()
    for name in ("p", "q"):
        one.answers.setdefault("angle", {})["base", "child", name] = 0.5
    for name in ("q", "p"):
        other.answers.setdefault("angle", {})["base", "child", name] = 0.5
    assert json.dumps(stored_facts(MERGE, one)) == json.dumps(stored_facts(MERGE, other))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(schema="parentage.facts/9"), "is of the schema 'parentage.facts/9'"),
        (lambda d: d.pop("asked"), "holds no facts"),
        (lambda d: d.update(more=1), "holds no facts"),
        (lambda d: d.update(names=[1]), r"names\[0\]: 1 where str"),
        (lambda d: d.update(facts=[]), "facts: no object"),
        (lambda d: d.update(asked=[]), "asked: no object"),
        (lambda d: d.update(asked={"secret": []}), "asked: has 'secret'"),
        (lambda d: d.update(asked={"angle": [[["a"], 1.0]]}), r"asked.angle\[0\]\[0\]: 1 entries"),
        (lambda d: d["facts"].update(r2="x"), "facts.r2: 'x' where float"),
        (lambda d: d["facts"].pop("r2"), "facts: lacks 'r2'"),
        (lambda d: d["facts"].update(quantised=[{"recipe": 5}]), "facts.quantised"),
    ],
)
def test_what_is_no_facts_is_an_error_that_says_where(change, said):
    _, data, _ = journey(MERGE)
    change(data)
    with pytest.raises(EvidenceError, match=f"^x/facts.json: .*{said}"):
        restored_facts(data, "x/facts.json")
    with pytest.raises(EvidenceError):
        restored_facts([], "x")


def test_every_fact_is_stored_or_asked():
    _, data, _ = journey(MERGE)
    asked = {"crossed", "remainder", "displacement", "angle", "excess", "changes", "names"}
    asked |= {"changes_of_blend", "structure", "invariants", "blends_of_layers"}
    assert {each.name for each in fields(Facts)} == data["facts"].keys() | asked
