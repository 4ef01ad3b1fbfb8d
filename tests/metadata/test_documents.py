"""JSON and YAML of strangers: data, bounded, and what is wrong with it in a clause."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.metadata.documents import (
    MOST_YAML,
    front_matter,
    leaves,
    plain,
    read_json,
    read_yaml,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_json_is_read_as_it_was_written(value):
    assert read_json(json.dumps(value).encode()).value == json.loads(json.dumps(value))


@given(st.binary(max_size=200))
def test_no_bytes_make_an_exception(raw):
    read_json(raw)
    read_yaml(raw.decode("latin-1"))
    front_matter("---\n" + raw.decode("latin-1") + "\n---\n")


@given(VALUES)
def test_what_is_told_of_a_value_is_json_and_says_as_much(value):
    assert plain(value) == json.loads(json.dumps(plain(value)))
    told = list(leaves(value))
    assert len(told) >= 1


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{", "it is no JSON"),
        (b"\xff\xfe", "no UTF-8 from byte 0"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b"1" * 10_000, "it can not be read"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', 'the key "c" is there twice'),
    ],
)
def test_what_is_wrong_with_json_is_said(raw, said):
    assert said in read_json(raw).problems[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "no YAML that is read"),
        ("a: !!python/name:os.system ''", "could not determine a constructor"),
        ("[" * 5000, ""),
        ("x" * (MOST_YAML + 1), "characters"),
        ("? {a: 1}\n: 2", ""),
        ("a: 2024-99-99", ""),
    ],
)
def test_what_is_wrong_with_yaml_is_said(text, said):
    read = read_yaml(text)
    assert read.value is None
    assert said in read.problems[0]


def test_a_bomb_of_aliases_is_given_up():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    began = time.monotonic()
    read = read_yaml("\n".join(lines))
    assert read.value is None
    assert "aliases" in read.problems[0]
    assert time.monotonic() - began < 2


def test_a_small_bomb_of_aliases_is_given_up_too():
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 30)]
    assert "its aliases make it stand for more" in read_yaml("\n".join(lines)).problems[0]


def test_an_alias_to_itself_is_given_up():
    assert "its aliases" in read_yaml("a: &a [1, *a]").problems[0]


def test_a_card_without_front_matter_is_all_text():
    assert front_matter("# Model\n") == (front_matter("x")[0], "# Model\n")
    read, body = front_matter("---\nlicense: mit\n")
    assert read.problems == ("its front matter has no end",)
    assert body == "---\nlicense: mit\n"
