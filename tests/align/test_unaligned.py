"""Tables of what takes no part."""

import polars as pl
from common.alignments import aligned, full
from parentage.align import UNALIGNED, Unaligned, unaligned_frame


def test_every_tensor_has_a_row_in_the_order_given():
    left = [Unaligned("child", "b", "not in base", 4), Unaligned("base", "a", "no elements", 0)]
    found = unaligned_frame(left)
    assert found.rows() == [("child", "b", "not in base", 4), ("base", "a", "no elements", 0)]
    assert unaligned_frame(iter(left)).equals(found)


def test_columns_are_the_same_without_rows():
    found = unaligned_frame([])
    assert found.schema == pl.Schema(UNALIGNED)
    assert found.height == 0


def test_what_an_alignment_leaves_out_is_in_it(tmp_path):
    alignment = aligned(tmp_path, {"a": full(90), "b": full(3)}, {"a": full(90), "c": full(5)})
    assert unaligned_frame(alignment.unaligned).rows() == [
        ("child", "b", "not in base", 3),
        ("base", "c", "not in the child", 5),
    ]
