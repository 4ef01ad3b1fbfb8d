"""What was found is told in sentences and as JSON, and nothing in it acts on a terminal."""

import json
import math

import polars as pl
from parentage.relatives import Found, summary
from parentage.relatives.found import RELATIVES


def found(**changes):
    rows = [(1, "a\x1b[2J", "one family", 0.9, 0.1, 1.0, None, 1000)]
    table = pl.DataFrame(rows, schema=RELATIVES, orient="row")
    return Found("child", "folder", 2, 1, table, **changes)


def test_relatives_are_counted_and_names_are_escaped():
    text = summary(found(blend=(("a\x1b[2J", 0.6), ("b", 0.4)), r2=0.9, floors=1.0, tried=3))
    assert "1 of 2 sketches are relatives of child; 1 have enough" in text
    assert "best of 3 subsets" in text
    assert "\x1b" not in text


def test_without_a_trace_nothing_is_sure():
    one = found(base="a")
    assert (one.is_sure, one.parents) == (False, ())
    assert "meet at a (" in summary(one)
    told = json.loads(one.to_json())
    assert (told["verdict"], told["sure"], told["base"]) == (None, False, "a")
    assert told["floors"] is None and math.isnan(one.floors)


def test_what_is_proposed_by_lengths_decides_nothing():
    assert "That decides nothing" in summary(found(proposed=("x",)))
