"""Tables that are written out, and what others left, line by line."""

from common.reports import made_document
from hypothesis import given
from hypothesis import strategies as st
from parentage.report.document import read_document
from parentage.report.listings import (
    MOST_LINES,
    MOST_TEXT,
    components_table,
    number,
    printable_lines,
    relations_table,
    shown_figure,
    walk,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_any_json_is_told_in_lines(value):
    lines = list(walk(value))
    assert len(lines) <= MOST_LINES + 1
    for depth, key, text in lines:
        assert 0 <= depth <= 4
        assert printable_lines(key) == key
        assert printable_lines(text) == text


def test_what_is_long_is_cut():
    assert len(list(walk({str(each): each for each in range(10_000)}))) == MOST_LINES + 1
    ((_, _, text),) = walk("x" * 10_000)
    assert len(text) == MOST_TEXT + 1
    deep = {}
    for _ in range(50):
        deep = {"a": deep}
    assert len(list(walk(deep))) == 5


def test_numbers_are_short():
    assert [number(each) for each in (None, True, 12345, 3.0, 0.123456789, "a\x1b")] == [
        "\u2013", "True", "12,345", "3", "0.12346", "a\\x1b",
    ]  # fmt: skip


def test_parts_of_the_model_are_told_as_the_terminal_does():
    table = components_table(read_document(made_document()))
    assert table["titles"][:4] == ["part", "elements", "same bits as the base", "weight of parent"]
    whole = [each.text for each in table["rows"][0]]
    assert whole[:4] == ["all of it", "1,000", "1.00%", "0.6000 ± 1e-07 (cells)"]
    assert [row[0].text for row in table["rows"]] == ["all of it", "attention", "experts"]


def test_relations_are_told_in_words():
    (base, _) = relations_table(read_document(made_document()))
    assert base["relation"] == "ancestor: came before the child"
    assert base["role"] == "base"


def test_a_picture_has_its_table(figures):
    told = shown_figure(figures["spectrum"])
    assert len(told["rows"]) == 200
    assert told["cut"] == ": the first 200 of 1,803 rows"
    assert shown_figure(figures["controls"])["cut"] == ""
