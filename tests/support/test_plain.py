"""Data classes become data, and the same again; what is no such data is refused."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.support import Plain


class Pair(NamedTuple):
    one: int
    other: str | None


@dataclass(frozen=True)
class Inner:
    share: float
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    ask: Callable[[], int]
    inner: Inner | None
    numbers: Mapping[str, float]
    layers: Mapping[int, float]
    pairs: tuple[Pair, ...]
    chosen: frozenset[str] = frozenset()
    told: Callable[[], int] = lambda: 7
    is_it: bool = False
    either: int | str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


FLOATS = st.floats(allow_subnormal=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=3)
KNOWN = ("a", "b", "c", "d")
VALUES = st.builds(
    Outer,
    ask=st.just(lambda: 1),
    inner=st.none() | st.builds(Inner, FLOATS, st.lists(st.sampled_from(KNOWN)).map(tuple)),
    numbers=st.dictionaries(TEXTS, FLOATS, max_size=3),
    layers=st.dictionaries(st.integers(0, 9), FLOATS, max_size=3),
    pairs=st.lists(st.builds(Pair, st.integers(), st.none() | TEXTS), max_size=3).map(tuple),
    chosen=st.frozensets(TEXTS, max_size=6),
    told=st.just(lambda: 1),
    is_it=st.booleans(),
    either=st.none() | st.integers() | TEXTS,
)
PLAIN = Plain(names=KNOWN)


@given(VALUES)
def test_what_is_written_is_read_bit_for_bit(value):
    data = PLAIN.write(value)
    again = PLAIN.read(Outer, json.loads(json.dumps(data, allow_nan=False)))
    assert repr(PLAIN.write(again)) == repr(data)
    assert again.told() == 7
    with pytest.raises(LookupError):
        again.ask()
    assert again.chosen == value.chosen
    assert again.pairs == value.pairs


def test_texts_that_are_known_are_written_as_places():
    assert PLAIN.write(("a", "c", "a", "d")) == {"names": [0, 2, 0, 3]}
    assert PLAIN.write(("a", "c")) == ["a", "c"]
    assert PLAIN.read(tuple[str, ...], {"names": [3, 0]}) == ("d", "a")


def test_numbers_of_numpy_are_numbers():
    found = PLAIN.write((np.float64(0.5), np.int64(3), np.bool_(True), np.float64("nan")))
    assert found == [0.5, 3, True, "nan"]
    assert [type(x) for x in found] == [float, int, bool, str]
    assert math.isnan(PLAIN.read(float, "nan"))


def test_what_is_no_data_is_an_error():
    with pytest.raises(TypeError, match="object is no data"):
        PLAIN.write(object())


GOOD = PLAIN.write(Outer(int, None, {}, {}, ()))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("numbers", [], "x.numbers: .* an object"),
        ("numbers", {"a": "b"}, "x.numbers.a: 'b' where float"),
        ("numbers", {"a": True}, "x.numbers.a: True where float"),
        ("layers", [[1, 2, 3]], r"x.layers\[0\]: 3 entries where 2"),
        ("layers", [["a", 0.5]], r"x.layers\[0\]\[0\]: 'a' where int"),
        ("pairs", [{"one": 1}], r"x.pairs\[0\]: lacks 'other'"),
        ("pairs", [{"one": 1, "other": None, "third": 2}], r"x.pairs\[0\]: has 'third'"),
        ("pairs", [5], r"x.pairs\[0\]: 5 where an object"),
        ("inner", {"share": 1.0, "names": {"names": [9]}}, "x.inner.names: names a place"),
        ("inner", {"share": 1.0, "names": {"names": [-1]}}, "x.inner.names: names a place"),
        ("inner", {"share": 1.0, "names": {"names": [True]}}, "x.inner.names: names a place"),
        ("is_it", 1, "x.is_it: 1 where bool"),
        ("either", 0.5, "x.either: 0.5 where str"),
        ("chosen", "abc", "x.chosen: 'abc' where a list"),
    ],
)
def test_an_error_says_where_and_what_is_expected(name, value, said):
    with pytest.raises(ValueError, match=said):
        PLAIN.read(Outer, {**GOOD, name: value}, "x")


def test_a_field_that_is_not_known_or_missing_is_an_error():
    with pytest.raises(ValueError, match="has 'new', which is not known here"):
        PLAIN.read(Outer, {**GOOD, "new": 1}, "x")
    with pytest.raises(ValueError, match="lacks 'numbers'"):
        PLAIN.read(Outer, {k: v for k, v in GOOD.items() if k != "numbers"}, "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_any_value_is_read_or_refused(name, value):
    with contextlib.suppress(ValueError):
        PLAIN.read(Outer, {**GOOD, name: value}, "x")


def test_a_class_may_be_written_in_its_own_way():
    plain = Plain(own={complex: (lambda z: [z.real, z.imag], lambda data: complex(*data))})
    assert plain.read(complex, plain.write(1 + 2j)) == 1 + 2j
