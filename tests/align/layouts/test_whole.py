"""What one tensor may lie in: only orders that shapes and names allow are asked about."""

import pytest
from parentage.align.layouts.whole import is_documented, is_spelled_alike, orders

NORM = "layers.0.input_layernorm.weight"
QUERY = "layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("a.layers.0.q.weight", "layers.0.q.weight", True),
        ("layers.0.q.weight", "layers.1.q.weight", True),
        ("blk.0.attn_q.weight", "layers.0.self_attn.q_proj.weight", False),
        ("model.norm.weight", "norm.weight", True),
        ("a.b.norm.weight", "c.norm.weight", True),
        ("output_norm.weight", "norm.weight", False),
    ],
)
def test_prefixes_are_no_spelling(one, other, alike):
    assert is_spelled_alike(one, other) == alike


def test_a_shape_that_is_turned_is_transposed():
    found = orders("a", ("a", "a"), (3, 4), (4, 3), {}.get)
    assert [each.order for each in found] == ["transposed"]
    assert is_documented("a", found)


def test_a_convolution_of_one_pixel_is_a_matrix():
    found = orders("a", ("a", "a"), (3, 4, 1, 1), (3, 4), {}.get)
    assert [each.order for each in found] == [""]
    assert found[0].pieces[0].shape == (3, 4)


def test_other_sizes_have_no_order():
    assert orders("a", ("a", "a"), (3, 4), (3, 5), {}.get) == []
    assert orders("a", ("a", "a"), (3, 4), (6, 2), {}.get) == []


def test_rows_of_queries_may_lie_in_pairs_where_names_are_of_another_tool():
    assert len(orders(QUERY, (QUERY, QUERY), (16, 8), (16, 8), {}.get)) == 1
    found = orders(QUERY, ("blk.0.attn_q.weight", QUERY), (16, 8), (16, 8), {}.get)
    assert len(found) > 1
    assert not is_documented(QUERY, found)


def test_squares_are_transposed_where_tools_do_so():
    names = ("h.0.attn.c_proj.weight", "blk.0.attn_output.weight")
    found = orders("layers.0.self_attn.o_proj.weight", names, (8, 8), (8, 8), {}.get)
    assert [each.order for each in found] == ["", "transposed"]


def test_norms_may_be_one_more_or_less_in_another_tools_files():
    found = orders(NORM, ("blk.0.attn_norm.weight", NORM), (8,), (8,), {}.get)
    assert [each.order for each in found] == ["", "+1", "-1"]
    assert is_documented(NORM, found)
    assert len(orders(NORM, (NORM, NORM), (8,), (8,), {}.get)) == 1
