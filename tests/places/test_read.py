"""Slices are read whole and described: as copies of a checkpoint, and as blends."""

from __future__ import annotations

import numpy as np
import pytest
from common.families import FAMILY, SHAPES, blend, found_in, stored
from parentage.places import changes_of, read, summarise

NAMES = list(SHAPES)
Q = [name for name in NAMES if "q_proj" in name]


@pytest.fixture
def found(tmp_path):
    def look(child):
        return found_in(tmp_path, FAMILY, child, ["one", "other"])

    return look


def indices(estimates, names):
    return [i for i, each in enumerate(estimates.slices) if each.name in names]


def test_what_is_not_the_copy_is_told(found):
    child = stored(FAMILY["one"])
    for name in Q:
        child[name] = child[name] * child[name].dtype.type(2)
    estimates = found(child)
    changes = changes_of(estimates, indices(estimates, Q), estimates.columns.names.index("one"))
    assert [name for name, _, _ in changes] == Q
    assert summarise(changes).startswith(
        "q_proj of layers 0 to 3 (4 tensors, 100% of the elements)"
    )
    assert summarise(changes).endswith("scaled by 2.")


def test_what_is_not_the_blend_is_told(found):
    child = blend(FAMILY, {"one": 0.6})
    child[Q[1]] = stored(FAMILY["other"])[Q[1]]
    estimates = found(child)
    weights = np.array([0.4, 0.6, 0.0])
    kinds = {
        name: change.text
        for name, _, change in changes_of(estimates, indices(estimates, NAMES), weights)
    }
    assert kinds[Q[1]] == "other's, bit for bit"
    assert kinds[Q[0]] == "bit for bit the same"
    by_slice = np.tile(weights, (2, 1))
    assert len(changes_of(estimates, indices(estimates, Q[:2]), by_slice)) == 2


def test_many_slices_are_sampled_and_large_ones_read_in_part(found, monkeypatch):
    estimates = found(blend(FAMILY, {"one": 0.6}))
    assert len(changes_of(estimates, range(len(NAMES)), 0, most=3)) == 3
    whole = changes_of(estimates, indices(estimates, Q[:1]), 0)[0][2]
    monkeypatch.setattr(read, "MOST_ELEMENTS", 4096)
    monkeypatch.setattr(read, "BAND", 16)
    ((_, elements, change),) = changes_of(estimates, indices(estimates, Q[:1]), 0)
    assert elements == 128 * 64
    assert change.text == f"{change.text.partition(' (in')[0]} (in 4,096 of 8,192 elements)"
    assert change.numbers["rms"] == pytest.approx(whole.numbers["rms"], rel=0.05)


def test_rows_are_numbered_as_in_the_slice_where_not_all_are_read(found, monkeypatch):
    child = stored(FAMILY["one"])
    child[Q[0]] = child[Q[0]].copy()
    child[Q[0]][127] = 0
    estimates = found(child)
    monkeypatch.setattr(read, "MOST_ELEMENTS", 4096)
    monkeypatch.setattr(read, "BAND", 16)
    one = estimates.columns.names.index("one")
    ((_, _, change),) = changes_of(estimates, indices(estimates, Q[:1]), one)
    assert change.text == "1 of its 64 rows (127) all 0 (in 4,096 of 8,192 elements)"


def test_what_stands_elsewhere_is_not_said_to_be_new(found):
    child = stored(FAMILY["one"])
    child[Q[0]], child[Q[2]] = child[Q[2]], child[Q[0]]
    estimates = found(child)
    changes = changes_of(estimates, indices(estimates, Q), estimates.columns.names.index("one"))
    texts = {name: change.text for name, _, change in changes}
    assert texts[Q[0]] == (
        "no relative of its own, and bit for bit another tensor of one (q_proj of layer 2)"
    )
    assert "q_proj of layer 0" in texts[Q[2]]


def test_what_only_begins_as_another_does_is_not_taken_for_it(found):
    child = stored(FAMILY["one"])
    moved = child[Q[2]].copy()
    moved.flat[-1] = 0.5
    child[Q[0]] = moved
    estimates = found(child)
    column = estimates.columns.names.index("one")
    ((_, _, change),) = changes_of(estimates, indices(estimates, Q[:1]), column)
    assert change.kind == "foreign"
