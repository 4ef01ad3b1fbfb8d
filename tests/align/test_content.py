"""Layers that pair by content: which layer of another checkpoint each layer is of."""

import numpy as np
import pytest
from common.families import bf16, stored
from conftest import opened
from parentage.align.content import (
    crossed_layers,
    crossed_likeness,
    layer_map,
    pair,
    strange_layers,
)
from parentage.checkpoint import Inputs
from parentage.stream import Options

OPTIONS = Options(1)
RNG = np.random.default_rng(5)
LAYERS = [bf16(RNG.normal(0, 0.03, (64, 80))) for _ in range(4)]


def of(layers, kind="mlp.up_proj"):
    """Return a checkpoint's tensors with these matrices as its layers."""
    body = {f"model.layers.{i}.{kind}.weight": x for i, x in enumerate(layers)}
    return stored({"model.norm.weight": np.ones(64, np.float32), **body})


def tuned(layer, scale=0.003):
    return bf16(layer + RNG.normal(0, scale, layer.shape))


@pytest.fixture
def base(tmp_path):
    return opened(tmp_path, "base", of(LAYERS))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([0, 1, 2, 3], {}),
        ([0, 2, 1, 3], {1: 2, 2: 1}),
        ([0, 1, 3], {2: 3}),
        ([0, 1, 1, 2, 3], {2: 1, 3: 2, 4: 3}),
    ],
    ids=["in place", "swapped", "dropped", "repeated"],
)
def test_moved_layers_are_told_though_they_were_trained(tmp_path, base, order, expected):
    child = opened(tmp_path, "child", of([tuned(LAYERS[i]) for i in order]))
    assert layer_map(child, base, OPTIONS) == expected
    assert crossed_likeness(child, base, OPTIONS) > 0.98


def test_layers_of_a_stranger_are_no_layers_of_the_base(tmp_path, base):
    strange = [bf16(RNG.normal(0, 0.03, (64, 80))) for _ in range(4)]
    child = opened(tmp_path, "child", of(strange))
    assert layer_map(child, base, OPTIONS) == {}
    assert crossed_likeness(child, base, OPTIONS) < 0.1
    assert strange_layers(child, base, OPTIONS)


def test_one_strange_layer_leaves_the_map_undecided(tmp_path, base):
    layers = [*LAYERS[:3], bf16(RNG.normal(0, 0.03, (64, 80)))]
    child = opened(tmp_path, "child", of(layers))
    assert layer_map(child, base, OPTIONS) == {}
    assert strange_layers(child, base, OPTIONS)


def test_layers_in_place_are_not_strange(tmp_path, base):
    child = opened(tmp_path, "child", of([tuned(layer) for layer in LAYERS]))
    assert not strange_layers(child, base, OPTIONS)


def test_cosines_are_those_of_the_layers(tmp_path, base):
    child = opened(tmp_path, "child", of(LAYERS[2:]))
    mine, yours, cosine = crossed_layers(child, base, OPTIONS)
    assert (mine, yours) == ([0, 1], [0, 1, 2, 3])
    for row, one in enumerate(LAYERS[2:]):
        for column, other in enumerate(LAYERS):
            norms = np.linalg.norm(one) * np.linalg.norm(other)
            expected = float((one.astype(float) * other).sum() / norms)
            assert cosine[row, column] == pytest.approx(expected, abs=1e-6)


def test_without_a_kind_of_matrix_in_both_there_is_nothing_to_compare(tmp_path, base):
    other = opened(tmp_path, "other", of(LAYERS, "self_attn.q_proj"))
    assert crossed_layers(other, base, OPTIONS) is None
    # By shape they are alike, whatever they are called.
    assert crossed_likeness(other, base, OPTIONS) > 0.98
    narrow = opened(tmp_path, "narrow", of([x[:60] for x in LAYERS]))
    assert crossed_likeness(narrow, base, OPTIONS) is None
    assert layer_map(other, base, OPTIONS) == {}
    small = opened(tmp_path, "small", of([x[:8, :8] for x in LAYERS]))
    assert crossed_layers(small, small, OPTIONS) is None


def test_a_strange_layer_among_moved_ones_is_paired_with_none(tmp_path, base):
    strange = bf16(RNG.normal(0, 0.03, (64, 80)))
    child = opened(tmp_path, "child", of([LAYERS[0], LAYERS[2], strange]))
    assert layer_map(child, base, OPTIONS) == {1: 2, 2: None}
    swapped = opened(tmp_path, "swapped", of([LAYERS[1], LAYERS[0], strange, LAYERS[3]]))
    assert layer_map(swapped, base, OPTIONS) == {0: 1, 1: 0}


def test_one_kind_of_matrix_that_was_exchanged_moves_no_layer(tmp_path):
    others = [bf16(RNG.normal(0, 0.03, (64, 96))) for _ in range(4)]
    more = [bf16(RNG.normal(0, 0.03, (64, 112))) for _ in range(4)]
    rest = {**of(others, "self_attn.q_proj"), **of(more, "mlp.gate_proj")}
    base = opened(tmp_path, "base", {**of(LAYERS), **rest})
    exchanged = [LAYERS[i] for i in (0, 2, 1, 3)]
    child = opened(tmp_path, "child", {**of(exchanged), **rest})
    assert layer_map(child, base, OPTIONS) == {}


def test_layers_that_lack_the_smallest_kind_are_told_by_another(tmp_path):
    wide = [bf16(RNG.normal(0, 0.03, (64, 96))) for _ in range(4)]

    def hybrid(order):
        """Every second layer has matrices of another kind."""
        out = {"model.norm.weight": np.ones(64, np.float32)}
        for i, source in enumerate(order):
            kind, matrix = ("attn.q_proj", LAYERS) if source % 2 else ("linear_attn.in", wide)
            out[f"model.layers.{i}.{kind}.weight"] = matrix[source]
        return stored(out)

    base = opened(tmp_path, "hybrid", hybrid(range(4)))
    child = opened(tmp_path, "child", hybrid([0, 2, 3]))
    assert layer_map(child, base, OPTIONS) == {1: 2, 2: 3}


def test_of_layers_that_are_alike_that_of_the_same_number_counts(tmp_path):
    alike = [LAYERS[0], LAYERS[1], LAYERS[1], LAYERS[2], LAYERS[3]]
    base = opened(tmp_path, "alike", of(alike))
    child = opened(tmp_path, "child", of([*alike[:3], alike[4], alike[3]]))
    assert layer_map(child, base, OPTIONS) == {3: 4, 4: 3}
    dropped = opened(tmp_path, "dropped", of([alike[1], alike[2], alike[3], alike[4]]))
    assert layer_map(dropped, base, OPTIONS) == {0: 1, 2: 3, 3: 4}


def test_every_checkpoint_has_a_map_of_its_own(tmp_path, base):
    parent = opened(tmp_path, "parent", of([tuned(LAYERS[i]) for i in (0, 2, 3)]))
    child = opened(tmp_path, "child", of([tuned(LAYERS[i]) for i in (0, 2, 3)]))
    found = pair(Inputs(child, base, (parent,), ()), OPTIONS)
    assert found.layers == ({1: 2, 2: 3}, {})
    assert found.main.alignment.layers == ((0, 2, 3), None)
    sources = {each.layer: each.source_layers for each in found.main.alignment.slices if each.layer}
    assert sources == {1: (2, 1), 2: (3, 2)}
    lacking = {each.tensor: each.reason for each in found.unaligned if each.checkpoint == "base"}
    assert lacking == {"model.layers.1.mlp.up_proj.weight": "not in the child"}
