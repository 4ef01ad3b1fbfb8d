"""Nothing is timed that does not compute what it should."""

import os

import numpy as np
import pytest
from parentage import _core
from parentage.bench.equality import UnequalError, assert_equal, assert_replayed
from parentage.bench.plans import plan_reading
from parentage.bench.synthetic import make_family
from parentage.checkpoint import Checkpoint

SMALL = 1 << 20


def part(tmp_path):
    paths = make_family(tmp_path, "BF16", 1, SMALL, 1)
    return plan_reading([Checkpoint.open(path) for path in paths], SMALL).sample


class Altered:
    """Statistics with another Gram matrix."""

    def __init__(self, gram):
        self.gram = gram


def test_levels_with_other_bits_are_not_timed(tmp_path, monkeypatch):
    plan, gram = part(tmp_path), _core.gram

    def altered(*arguments, level=None, **options):
        found = gram(*arguments, level=level, **options).gram
        return Altered(np.nextafter(found, np.inf) if level == "scalar" else found)

    assert_equal(plan, 1)
    monkeypatch.setattr(_core, "gram", altered)
    with pytest.raises(UnequalError, match="level scalar has other bits"):
        assert_equal(plan, 1)


def test_sums_off_from_float64_are_not_timed(tmp_path, monkeypatch):
    plan, gram = part(tmp_path), _core.gram
    monkeypatch.setattr(_core, "gram", lambda *a, **o: Altered(gram(*a, **o).gram * (1 + 1e-7)))
    with pytest.raises(UnequalError, match="off by 1"):
        assert_equal(plan, 1)


def test_a_replay_that_is_not_the_child_is_not_timed(tmp_path):
    paths = make_family(tmp_path, "BF16", 1, SMALL, 1)

    def check():
        opened = [Checkpoint.open(path) for path in paths]
        assert_replayed(plan_reading(opened, SMALL).one_parent, "BF16", 1)

    check()
    with (paths[-1] / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7e")
    with pytest.raises(UnequalError, match="1 replayed elements"):
        check()
