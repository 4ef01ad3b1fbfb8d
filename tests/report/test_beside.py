"""What other commands left, whatever it is."""

from hypothesis import given
from hypothesis import strategies as st
from parentage.report.beside import MOST_ROWS, MOST_TEXT, blocks_of, cell_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_any_json_is_told_in_blocks(value):
    first, rest = blocks_of(value, "it")
    for block in [*first, *rest]:
        assert len(block.rows) <= MOST_ROWS
        for row in block.rows:
            assert len(row) == len(block.titles)
            assert all(len(cell) <= MOST_TEXT + 1 for cell in row)


def test_claims_are_a_table_and_come_first():
    claims = [
        {"field": "license", "claim": "mit", "weights": {"standing": "open", "text": "none"}},
        {"field": "base_model", "claim": ["a", "b"], "note": None},
    ]
    document = {"schema": "x/1", "claims": claims, "summary": ["one", "two"], "other": {"a": 1}}
    first, rest = blocks_of(document, "metadata")
    assert [each.title for each in first] == ["summary", "claims"]
    assert first[0].sentences == ["one", "two"]
    assert first[1].titles == ["field", "claim", "weights"]
    assert first[1].rows == [
        ["license", "mit", "standing: open; text: none"],
        ["base_model", "a, b", ""],
    ]
    assert [each.title for each in rest] == ["schema", "other"]


def test_logs_are_tables():
    ((block,), rest) = blocks_of([{"who": "a"}, {"who": "b", "when": "now"}], "log")
    assert (block.titles, block.rows, rest) == (["who", "when"], [["a", ""], ["b", "now"]], [])
    ((block,), _) = blocks_of([{"n": each} for each in range(1000)], "log")
    assert (len(block.rows), block.left) == (MOST_ROWS, 1000 - MOST_ROWS)


def test_what_is_long_or_deep_is_cut():
    assert len(cell_text("x" * 10_000)) == MOST_TEXT + 1
    assert cell_text(list(range(100))).endswith("and 92 more")
    assert cell_text({"a": {"b": {"c": 1, "d": 2}}}) == "a: b: 2 entries"
