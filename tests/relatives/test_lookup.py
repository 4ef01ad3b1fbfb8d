"""A first look: who is a relative, who is worth reading, and who is proposed."""

from types import SimpleNamespace

import numpy as np
import polars as pl
from parentage.library.shelf import COLUMNS
from parentage.relatives.lookup import EXPLAINING, NEAREST, look, worth_reading

KEYS = ("k1", "k2", "k3")
WIDTH = 256


def child(values, invariants=None):
    return SimpleNamespace(keys=KEYS, thumbs=values, invariants=invariants or {})


def index(rows):
    """Return an index of (name, thumbs, keys, lengths)."""
    made = [
        {
            "name": name,
            "file": f"{name}.sketch.safetensors",
            "keys": list(keys),
            "thumbs": thumbs.astype("<f4").tobytes(),
            "measured": ["k1"] if lengths is not None else [],
            "lengths": b"" if lengths is None else np.asarray(lengths, "<f4").tobytes(),
        }
        for name, thumbs, keys, lengths in rows
    ]
    names = ("name", "file", "keys", "thumbs", "measured", "lengths")
    return pl.DataFrame(made, schema={name: COLUMNS[name] for name in names})


def test_relatives_are_those_that_are_alike_whatever_else_they_have():
    draw = np.random.default_rng(1)
    mine = draw.normal(size=(3, WIDTH))
    near = mine + 0.01 * draw.normal(size=mine.shape)
    rows = [
        ("stranger", draw.normal(size=mine.shape), KEYS, None),
        ("relative", near, KEYS, None),
        ("longer", np.vstack([near[1], draw.normal(size=WIDTH), near[2]]), ("k2", "z", "k3"), None),
        ("elsewhere", near, ("x", "y", "z"), None),
        ("broken", near[:1], KEYS, None),
        ("nan", np.full(mine.shape, np.nan), KEYS, None),
    ]
    found = look(child(mine), index(rows))
    assert {found.names[at] for at in found.relatives} == {"relative", "longer"}
    assert set(found.read.tolist()) == set(found.relatives.tolist())
    assert np.isnan(found.cosines[3])
    assert found.common.tolist() == [768, 768, 512, 0, 768, 768]


def test_what_has_the_same_lengths_is_proposed_and_no_more():
    draw = np.random.default_rng(2)
    mine, lengths = draw.normal(size=(3, WIDTH)), np.linspace(0.5, 1.5, 64)
    rows = [
        ("turned", draw.normal(size=mine.shape), KEYS, lengths + 0.001),
        ("other", draw.normal(size=mine.shape), KEYS, lengths**2),
    ]
    found = look(child(mine, {"k1": tuple(lengths)}), index(rows))
    assert not len(found.relatives)
    assert [found.names[at] for at in found.proposed] == ["turned"]


def test_of_many_relatives_those_are_read_that_explain_however_far_they_are():
    draw = np.random.default_rng(3)
    count, size = 400, 3 * WIDTH
    base = draw.normal(size=size)
    tuned = base + 0.2 * draw.normal(size=(count, size))
    tuned[7] = base + 0.4 * draw.normal(size=size)  # the farthest of all
    mine = 0.5 * tuned[7] + 0.5 * tuned[8]
    values = (np.vstack([tuned, base]) - mine).astype(np.float32)
    chosen = worth_reading(np.zeros(count + 1), [(np.arange(count + 1), values)]).tolist()
    assert {7, 8} <= set(chosen)
    assert len(chosen) <= NEAREST + 8 + EXPLAINING


def test_a_library_of_nobody_gives_nothing():
    found = look(child(np.ones((3, WIDTH))), index([]))
    assert not found.names
    assert not len(found.read)
