"""Values are alike as far as they are told to be."""

import math

import pytest
from parentage.verify.comparing import alike, differences, held, short


@pytest.mark.parametrize(
    ("one", "other", "tolerance", "expected"),
    [
        (1, 1.0, 0.0, True),
        (True, 1, 0.0, False),
        (math.nan, math.nan, 0.0, True),
        (math.nan, 1.0, 1.0, False),
        (1.0, 1.0 + 1e-10, 0.0, False),
        (1.0, 1.0 + 1e-10, 1e-9, True),
        ({"a": [1.0, None]}, {"a": (1.0 + 1e-12, None)}, 1e-9, True),
        ({"a": 1}, {"a": 1, "b": None}, 0.0, False),
        ([1], [1, 1], 0.0, False),
        ("a", "a", 0.0, True),
    ],
)
def test_numbers_are_alike_within_a_tolerance_and_nothing_else(one, other, tolerance, expected):
    assert alike(one, other, tolerance) == expected
    assert alike(other, one, tolerance) == expected


def test_each_value_that_is_another_is_told_or_all_that_holds():
    assert [x.status for x in held("a", "f", {"x": (1, 1)}, "all is well")] == ["ok"]
    told = list(held("a", "f", {"x": (1, 2), "y": (1, 1), "z": ("b", None)}, "all is well"))
    assert [each.text for each in told] == [
        "x is 1, and made again it is 2",
        'z is "b", and made again it is null',
    ]


def test_what_is_long_is_cut():
    assert len(short("a" * 10_000)) == 240


def paths(one, other):
    return [path for path, _, _ in differences(one, other)]


def test_differences_are_told_by_their_paths():
    one = {"a": [1, {"b": 2}], "c": True}
    assert paths(one, {"a": [1, {"b": 3}], "c": 1}) == ["a[1].b", "c"]
    assert paths(one, {"a": [1], "d": 0}) == ["a[1]", "c", "d"]
    assert paths(one, one) == []


def test_what_is_not_there_is_not_null():
    assert paths({"a": None}, {}) == ["a"]
    assert paths([None], []) == ["[0]"]
    assert paths({"a": True}, {"a": 1}) == ["a"]
