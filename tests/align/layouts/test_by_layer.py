"""Tensors of layers that changed their number."""

import pytest
from common.alignments import full
from conftest import opened
from parentage.align.layouts.by_layer import counterpart, layer_list, pair_by_layer, renamed_for
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


def test_the_counterpart_of_a_name_stands_in_the_layer_that_its_own_is_of(tmp_path):
    # A tensor may be called anything: nothing is not one that has no name.
    base = opened(tmp_path, "base", {"model.layers.0.norm.weight": full(2), "": full(2)})
    name = "model.layers.1.norm.weight"
    assert counterpart(name, base, {1: 0}) == base.tensors["model.layers.0.norm.weight"]
    assert counterpart(name, base, {}) is None
    assert counterpart(name, base, {1: None}) is None


def test_a_layer_that_is_paired_with_none_pairs_with_nothing(tmp_path):
    name = "model.layers.1.norm.weight"
    tensors = named(tmp_path, name)
    base = opened(tmp_path, "base", {name: full(2)})
    assert renamed_for(name, {1: None}) is None
    assert pair_by_layer({1: None})(tensors[name], base) == "its layer is paired with none of base"


def test_the_pairing_that_is_given_looks_for_the_name_that_it_comes_to(tmp_path):
    name = "model.layers.1.norm.weight"
    tensors = named(tmp_path, name)
    pair = pair_by_layer({1: 4}, lambda tensor, _: tensor.name)
    assert pair(tensors[name], opened(tmp_path, "base", {"x": full(2)})) == name.replace("1", "4")


@pytest.mark.parametrize(
    ("mine", "yours", "moved", "expected"),
    [
        ([0, 1, 2], [0, 1, 2], {}, None),
        ([0, 1, 2], [0, 1, 2], {1: 2, 2: 1}, (0, 2, 1)),
        ([0, 1], [0, 1, 2], {}, (0, 1)),
        ([0, 1, 2], [0, 1], {}, (0, 1, None)),
        ([0, 1], [0, 1, 2], {1: None}, (0, None)),
        ([2, 3], [0, 1, 2, 3], {}, (None, None, 2, 3)),
        ([0, 1], [4, 5], {}, None),
        ([], [0], {}, None),
    ],
)
def test_layers_are_listed_unless_all_are_where_they_were(tmp_path, mine, yours, moved, expected):
    child, other = (
        opened(
            tmp_path,
            name,
            {f"model.layers.{i}.norm.weight": full(2) for i in layers} or {"x": full(2)},
        )
        for name, layers in (("child", mine), ("other", yours))
    )
    assert layer_list(child, other, moved) == expected
