"""What each checkpoint holds of a child, and why it does not hold the rest."""

import numpy as np
from common.alignments import full
from conftest import opened
from parentage.align.held import held, slices_of

A, B, EMBED = "model.a.weight", "model.b.weight", "model.embed_tokens.weight"


def test_each_checkpoint_is_asked_by_itself(tmp_path):
    child = opened(tmp_path, "child", {A: full(9), B: full(4), "flags": full(3, bool)})
    others = [
        opened(tmp_path, "one", {B: full(4), A: full(9)}),
        opened(tmp_path, "two", {A: full(8), "flags": full(3, bool)}),
    ]
    found = held(child, others)
    assert found.counts.tolist() == [[0, 0], [9, 0], [4, 0]]
    assert found.tensors.tolist() == [[-1, -1], [0, -1], [1, -1]]
    assert found.reason(1, (0, 1)) == "shape [9] in the child, [8] in two"
    assert found.reason(2, (0, 1)) == "not in two"
    assert found.reason(0, (0, 1)) == "dtype BOOL has no arithmetic"


def test_common_rows_are_held_only_where_they_are_asked_for(tmp_path):
    child = opened(tmp_path, "child", {EMBED: full((5, 3))})
    other = opened(tmp_path, "other", {EMBED: full((4, 3))})
    assert held(child, [other]).counts.tolist() == [[0]]
    assert held(child, [other], rows=True).counts.tolist() == [[12]]


def test_a_part_of_a_tensor_is_a_slice_of_its_rows(tmp_path):
    child = opened(tmp_path, "child", {EMBED: full((5, 3))})
    found = held(child, [child])
    first, rest = slices_of(child, found, [(0, 0, 9), (0, 9, 15)], [0])
    assert (first.name, first.shape, first.elements) == (EMBED, (3, 3), 9)
    assert (rest.name, rest.shape, rest.elements) == (f"{EMBED}[3:5]", (2, 3), 6)
    assert [each.start for each in rest.extents] == [9, 9]


def test_layers_that_moved_are_looked_for_where_they_are(tmp_path):
    name = "model.layers.{}.mlp.up_proj.weight"
    child = opened(tmp_path, "child", {name.format(0): full(9)})
    other = opened(tmp_path, "other", {name.format(i): full(9, np.float32) for i in (0, 3)})
    assert held(child, [other], layers=[{0: 3}]).tensors.tolist() == [[1]]
