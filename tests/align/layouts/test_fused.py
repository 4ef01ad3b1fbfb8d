"""What holds several tensors, one behind the other, is taken apart where these are known."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.align.layouts.fused import RULES, Piece, pieces

E, M, H = 3, 4, 5


HALVES = {"a.gate_proj.weight": (4, 3), "a.up_proj.weight": (4, 3)}


def experts(gate="gate_proj", up="up_proj", down="down_proj"):
    return {
        f"m.experts.{e}.{name}.weight": shape
        for e in range(E)
        for name, shape in ((gate, (M, H)), (up, (M, H)), (down, (H, M)))
    }


@pytest.mark.parametrize("spelling", [(), ("w1", "w3", "w2")])
@pytest.mark.parametrize("end", ["", ".weight"])
def test_stacked_experts_are_gate_and_up_of_each_in_turn(spelling, end):
    shapes = experts(*spelling)
    found = pieces(f"m.experts.gate_up_proj{end}", (E, 2 * M, H), shapes.get)
    gate, up = spelling[:2] or ("gate_proj", "up_proj")
    assert found == [
        Piece(f"m.experts.{e}.{name}.weight", (2 * e + half) * M * H, (M, H))
        for e in range(E)
        for half, name in enumerate((gate, up))
    ]
    down = pieces(f"m.experts.down_proj{end}", (E, H, M), shapes.get)
    assert [each.first for each in down] == [0, H * M, 2 * H * M]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.gate_up_proj.weight", ["a.gate_proj.weight", "a.up_proj.weight"]),
        ("a.qkv_proj.weight", ["a.q_proj.weight", "a.k_proj.weight", "a.v_proj.weight"]),
        ("a.qkv_proj.bias", ["a.q_proj.bias", "a.k_proj.bias", "a.v_proj.bias"]),
        ("a.qkv.weight", ["a.query.weight", "a.key.weight", "a.value.weight"]),
        ("a.Wqkv.weight", ["a.q.weight", "a.k.weight", "a.v.weight"]),
        ("a.in_proj_weight", ["a.q_proj.weight", "a.k_proj.weight", "a.v_proj.weight"]),
        ("a.in_proj_bias", ["a.q_proj.bias", "a.k_proj.bias", "a.v_proj.bias"]),
    ],
)
def test_rows_are_those_of_the_parts_in_order(name, parts):
    tail = () if name.endswith("bias") else (6,)
    rows = [8, 2, 2][: len(parts)]
    shapes = {part: (count, *tail) for part, count in zip(parts, rows, strict=True)}
    found = pieces(name, (sum(rows), *tail), shapes.get)
    assert [each.name for each in found] == parts
    assert [each.shape[0] for each in found] == rows
    assert found[-1].first + prod(found[-1].shape) == sum(rows) * prod(tail)


@pytest.mark.parametrize(
    ("name", "shape", "shapes"),
    [
        ("a.gate_up_proj.weight", (7, 3), HALVES),
        ("a.gate_up_proj.weight", (8, 2), HALVES),
        ("a.gate_up_proj.weight", (8, 3), {"a.gate_proj.weight": (4, 3)}),
        ("a.gate_up_proj.weight", (), {"a.gate_proj.weight": (), "a.up_proj.weight": ()}),
        ("m.experts.gate_up_proj", (E, H + 1, 2 * M), experts()),
        ("m.experts.gate_up_proj", (E + 1, 2 * M, H), experts()),
        ("m.experts.gate_up_proj", (E, 2 * M), experts()),
        ("m.experts.down_proj", (E, M, H + 1), experts()),
        ("m.dense.weight", (8, 3), {}),
    ],
)  # fmt: skip
def test_what_does_not_fit_stays_whole(name, shape, shapes):
    assert pieces(name, shape, shapes.get) is None


@given(st.lists(st.integers(1, 9), min_size=3, max_size=3), st.integers(1, 5))
def test_pieces_cover_everything_once(rows, width):
    names = ["a.q_proj.weight", "a.k_proj.weight", "a.v_proj.weight"]
    shapes = {name: (count, width) for name, count in zip(names, rows, strict=True)}
    found = pieces("a.qkv_proj.weight", (sum(rows), width), shapes.get)
    at = 0
    for each in found:
        assert each.first == at
        at += prod(each.shape)
    assert at == sum(rows) * width


def test_every_rule_says_where_it_is_from():
    assert all(each.source for each in RULES)
