"""A family's tree: shortest, without arrows, and without markup of anybody's."""

import numpy as np
from parentage.relatives.tree import escaped, mermaid, tree


def gram(points, child):
    differences = np.array(points, dtype=float) - np.array(child, dtype=float)
    return differences @ differences.T


def test_the_tree_is_the_shortest_and_says_no_order_that_was_not_decided():
    points = [[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]]
    found = tree(["a", "b", "c", "child"], gram(points, [1.0, 1.0]), 2.0, {})
    edges = {frozenset(row[:2]) for row in found.rows()}
    assert edges == {frozenset(x) for x in (("child", "b"), ("b", "a"), ("b", "c"))}
    assert found["distance"].sum() == (1.0 + 1.0 + 4.0) / 2.0
    assert found["order"].null_count() == 3
    text = mermaid(found, "child")
    assert "-->" not in text
    assert text.count("---") == 3


def test_an_order_that_was_decided_is_an_arrow_from_the_first():
    points = [[0.0, 0.0], [0.0, 2.0]]
    found = tree(["a", "b", "child"], gram(points, [0.0, 1.0]), 1.0, {"a": True, "b": False})
    orders = {row[1]: row[3] for row in found.rows()}
    assert orders == {"a": "a first", "b": "child first"}
    text = mermaid(found, "child")
    numbers = {
        line.split('"')[1]: line.split("[")[0].strip() for line in text.splitlines() if '["' in line
    }
    assert f'{numbers["a"]} -- "1" --> {numbers["child"]}' in text
    assert f'{numbers["child"]} -- "1" --> {numbers["b"]}' in text


def test_names_with_markup_are_text():
    name = 'x"]; click n0 "javascript:alert(1)" <b>\n%%{init}'
    found = tree([name, "child"], gram([[0.0]], [1.0]), 1.0, {})
    lines = mermaid(found, "child").splitlines()
    assert len(lines) == 5
    assert '"]; click' not in mermaid(found, "child")
    assert escaped("a#b&c") == "a#35;b#amp;c"
