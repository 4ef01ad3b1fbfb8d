"""Text for people: sorted by its numbers, harmless on a terminal, and shares as percentages."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.support import are, natural_key, number_ranges, percent, printable, runs_of
from parentage.support.text import MOST_RUNS


def test_names_sort_by_their_numbers():
    names = ["layers.10.b", "layers.2.b", "layers.2.a", "layers.02.c", "layers", "10", "9", "a1"]
    expected = ["9", "10", "a1", "layers", "layers.2.a", "layers.2.b", "layers.02.c", "layers.10.b"]
    assert sorted(names, key=natural_key) == expected


@given(st.lists(st.text(alphabet="ab.019²٣", max_size=12)))
def test_any_names_can_be_sorted(names):
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model.layers.0.weight", "model.layers.0.weight"),
        ("Größe 层", "Größe 层"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\rb\nc\td\x00", r"a\rb\nc\td\x00"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("\u2066a\u2069\u200f\u2028", r"\u2066a\u2069\u200f\u2028"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_escaped(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_printable_text_moves_no_cursor(text):
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in printable(text))


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100%"), (0.99999, "99.9%"), (0.25, "25%"), (0.00012, "0.012%")]
)
def test_a_percentage_is_all_only_of_all(share, text):
    assert percent(share) == text


@given(st.lists(st.integers(0, 9), max_size=MOST_RUNS))
def test_numbers_come_back_from_their_runs(numbers):
    back = []
    for run in number_ranges(numbers).split(", "):
        ends = [int(each) for each in run.replace(" down to ", " to ").split(" to ") if each]
        step = -1 if "down" in run else 1
        back += list(range(ends[0], ends[-1] + step, step)) if ends else []
    assert back == numbers


def test_many_runs_are_cut():
    said = number_ranges([0, 2] * 100)
    assert said.endswith(", ...")
    assert len(said.split(", ")) == MOST_RUNS + 1


@given(st.lists(st.integers(0, 9)))
def test_runs_hold_each_number_in_its_place(numbers):
    runs = runs_of(numbers)
    assert [x for first, last in runs for x in range(first, last + 1)] == numbers
    assert all(following[0] != run[1] + 1 for run, following in pairwise(runs))


def test_one_is_and_others_are():
    assert [are(count) for count in (0, 1, 2)] == ["are", "is", "are"]
