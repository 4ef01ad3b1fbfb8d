"""Experts are the same, be they apart or stacked."""

import pytest
from common.rearranged import EXPERTS, HIDDEN, INNER, dense, fused, mixture, upcycled
from conftest import opened
from parentage.align.layouts.by_name import is_readable
from parentage.align.orders.stacks import apart, modules_of, spelled, stacks_of

STEM = "model.layers.1.mlp.experts"


def test_stacked_experts_have_the_parts_of_split_ones(tmp_path):
    tensors = mixture(1)
    split, whole = opened(tmp_path, "split", tensors), opened(tmp_path, "fused", fused(tensors))
    one, two = stacks_of(split), stacks_of(whole, halves=True)
    assert set(one) == set(two)
    assert (one[STEM].is_apart, two[STEM].is_apart) == (True, False)
    for number in range(EXPERTS):
        mine, yours = one[STEM].experts[number], two[STEM].experts[number]
        assert {k: x.shape for k, x in mine.items()} == {k: x.shape for k, x in yours.items()}
        assert all(is_readable(part.tensor, whole) for part in yours.values())
    view = apart(whole, two)
    data = {each.name: each for each in view.tensors.values()}
    raw = (whole.shards[0].path).read_bytes()
    for name, x in tensors.items():
        assert raw[data[name].begin : data[name].end] == x.tobytes()


def test_without_halves_an_expert_keeps_its_fused_part(tmp_path):
    whole = opened(tmp_path, "fused", fused(mixture(1)))
    parts = stacks_of(whole)[STEM].experts[2]
    assert {k: x.shape for k, x in parts.items()} == {
        "gate_up_proj": (2 * INNER, HIDDEN),
        "down_proj.weight": (HIDDEN, INNER),
    }


def test_what_is_apart_is_left_as_it_is(tmp_path):
    one = opened(tmp_path, "one", mixture(1))
    assert apart(one, stacks_of(one)) is one


def test_dense_modules_are_known_by_layer(tmp_path):
    found = modules_of(opened(tmp_path, "one", dense(1)))
    assert set(found[1]["model.layers.1.mlp"]) == {
        f"{x}_proj.weight" for x in ("gate", "up", "down")
    }
    assert modules_of(opened(tmp_path, "two", upcycled(dense(1)))) == {}


@pytest.mark.parametrize(
    ("name", "one"), [("w3.weight", "up_proj.weight"), ("w1.bias", "gate_proj.bias"), ("x", "x")]
)
def test_parts_are_spelled_in_one_way(name, one):
    assert spelled(name) == one
