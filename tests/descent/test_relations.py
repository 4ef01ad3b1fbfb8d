"""What a sample shows before any recipe is looked for."""

import numpy as np
import pytest
from common.shipped import each
from conftest import write_checkpoint
from parentage.align import pair
from parentage.checkpoint import open_all
from parentage.descent import relations_of
from parentage.hypothesise import SampleEstimates
from parentage.stream import Options


def relations(tmp_path, family, child, parents):
    folder = write_checkpoint(tmp_path / "made", child)
    inputs = open_all(folder, family("base"), parents, [family("sibling")])
    options = Options(1, None, "mmap", None)
    return relations_of(
        SampleEstimates(pair(inputs, options).main.alignment, inputs.columns, options)
    )


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
