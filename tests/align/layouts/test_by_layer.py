"""Tensors of layers that changed their number."""

import pytest
from common.alignments import full
from conftest import opened
from parentage.align.layouts.by_layer import pair_by_layer, renamed_for
from parentage.align.slices import Extent


def named(tmp_path, *names):
    return opened(tmp_path, "child", {name: full(2) for name in names}).tensors


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("model.layers.3.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"),
        ("model.layers.3.mlp.experts.3.w1.weight", "model.layers.1.mlp.experts.3.w1.weight"),
        ("model.layers.2.mlp.up_proj.weight", "model.layers.2.mlp.up_proj.weight"),
        ("model.layers.7.mlp.up_proj.weight", "model.layers.7.mlp.up_proj.weight"),
        ("model.embed_tokens.weight", "model.embed_tokens.weight"),
        ("model.visual.blocks.3.mlp.fc1.weight", "model.visual.blocks.3.mlp.fc1.weight"),
        ("mtp.layers.3.fc.weight", "mtp.layers.3.fc.weight"),
    ],
)
def test_only_layers_of_the_body_that_moved_are_renamed(name, renamed):
    assert renamed_for(name, {3: 1, 2: 2}) == renamed


def test_a_moved_layer_pairs_with_the_one_it_was(tmp_path):
    moved, kept = "model.layers.1.norm.weight", "model.norm.weight"
    tensors = named(tmp_path, moved, kept)
    base = opened(tmp_path, "base", {"model.layers.0.norm.weight": full(2), kept: full(2)})
    pair = pair_by_layer({1: 0})
    assert pair(tensors[moved], base) == Extent(0, 0)
    assert pair(tensors[kept], base) == Extent(1, 0)
    assert pair_by_layer({1: 5})(tensors[moved], base) == "not in base"
