"""Tensors of a child and of the others, paired into slices, and what does not pair."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from common.alignments import COMMON, aligned, full, reasons
from conftest import BF16, opened
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.align import Extent, align
from parentage.checkpoint import Checkpoint
from parentage.support import PlanError


def test_tensors_pair_by_name_whatever_their_order(tmp_path):
    a, b, c = full((2, 3)), full((4,)), full((5, 1))
    alignment = aligned(tmp_path, {"a": a, "b": b, "c": c}, {"c": c, "b": b, "a": a})
    assert [each.name for each in alignment.slices] == ["a", "b", "c"]
    assert [each.shape for each in alignment.slices] == [(2, 3), (4,), (5, 1)]
    assert [each.elements for each in alignment.slices] == [6, 4, 5]
    assert alignment.unaligned == ()
    assert (alignment.plan.slices, alignment.plan.columns) == (3, 2)
    assert alignment.plan.bytes(0, 3) == 2 * 2 * 15


def test_slices_are_in_the_order_of_the_childs_files(tmp_path):
    alignment = aligned(tmp_path, {"b": full(1), "a": full(2)}, {"a": full(2), "b": full(1)})
    assert [each.name for each in alignment.slices] == ["b", "a"]


def test_every_checkpoint_that_stands_in_the_way_is_named(tmp_path):
    common = {COMMON: full(9)}
    alignment = aligned(tmp_path, {**common, "x": full(4)}, common, {**common, "x": full(5)})
    assert reasons(alignment) == {"x": "not in base; shape [4] in the child, [5] in parent"}
    assert reasons(alignment, "parent") == {"x": "the child's has shape [4] and dtype BF16"}


def test_what_the_child_lacks_is_listed_too(tmp_path):
    alignment = aligned(tmp_path, {COMMON: full(9)}, {COMMON: full(9), "visual.x": full(7)})
    assert reasons(alignment, "base") == {"visual.x": "not in the child"}
    assert [each.elements for each in alignment.unaligned] == [7]


def test_a_tensor_that_some_other_checkpoint_lacks_is_listed_for_all_that_have_it(tmp_path):
    both = {COMMON: full(9), "x": full(4)}
    alignment = aligned(tmp_path, both, both, {COMMON: full(9)})
    assert reasons(alignment) == {"x": "not in parent"}
    assert reasons(alignment, "base") == {"x": "the child's takes no part"}


def test_stacked_experts_are_split_into_slices(tmp_path):
    name = "model.layers.5.mlp.experts.gate_up_proj"
    child = {"a": full(3), name: full((4, 6, 2))}
    base = {name: full((4, 6, 2), np.float32), "a": full(3)}
    alignment = aligned(tmp_path, child, base)
    experts = alignment.slices[1:]
    assert [each.name for each in experts] == [f"{name}[{i}]" for i in range(4)]
    assert [each.expert for each in experts] == [0, 1, 2, 3]
    assert {each.component for each in experts} == {"experts"}
    assert {each.layer for each in experts} == {5}
    assert {each.shape for each in experts} == {(6, 2)}
    assert [each.extents for each in experts] == [
        (Extent(1, 12 * i), Extent(1, 12 * i)) for i in range(4)
    ]


def test_a_leading_index_of_a_million_makes_no_experts(tmp_path):
    name = "model.layers.0.mlp.experts.gate_up_proj"
    for count, slices in ((1 << 16, 1 << 16), ((1 << 16) + 1, 1), (1_000_000, 1)):
        tensors = {name: full((count, 1, 1))}
        alignment = aligned(tmp_path / str(count), tensors, tensors)
        assert len(alignment.slices) == slices
        assert alignment.slices[-1].expert == (slices - 1 if slices > 1 else None)


def test_three_dimensions_alone_make_no_experts(tmp_path):
    name = "model.layers.0.linear_attn.conv1d.weight"
    alignment = aligned(tmp_path, {name: full((8, 1, 4))}, {name: full((8, 1, 4))})
    assert [each.shape for each in alignment.slices] == [(8, 1, 4)]
    assert alignment.slices[0].expert is None


def test_a_scalar_is_one_element(tmp_path):
    alignment = aligned(tmp_path, {"s": full(())}, {"s": full(())})
    assert [(each.shape, each.elements) for each in alignment.slices] == [((), 1)]


def test_if_nothing_pairs_the_reason_is_named(tmp_path):
    with pytest.raises(PlanError, match=r"too little of child pairs with base.* none of 2 tensors"):
        aligned(tmp_path, {"a": full(3), "b": full(3)}, {"c": full(3)})
    with pytest.raises(PlanError, match=r"the reason is: shape \[3\] in the child, \[4\] in base"):
        aligned(tmp_path / "shape", {"a": full(3)}, {"a": full(4)})
    with pytest.raises(PlanError, match="child has no tensors"):
        aligned(tmp_path / "none", {}, {"a": full(4)})


def test_the_reason_can_not_act_on_a_terminal(tmp_path):
    with pytest.raises(PlanError) as raised:
        aligned(tmp_path, {"a\x1b[2J\u202e": full(3)}, {"c": full(3)})
    assert str(raised.value).isprintable()


def test_a_few_names_in_common_are_a_coincidence(tmp_path):
    child = {"norm.weight": full(1), "a": full(199)}
    with pytest.raises(PlanError, match=r"1 of 2 tensors pair with base"):
        aligned(tmp_path, child, {"norm.weight": full(1)})


def test_more_columns_than_the_core_takes_are_refused(tmp_path):
    checkpoints = [opened(tmp_path, f"c{i}", {"a": full(3)}) for i in range(11)]
    assert align(checkpoints[0], checkpoints[1:10]).plan.columns == 10
    with pytest.raises(PlanError, match="up to 8 parents and controls"):
        align(checkpoints[0], checkpoints[1:])


def test_a_layout_rule_says_where_a_tensor_lies(tmp_path):
    child = opened(tmp_path, "child", {"q": full((2, 3)), "k": full((1, 3)), "v": full((1, 3))})
    fused = opened(tmp_path, "fused", {"qkv": full((4, 3))})
    starts = {"q": 0, "k": 6, "v": 9}
    alignment = align(child, [fused], lambda tensor, _: Extent(0, starts[tensor.name]))
    assert [each.extents[0].start for each in alignment.slices] == [0, 6, 9]
    assert alignment.unaligned == ()


SHAPES = [(), (3,), (2, 3), (2, 2, 3), (0,)]
STORED = [BF16, np.float32, np.int8, bool]
A_TENSOR = st.tuples(st.sampled_from(SHAPES), st.sampled_from(STORED))
NAMES = ["a", "b", "c", "mlp.experts.up", "mlp.experts.down", "a_scale"]
# One tensor is in all of them: where nothing pairs, there is no alignment to check.
A_CHECKPOINT = st.dictionaries(st.sampled_from(NAMES), A_TENSOR).map(
    lambda tensors: {COMMON: ((9,), BF16), **tensors}
)


@settings(max_examples=150)
@given(child=A_CHECKPOINT, others=st.lists(A_CHECKPOINT, min_size=1, max_size=3))
def test_every_tensor_is_in_slices_or_listed_and_never_both(child, others):
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = [
            opened(Path(folder), f"c{i}", {name: full(*x) for name, x in tensors.items()})
            for i, tensors in enumerate([*others, child])
        ]
        alignment = align(checkpoints[-1], checkpoints[:-1])
    for column, checkpoint in enumerate(checkpoints):
        check_accounts(alignment, column, checkpoint)


def check_accounts(alignment, column, checkpoint: Checkpoint):
    covered = Counter()
    for each in alignment.slices:
        extent = each.extents[column]
        covered.update((extent.tensor, extent.start + i) for i in range(each.elements))
    listed = [each for each in alignment.unaligned if each.checkpoint == checkpoint.name]
    assert len({each.tensor for each in listed}) == len(listed)
    assert all(each.reason for each in listed)
    for tensor in checkpoint.tensors.values():
        times = {covered[tensor.index, i] for i in range(tensor.elements)}
        unpaired = [each for each in listed if each.tensor == tensor.name]
        if unpaired:
            assert times <= {0}
            assert unpaired[0].elements == tensor.elements
        else:
            assert times == {1}, tensor
