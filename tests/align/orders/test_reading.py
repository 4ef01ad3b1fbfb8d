"""Many places of a checkpoint are read at once, each where it is."""

import numpy as np
from common.rearranged import dense
from conftest import opened
from parentage.align.orders import reading
from parentage.align.orders.reading import pairs_of_runs, runs
from parentage.stream import Options

OPTIONS = Options(2)


def test_runs_are_those_of_their_places(tmp_path, monkeypatch):
    tensors = dense(1)
    one = opened(tmp_path, "one", tensors)
    names = list(one.tensors)[:5]
    places = [(one.tensors[name].index, at) for name in names for at in (0, 3)]
    expected = [
        tensors[name].astype(np.float64).ravel()[at : at + 8] for name in names for at in (0, 3)
    ]
    assert np.array_equal(runs(one, places, 8, OPTIONS), expected)
    assert np.array_equal(runs(one, places[:3], 8, OPTIONS), expected[:3])
    monkeypatch.setattr(reading, "AT_ONCE", 16)
    assert np.array_equal(runs(one, places, 8, OPTIONS), expected)
    assert runs(one, [], 8, OPTIONS).shape == (0, 8)


def test_two_checkpoints_are_read_at_places_of_their_own(tmp_path):
    tensors = dense(1)
    one, two = opened(tmp_path, "one", tensors), opened(tmp_path, "two", dense(2))
    name = "model.layers.0.mlp.up_proj.weight"
    index = one.tensors[name].index
    places = ([(index, 0)], [(index, 96)])
    mine, theirs = pairs_of_runs((one, two), places, 96, OPTIONS)
    assert np.array_equal(mine[0], tensors[name][0].astype(float))
    assert np.array_equal(theirs[0], dense(2)[name][1].astype(float))
