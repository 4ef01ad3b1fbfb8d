"""Phrases, their ranges, and numbers in prose."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from parentage.places.change import KINDS, Change, phrase, some

ROOT = Path(__file__).parents[2]


def test_numbers_that_differ_become_ranges():
    changes = [
        Change("few", "{few:count} of {share:percent}", {"few": n, "share": 0.5}) for n in (1, 2000)
    ]
    assert phrase(changes) == "1 to 2,000 of 50%"
    assert phrase(changes[:1]) == "1 of 50%"


def test_names_are_never_taken_for_fields():
    change = Change("copy", "{name}'s", {"share": 0.5}, {"name": "{share}"})
    assert change.text == "{share}'s"


def test_places_are_left_out_where_they_differ():
    one, two = (Change("rows", "rows{which}", {}, {"which": f" ({i})"}) for i in (1, 2))
    assert one.key == two.key
    assert (one.text, phrase([one, two])) == ("rows (1)", "rows")


def test_other_labels_tell_apart():
    one, two = (Change("copy", "{name}'s", {}, {"name": name}) for name in "ab")
    assert one.key != two.key


@given(st.sets(st.integers(0, 200), min_size=1))
def test_all_numbers_are_named_or_counted(numbers):
    text = some(sorted(numbers), most=400)
    named = set()
    for part in text.replace(" and ", ", ").split(", "):
        first, _, last = part.partition(" to ")
        named.update(range(int(first), int(last or first) + 1))
    assert named == numbers
    short = some(sorted(numbers), most=2)
    assert len(short) < 40


def test_every_kind_is_described():
    page = (ROOT / "docs" / "places.md").read_text("utf-8")
    told = {
        kind
        for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        for kind in re.findall(r"`([a-z ]+)`", row)
    }
    assert told == set(KINDS)
