"""Sums of rows tell layers whose neurons and heads were put in another order."""

import numpy as np
from common.rearranged import INNER, LAYERS, dense, tuned, with_heads, with_layers, with_neurons
from conftest import opened
from parentage.align.content import layer_map
from parentage.align.sums import layers_by_sums
from parentage.stream import Options

OPTIONS = Options(2)


def shuffled(tensors):
    out = tensors
    for layer in range(LAYERS):
        order = np.random.default_rng(layer).permutation(INNER).tolist()
        out = with_neurons(out, {f"model.layers.{layer}.mlp": order})
        out = with_heads(out, layer, (3, 2, 0, 1), (1, 0))
    return out


def test_layers_that_moved_are_found_whatever_the_order_inside(tmp_path):
    base = dense(1)
    child = opened(tmp_path, "child", with_layers(shuffled(tuned(base, 2)), (0, 2, 1)))
    assert layer_map(child, opened(tmp_path, "base", base), OPTIONS) == {1: 2, 2: 1}


def test_layers_in_place_stay_there(tmp_path):
    base = dense(1)
    child = opened(tmp_path, "child", shuffled(base))
    assert layer_map(child, opened(tmp_path, "base", base), OPTIONS) == {}


def test_strangers_have_no_layers_in_common(tmp_path):
    child = opened(tmp_path, "child", dense(2))
    assert layer_map(child, opened(tmp_path, "base", dense(1)), OPTIONS) == {}


def test_what_is_known_is_left_out(tmp_path):
    one, two = opened(tmp_path, "one", dense(1)), opened(tmp_path, "two", dense(1))
    name, shape = "model.layers.*.mlp.up_proj.weight", (INNER, 96)
    kinds = [
        {(name, shape): {i: x.tensors[name.replace("*", str(i))] for i in range(LAYERS)}}
        for x in (one, two)
    ]
    assert layers_by_sums(kinds[0], kinds[1], (one, two), {0: 0}, OPTIONS) == {1: 1, 2: 2}
    assert layers_by_sums(kinds[0], kinds[1], (one, two), {0: 1}, OPTIONS) == {2: 2}
    assert layers_by_sums({}, kinds[1], (one, two), {}, OPTIONS) == {}
