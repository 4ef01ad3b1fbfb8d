"""Checkpoints that can not play the part they were offered for."""

import numpy as np
import parentage
from common.shipped import each
from conftest import BF16, write_checkpoint


def test_a_framed_parent_becomes_a_control(tmp_path, family, weights):
    framed = write_checkpoint(
        tmp_path / "framed", each(lambda c, b: 2 * c - b, weights["parent"], weights["base"])
    )
    found = parentage.trace(
        family("parent"), base=family("base"), parents=[framed], controls=[family("sibling")]
    )
    assert (found.verdict.kind, found.verdict.numbers["parent"]) == ("fine-tune", "base")
    assert "framed was made from the child" in found.verdict.text
    assert [one.name for one in found.offered.parents] == []
    relation = next(one for one in found.relations if one.name == "framed")
    assert (relation.relation, relation.test) == ("descendant", "both_ways")


def test_a_thief_can_not_name_its_victim(tmp_path, family, weights):
    stolen = write_checkpoint(
        tmp_path / "stolen",
        each(lambda c, x: 0.6 * c + 0.4 * x, weights["parent"], weights["sibling"]),
    )
    found = parentage.trace(
        family("parent"), base=family("base"), parents=[stolen, family("sibling")]
    )
    assert "merge" not in found.verdict.kind
    assert "stolen was made from the child" in found.verdict.text


def test_a_base_that_is_a_stranger_is_no_origin(tmp_path, family, weights):
    random = np.random.default_rng(3)
    stranger = write_checkpoint(
        tmp_path / "stranger",
        {
            name: random.permutation(array.reshape(-1)).reshape(array.shape).astype(BF16)
            for name, array in weights["base"].items()
        },
    )
    found = parentage.trace(
        family("child"), base=stranger, parents=[family("base"), family("parent")]
    )
    assert found.verdict.kind == "merge"
    assert found.inputs.base.name == "base"
    assert "stranger is no relative of the child" in found.verdict.text


def test_roles_that_contradict_nothing_stay(family):
    found = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    assert found.inputs.columns.candidates == ("base", "parent")
    assert found.verdict.text.count("was made from the child, and is not taken") == 0
