"""Layers that are averages of layers, told from those that were dropped, moved or trained."""

import numpy as np
import pytest
from common.families import bf16, stored
from conftest import opened
from parentage.align import layer_blends
from parentage.stream import Options

OPTIONS = Options(1)
RNG = np.random.default_rng(11)
NORMS = [bf16(1 + RNG.normal(0, 0.1, 64)) for _ in range(5)]
LAYERS = [bf16(RNG.normal(0, 0.03, (64, 80))) for _ in range(5)]


def of(layers, norms):
    out = {"model.norm.weight": np.ones(64, np.float32)}
    for i, (matrix, norm) in enumerate(zip(layers, norms, strict=True)):
        out[f"model.layers.{i}.mlp.up_proj.weight"] = matrix
        out[f"model.layers.{i}.input_layernorm.weight"] = norm
    return stored(out)


def child_of(tmp_path, weight, norm_weight=None, noise=0.0):
    """Layer 1 is a blend of layers 1 and 2, which is left out."""

    def blend(each, w):
        return bf16((1 - w) * each[1] + w * each[2] + noise * RNG.normal(0, 1, each[1].shape))

    found = [
        [each[0], blend(each, w), each[3], each[4]]
        for each, w in ((LAYERS, weight), (NORMS, norm_weight or weight))
    ]
    return opened(tmp_path, "child", of(*found))


@pytest.fixture
def base(tmp_path):
    return opened(tmp_path, "base", of(LAYERS, NORMS))


@pytest.mark.parametrize("weight", [0.5, 0.3, 0.75])
def test_a_blend_of_two_layers_is_found_with_its_weights(tmp_path, base, weight):
    (found,) = layer_blends(child_of(tmp_path, weight), base, {1}, OPTIONS)
    assert (found.layer, found.elements) == (1, 64 * 80 + 64)
    assert [layer for layer, _ in found.parts] == [1, 2]
    assert [x for _, x in found.parts] == pytest.approx([1 - weight, weight], abs=1e-3)


def test_only_layers_that_are_asked_for_are_looked_at(tmp_path, base):
    assert layer_blends(child_of(tmp_path, 0.5), base, {0, 2, 3}, OPTIONS) == ()


def test_one_tensor_with_another_weight_is_no_such_blend(tmp_path, base):
    assert layer_blends(child_of(tmp_path, 0.5, norm_weight=0.2), base, {1}, OPTIONS) == ()


def test_more_than_rounding_on_top_is_no_such_blend(tmp_path, base):
    assert layer_blends(child_of(tmp_path, 0.5, noise=1e-3), base, {1}, OPTIONS) == ()


def test_a_layer_that_stands_alone_is_none(tmp_path, base):
    child = opened(tmp_path, "same", of(LAYERS, NORMS))
    assert layer_blends(child, base, set(range(5)), OPTIONS) == ()
