"""Degrees of kinship follow from rules and cosines, and documented thresholds."""

import math

import pytest
from parentage.relatives import RELATIONS, Degrees, degree_of
from parentage.verdict import Thresholds, Verdict


def said(kind, rule="related"):
    return Verdict(kind, "statistical", rule, "", {})


@pytest.mark.parametrize(
    ("verdict", "likeness", "shared", "relation"),
    [
        (said("identical"), 1.0, 1.0, "identical"),
        (said("re-encoded"), 1.0, 1.0, "re-encoded"),
        (said("unrelated"), 0.0, 0.0, "unrelated"),
        (said("undetermined"), 0.99, 0.0, "undetermined"),
        (said("related", "disguised"), 0.0, 0.0, "one family"),
        (None, 0.981, 0.0, "close relatives"),
        (None, 0.979, 0.0, "one family"),
        (None, 0.501, 0.0, "one family"),
        (None, 0.3, 0.0, "undetermined"),
        (None, 0.05, 0.0, "unrelated"),
        (said("assembled", "part_of"), 0.3, 0.02, "one family"),
        (None, math.nan, 0.0, "undetermined"),
    ],
)
def test_a_degree_follows_from_the_verdict_and_from_how_alike_they_are(
    verdict, likeness, shared, relation
):
    assert degree_of(verdict, likeness, shared, lambda: 0.0) == relation
    assert relation in RELATIONS


def test_thresholds_are_those_of_verdicts_and_can_be_others():
    assert Degrees().family == Thresholds().related
    strict = Degrees(close=0.999)
    assert degree_of(None, 0.99, 0.0, lambda: 0.0, strict) == "one family"


def test_strangers_of_which_a_layer_is_alike_elsewhere_are_not_said_to_be_unrelated():
    assert degree_of(None, 0.01, 0.0, lambda: 0.9) == "undetermined"
