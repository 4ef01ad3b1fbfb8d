"""What a sample shows before any recipe is looked for."""

import numpy as np
import pytest
from common.shipped import each
from conftest import write_checkpoint
from parentage.align import pair
from parentage.checkpoint import open_all
from parentage.descent import relations_of, with_blends
from parentage.hypothesise import SampleEstimates
from parentage.stream import Options


def sampled(tmp_path, family, child, parents):
    folder = write_checkpoint(tmp_path / "made", child)
    inputs = open_all(folder, family("base"), parents, [family("sibling")])
    options = Options(1, None, "mmap", None)
    return SampleEstimates(pair(inputs, options).main.alignment, inputs.columns, options)


def relations(tmp_path, family, child, parents):
    return relations_of(sampled(tmp_path, family, child, parents))


def test_a_framed_parent_is_a_descendant(tmp_path, family, weights):
    framed = each(lambda c, b: 2.0 * c - b, weights["parent"], weights["base"])
    parent = write_checkpoint(tmp_path / "framed", framed)
    found = relations(tmp_path, family, weights["parent"], [parent])
    assert found.made_from_child == ("framed",)


def test_a_true_parent_is_none(tmp_path, family, weights):
    found = relations(tmp_path, family, weights["child"], [family("parent")])
    assert found.made_from_child == ()
    assert found.both_ways.order() == "forward"


def test_a_few_values_of_great_size_turn_no_likeness(tmp_path, family, weights):
    child = {name: array.copy() for name, array in weights["parent"].items()}
    for array in child.values():
        array.reshape(-1)[-1] = 1000
    found = relations(tmp_path, family, child, [family("parent")])
    assert found.likeness["parent"] > 0.95
    assert found.own["parent"].kept > 0.99


def test_strangers_are_like_nobody(tmp_path, family, weights):
    random = np.random.default_rng(1)
    child = {
        name: random.permutation(array.reshape(-1)).reshape(array.shape)
        for name, array in weights["parent"].items()
    }
    found = relations(tmp_path, family, child, [family("parent")])
    assert max(map(abs, found.likeness.values())) == pytest.approx(0.0, abs=0.1)


def test_weights_by_layer_are_tried_beside_one_for_all(tmp_path, family, weights):
    shares = {".layers.0.": 0.3, ".layers.1.": 0.8}
    child = {}
    for name, array in weights["base"].items():
        share = next((x for part, x in shares.items() if part in name), 0.5)
        child |= each(
            lambda b, p, share=share: b + share * (p - b),
            {name: array},
            {name: weights["parent"][name]},
        )
    estimates = sampled(tmp_path, family, child, [family("parent")])
    alone = relations_of(estimates)
    found = with_blends(alone, estimates, 0.999)
    assert alone.both_ways.forward < 0.9 < 0.99 < found.both_ways.forward
    assert (found.own, found.likeness) == (alone.own, alone.likeness)
    # What is known is kept where it is enough.
    assert with_blends(found, estimates, 0.99) is found
