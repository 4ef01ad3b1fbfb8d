"""A base with an adapter added is told by the elements that it gives, and no others."""

from dataclasses import replace

from common.facts import MERGE, whole, wholes
from parentage.recipe import Addition
from parentage.verdict import Added
from parentage.verdict.rules.adapters import adapted

ADDED = Added(Addition("base", 2.0), "2 (alpha/r), in float32", frozenset("x"), 1_000, 1_000)
ALL = wholes(whole(same=0, cast=1_000_000))
GIVEN = replace(
    MERGE,
    equal={"base": 400_000, "parent": 1_000_000},
    added={"parent": ADDED},
    beyond={"parent": 0},
    wholes=ALL,
)
"""A base whose adapter gives all of the child."""


def kind(facts):
    found = adapted(facts)
    return None if found is None else (found.kind, found.level)


def test_all_elements_are_exact():
    found = adapted(GIVEN)
    assert (found.kind, found.level, found.rule) == ("merge", "exact", "adapted")
    assert "base with the adapter parent added, its product times 2 (alpha/r)" in found.text
    assert found.numbers["moved"] == 600_000


def test_without_an_adapter_nothing_is_said():
    assert kind(replace(GIVEN, added={})) is None
    assert kind(replace(GIVEN, added={"control": ADDED})) is None


def test_a_few_that_differ_are_counted():
    found = adapted(replace(GIVEN, equal={"base": 400_000, "parent": 999_990}))
    assert (found.kind, found.level) == ("merge", "statistical")
    assert "99.9990% of the elements compared, and 10 differ; of 1,000 looked at" in found.text
    # Sums that were not looked at are not said to be near.
    unseen = {"parent": replace_added(looked_at=0, rounding=0)}
    found = adapted(replace(GIVEN, equal={"base": 400_000, "parent": 999_990}, added=unseen))
    assert "looked at" not in found.text


def replace_added(**more):
    return ADDED._replace(**more)


def test_many_differ_only_where_all_looked_at_are_near():
    many = replace(GIVEN, equal={"base": 400_000, "parent": 950_000})
    assert kind(many) == ("merge", "statistical")
    far = {"parent": replace_added(rounding=999)}
    assert kind(replace(many, added=far)) is None
    assert kind(replace(many, beyond={"parent": 3})) is None
    # So many differ that near sums are no explanation of the child.
    assert kind(replace(many, equal={"base": 400_000, "parent": 500_000})) is None


def test_a_child_that_is_the_base_is_nobodys_adapter():
    assert kind(replace(GIVEN, equal={"base": 1_000_000, "parent": 1_000_000})) is None
    assert kind(replace(GIVEN, equal={"base": 999_950, "parent": 1_000_000})) is None


def test_too_little_compared_says_nothing():
    assert kind(replace(GIVEN, coverage=0.4)) is None


def test_numbers_that_are_not_finite_are_counted():
    found = adapted(replace(GIVEN, finite=0.999, equal={"base": 400_000, "parent": 999_000}))
    assert "1,000 are not finite in some checkpoint" in found.text


def test_an_adapter_with_anothers_products_is_the_same_otherwise_stored():
    both = {"parent": ADDED, "child": ADDED}
    found = adapted(replace(GIVEN, added=both))
    assert (found.kind, found.level) == ("re-encoded", "exact")
    assert "the adapter child does to base what parent does" in found.text
