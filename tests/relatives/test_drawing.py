"""The picture of a family: where nodes lie, which lines have arrows, and that names are text."""

from xml.etree import ElementTree

import polars as pl
import pytest
from parentage.relatives import Found, picture
from parentage.relatives.drawing import MOST_NAME, laid_out
from parentage.relatives.found import RELATIVES
from parentage.relatives.tree import TREE

SVG = "{http://www.w3.org/2000/svg}"


def found(*edges, child="child", **changes):
    table = pl.DataFrame(schema=RELATIVES)
    tree = pl.DataFrame(edges, schema=TREE, orient="row")
    return Found(child, "folder", 9, 9, table, tree=tree, **changes)


FAMILY = (
    ("child", "parent", 0.1, "parent first"),
    ("child", "made of it", 0.2, "child first"),
    ("parent", "base", 0.3, None),
)


def nodes(frame):
    of = frame.filter(pl.col("kind") == "node")
    return {row["name"]: (row["x"], row["y"]) for row in of.iter_rows(named=True)}


def test_nodes_lie_where_the_lines_to_them_end_and_no_two_in_a_row():
    at = nodes(laid_out(found(*FAMILY)))
    assert {name: x for name, (x, _) in at.items()} == pytest.approx(
        {"child": 0.0, "parent": 0.1, "made of it": 0.2, "base": 0.4}
    )
    assert [y for _, y in sorted(at.values(), key=lambda place: place[1])] == [0.0, 1.0, 2.0, 3.0]
    assert at["child"][1] < at["parent"][1] < at["base"][1] < at["made of it"][1]


def test_lines_have_arrows_where_an_order_was_decided_and_nowhere_else():
    frame = laid_out(found(*FAMILY))
    arrows = frame.filter(pl.col("kind") == "arrow")
    assert dict(arrows.select("said", "mark").iter_rows()) == {
        "parent first": "to the left",
        "child first": "to the right",
    }
    undirected = [(first, second, length, None) for first, second, length, _ in FAMILY]
    assert "arrow" not in laid_out(found(*undirected))["kind"].to_list()
    assert b"No order is decided" in picture(found(*undirected)).replace(b"\n", b" ")


def test_what_is_known_of_a_relative_is_written_below_its_name():
    frame = laid_out(found(*FAMILY, base="base", blend=(("parent", 0.6), ("base", 0.4))))
    said = dict(frame.filter(pl.col("kind") == "node").select("name", "said").iter_rows())
    assert said["parent"] == "0.600 in the blend"
    assert said["base"] == "0.400 in the blend, lines meet here"
    assert said["made of it"] == ""


HOSTILE = (
    "<script>alert(1)</script>",
    '"><image href="https://evil.example/x.png"/>',
    "&lt;b&gt; \x1b[2J \u202e",
    "datum.x; {{7*7}} ${x}",
    "@parent",
    "no XML \ufffe \uffff",
    "x" * 5000,
)


def test_names_are_text_in_it_whatever_they_are():
    edges = [("<i>child</i>", name, 0.1, f"{name} first") for name in HOSTILE]
    svg = picture(found(*edges, child="<i>child</i>"))
    root = ElementTree.fromstring(svg)
    kinds = {each.tag.removeprefix(SVG) for each in root.iter()}
    assert kinds <= {"svg", "g", "path", "text", "rect", "defs", "clipPath", "line", "tspan",
                     "title", "style"}  # fmt: skip
    assert not [
        key for each in root.iter() for key in each.attrib if "href" in key or key[:2] == "on"
    ]
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    for name in HOSTILE[:2]:
        assert name in texts
    assert max(map(len, texts)) <= 500
    assert any(text.endswith("…") and len(text) == MOST_NAME for text in texts)
    assert "\x1b" not in svg.decode() and "\u202e" not in svg.decode()


def test_the_same_family_is_the_same_picture_and_both_formats_are_made():
    one = found(*FAMILY)
    assert picture(one) == picture(one)
    assert picture(one, "png").startswith(b"\x89PNG")
    assert picture(one, theme="dark") != picture(one)
    with pytest.raises(ValueError, match="svg or png"):
        picture(one, "jpg")


def test_without_relatives_there_is_none():
    assert picture(found()) is None


def test_a_chain_of_forty_and_distances_of_nothing_are_drawn():
    edges = [(f"n{i}" if i else "child", f"n{i + 1}", 0.0, None) for i in range(40)]
    at = nodes(laid_out(found(*edges)))
    assert len(at) == 41 and len({y for _, y in at.values()}) == 41
    assert picture(found(*edges)).startswith(b"<svg")
