"""Neurons, heads, channels and words in another order are found, and what follows them."""

import numpy as np
import pytest
from common.rearranged import (
    HIDDEN,
    INNER,
    LAYERS,
    WIDTH,
    WORDS,
    dense,
    taken,
    tuned,
    with_heads,
    with_layers,
    with_neurons,
    with_words,
)
from conftest import opened
from parentage.align.orders.gathered import Gather
from parentage.align.orders.matrices import matrix_orders
from parentage.stream import Options

AT = "model.layers.{}.{}"


def found(folder, child, other, layers=None):
    one, two = opened(folder, "child", child), opened(folder, "other", other)
    return matrix_orders(one, two, layers or {}, Options(2))


def order_of(seed, count=INNER):
    return np.random.default_rng(seed).permutation(count).tolist()


def test_a_fine_tune_in_place_has_no_orders(tmp_path):
    seen = found(tmp_path, tuned(dense(1), 2, 0.3), dense(1))
    assert (seen.orders, seen.gathers) == ([], {})


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_neurons_are_found_in_all_their_matrices(tmp_path, share):
    base = dense(1)
    child = with_neurons(
        tuned(base, 2, share) if share else base,
        {AT.format(i, "mlp"): order_of(i) for i in range(LAYERS)},
    )
    seen = found(tmp_path, child, base)
    told = {each.layer: (each.kind, each.sources, len(each.tensors)) for each in seen.orders}
    assert told == {i: ("neurons", tuple(order_of(i)), 3) for i in range(LAYERS)}
    order = tuple(order_of(1))
    assert seen.gathers[AT.format(1, "mlp.up_proj.weight")] == Gather(rows=order)
    assert seen.gathers[AT.format(1, "mlp.down_proj.weight")] == Gather(columns=order)


def test_two_neurons_that_changed_places_alone_are_found(tmp_path):
    base = dense(1)
    order = [*range(5), 6, 5, *range(7, INNER)]
    seen = found(tmp_path, with_neurons(base, {AT.format(1, "mlp"): order}), base)
    (one,) = seen.orders
    assert (one.kind, one.sources, len(one.tensors)) == ("neurons", tuple(order), 3)


def test_heads_are_found_with_their_groups_and_biases(tmp_path):
    base = dense(1)
    seen = found(tmp_path, with_heads(base, 1, (3, 2, 0, 1), (1, 0)), base)
    told = {each.sources: {x.split(".")[4] for x in each.tensors} for each in seen.orders}
    assert told == {(3, 2, 0, 1): {"q_proj", "o_proj"}, (1, 0): {"k_proj", "v_proj"}}
    assert {(each.kind, each.size, each.layer) for each in seen.orders} == {("heads", WIDTH, 1)}
    assert AT.format(1, "self_attn.k_proj.bias") in seen.gathers


def test_channels_are_told_once(tmp_path):
    base, order = dense(1), order_of(1, HIDDEN)
    child = {
        name: taken(x, order, x.ndim - 1 if x.shape[-1] == HIDDEN else 0)
        if HIDDEN in x.shape
        else x
        for name, x in base.items()
    }
    seen = found(tmp_path, child, base)
    (one,) = seen.orders
    assert (one.kind, one.layer, one.sources) == ("channels", None, tuple(order))
    assert set(one.tensors) == {name for name, x in base.items() if HIDDEN in x.shape}


def test_words_are_found_beside_neurons(tmp_path):
    base = dense(1)
    words = order_of(3, WORDS)
    child = with_words(with_neurons(base, {AT.format(0, "mlp"): order_of(1)}), words)
    told = {(each.kind, each.layer): each.sources for each in found(tmp_path, child, base).orders}
    assert told == {("neurons", 0): tuple(order_of(1)), ("rows", None): tuple(words)}


def test_layers_that_moved_are_looked_at_where_they_are(tmp_path):
    base = dense(1)
    child = with_layers(with_neurons(base, {AT.format(2, "mlp"): order_of(1)}), (0, 2, 1))
    seen = found(tmp_path, child, base, {1: 2, 2: 1})
    (one,) = seen.orders
    assert (one.layer, one.sources) == (1, tuple(order_of(1)))
    assert AT.format(2, "mlp.up_proj.weight") in seen.gathers


def test_neurons_that_were_scaled_are_found_as_well(tmp_path):
    base, at = dense(1), AT.format(0, "mlp")
    child = with_neurons(base, {at: order_of(1)})
    scale = np.random.default_rng(1).choice([0.5, 2.0], INNER).astype(np.float32)
    up, down = (f"{at}.{name}.weight" for name in ("up_proj", "down_proj"))
    kind = child[up].dtype
    child[up] = (child[up].astype(np.float32) * scale[:, None]).astype(kind)
    child[down] = (child[down].astype(np.float32) / scale).astype(kind)
    (one,) = found(tmp_path, child, base).orders
    assert (one.kind, one.sources) == ("neurons", tuple(order_of(1)))


def test_strangers_have_no_orders(tmp_path):
    seen = found(tmp_path, dense(1), dense(2))
    assert (seen.orders, seen.gathers) == ([], {})


def test_a_stranger_in_the_order_that_fits_best_has_none(tmp_path):
    optimize = pytest.importorskip("scipy.optimize")
    base, child = dense(1), dense(2)
    for layer in range(LAYERS):
        at = AT.format(layer, "mlp")
        one, two = (
            np.concatenate(
                [
                    x[f"{at}.up_proj.weight"],
                    x[f"{at}.gate_proj.weight"],
                    x[f"{at}.down_proj.weight"].T,
                ],
                axis=1,
            ).astype(float)
            for x in (base, child)
        )
        _, order = optimize.linear_sum_assignment(-(one @ two.T))
        child = with_neurons(child, {at: order.tolist()})
    assert found(tmp_path, child, base).orders == []
