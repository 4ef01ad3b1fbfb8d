"""Experts are found by their values, wherever they went."""

import numpy as np
import pytest
from common.rearranged import (
    EXPERTS,
    INNER,
    LAYERS,
    dense,
    fused,
    mixture,
    tuned,
    upcycled,
    with_experts,
    with_neurons,
)
from conftest import opened
from parentage.align.orders.experts import expert_orders
from parentage.align.orders.stacks import stacks_of
from parentage.stream import Options

OPTIONS = Options(2)
STEM = "model.layers.{}.mlp.experts"


def found(folder, child, other, layers=None, **options):
    both = opened(folder, "child", child), opened(folder, "other", other)
    stacks = tuple(stacks_of(each, **options) for each in both)
    return expert_orders(*both, stacks, layers or {}, OPTIONS)


def told(orders):
    return {each.layer: each.sources for each in orders.orders}


def test_a_fine_tune_in_place_has_no_orders(tmp_path):
    base = mixture(1)
    assert found(tmp_path, tuned(base, 2), base).orders == []


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_permutation_is_found_and_routers_follow(tmp_path, share):
    base = mixture(1)
    orders = {i: np.random.default_rng(i).permutation(EXPERTS).tolist() for i in range(LAYERS)}
    child = with_experts(tuned(base, 2, share) if share else base, orders)
    seen = found(tmp_path, child, base)
    assert told(seen) == {i: tuple(order) for i, order in orders.items()}
    assert all(each.unused == () for each in seen.orders)
    for i, order in orders.items():
        assert seen.rows[f"model.layers.{i}.mlp.gate.weight"] == tuple(order)
        assert seen.rows[f"model.layers.{i}.mlp.gate.bias"] == tuple(order)


def test_two_that_changed_places_alone_are_found(tmp_path):
    base = mixture(1)
    seen = found(tmp_path, with_experts(base, {1: [0, 4, 2, 3, 1, 5]}), base)
    assert told(seen) == {1: (0, 4, 2, 3, 1, 5)}


def test_a_router_that_stayed_is_read_as_it_is(tmp_path):
    base = mixture(1)
    child = with_experts(base, {1: [0, 4, 2, 3, 1, 5]})
    child |= {name: x for name, x in base.items() if ".gate." in name}
    seen = found(tmp_path, child, base)
    assert (told(seen), seen.rows) == ({1: (0, 4, 2, 3, 1, 5)}, {})


def test_what_was_pruned_is_told(tmp_path):
    base = mixture(1)
    (order, *_) = found(tmp_path, with_experts(base, {0: [0, 2, 3, 5]}), base).orders
    assert (order.sources, order.unused) == ((0, 2, 3, 5), (1, 4))


def test_a_copy_is_one_expert_twice(tmp_path):
    base = mixture(1)
    (order,) = found(tmp_path, with_experts(base, {0: [3, 3, 0, 1, 2, 4]}), base).orders
    assert (order.sources, order.unused) == ((3, 3, 0, 1, 2, 4), (5,))


def test_twins_stay_at_home(tmp_path):
    base = with_experts(mixture(1), {0: [3, 3, 0, 1, 2, 4]})
    assert found(tmp_path, tuned(base, 2, 0.01), base).orders == []


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_copies_of_a_dense_mlp_are_known(tmp_path, noise):
    base = dense(1)
    seen = found(tmp_path, upcycled(base, 4, noise), base)
    assert told(seen) == dict.fromkeys(range(LAYERS), ("mlp",) * 4)
    name = "model.layers.2.mlp.{}up_proj.weight"
    assert seen.names[name.format("experts.3.")] == name.format("")


def test_experts_of_another_layer_are_found_there(tmp_path):
    base = mixture(1)
    child = dict(base)
    for part in ("gate_proj", "up_proj", "down_proj"):
        one, two = (f"{STEM.format(i)}.2.{part}.weight" for i in (0, 1))
        child[one], child[two] = base[two], base[one]
    seen = found(tmp_path, child, base)
    assert told(seen) == {
        0: (0, 1, "2 of layer 1", 3, 4, 5),
        1: (0, 1, "2 of layer 0", 3, 4, 5),
    }
    # What is elsewhere is in the child all the same.
    assert all(each.unused == () for each in seen.orders)


def test_experts_with_neurons_in_another_order_are_known_by_the_router(tmp_path):
    base = mixture(1)
    order = [5, 0, 1, 4, 2, 3]
    neurons = np.random.default_rng(1).permutation(INNER).tolist()
    child = with_neurons(
        with_experts(base, {0: order}), {f"{STEM.format(0)}.{e}": neurons for e in range(EXPERTS)}
    )
    assert told(found(tmp_path, child, base)) == {0: tuple(order)}


def test_stacked_and_split_are_looked_at_alike(tmp_path):
    base = mixture(1)
    orders = {1: [5, 0, 1, 4, 2, 3]}
    child = fused(with_experts(base, orders))
    assert told(found(tmp_path, child, fused(base))) == {1: (5, 0, 1, 4, 2, 3)}
    assert told(found(tmp_path, child, base, halves=True)) == {1: (5, 0, 1, 4, 2, 3)}


def test_layers_that_moved_are_looked_at_where_they_are(tmp_path):
    base = mixture(1)
    moved = {
        name.replace(".layers.1.", ".layers.9.").replace(".layers.2.", ".layers.1.")
        .replace(".layers.9.", ".layers.2."): x
        for name, x in with_experts(base, {2: [1, 0, 2, 3, 4, 5]}).items()
    }  # fmt: skip
    seen = found(tmp_path, moved, base, {1: 2, 2: 1})
    assert told(seen) == {1: (1, 0, 2, 3, 4, 5)}
    assert seen.rows["model.layers.2.mlp.gate.weight"] == (1, 0, 2, 3, 4, 5)


def test_strangers_have_no_orders(tmp_path):
    assert found(tmp_path, mixture(1), mixture(2)).orders == []


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_values_that_are_no_numbers_decide_nothing(tmp_path, bad):
    base = mixture(1)
    child = {n: np.full_like(x, bad) if ".experts." in n else x for n, x in base.items()}
    # Routers in place say that experts are.
    assert found(tmp_path, child, base).orders == []


def test_numbers_with_gaps_are_left_alone(tmp_path):
    base = mixture(1)
    child = {name.replace(".experts.5.", ".experts.900000000."): x for name, x in base.items()}
    assert found(tmp_path, child, base).orders == []
