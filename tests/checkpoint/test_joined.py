"""Files of two checkpoints, seen as those of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import BF16, write_checkpoint
from parentage import _core
from parentage.checkpoint import Checkpoint, Coding, Joined, Tensor
from parentage.support import CheckpointError, ReadError

if TYPE_CHECKING:
    from pathlib import Path


def elements(view: Checkpoint, name: str) -> np.ndarray:
    """Return all elements of a tensor."""
    tensor = view.tensors[name]
    tables = [[tensor.elements], [[tensor.index] * 2], [[0] * 2]]
    plan = _core.Plan([view.core] * 2, *(np.array(each, np.uint64) for each in tables))
    return _core.elements(plan, 0, 1, threads=1)[:, 0].reshape(tensor.shape)


def test_tensors_and_codings_of_both_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=(4, 6)).astype(BF16) for _ in range(2))
    one = Checkpoint.open(write_checkpoint(tmp_path / "one", {"w": a, "x": a[:2]}, shards=2))
    two = Checkpoint.open(write_checkpoint(tmp_path / "two", {"w": b}))
    turned = [
        each.seen_as(
            [Tensor(0, "t", "BF16", (6, 4), each.places, 0, 48)],
            [Coding.strided(each.tensors["w"].window, (6, 4), (1, 6))],
        )
        for each in (one, two)
    ]
    joined = Joined(*turned)
    view = joined.view(
        [
            joined.of_first(turned[0].tensors["t"])._replace(name="first"),
            joined.of_second(turned[1].tensors["t"])._replace(name="second"),
            joined.of_second(two.tensors["w"])._replace(name="plain"),
            Tensor(0, "again", "BF16", (4, 6), joined.places, 0, 48),
        ],
        [
            Coding.strided(joined.of_second(turned[1].tensors["t"]).window, (4, 6), (1, 4)),
        ],
    )
    np.testing.assert_array_equal(elements(view, "first"), a.T.astype(float))
    np.testing.assert_array_equal(elements(view, "second"), b.T.astype(float))
    for name in ("plain", "again"):
        np.testing.assert_array_equal(elements(view, name), b.astype(float))
    assert [len(view.shards), len(view.own_shards), view.name] == [3, 2, "one"]


def test_what_leaves_its_file_is_refused(tmp_path: Path) -> None:
    opened = [
        Checkpoint.open(write_checkpoint(tmp_path / name, {"w": np.zeros(size, np.float32)}))
        for name, size in (("one", 40), ("two", 4))
    ]
    joined = Joined(*opened)
    tensor = opened[0].tensors["w"]
    joined.view([joined.of_first(tensor)])
    with pytest.raises(CheckpointError, match="leaves the data"):
        joined.view([joined.of_second(tensor)])


def test_a_file_of_the_second_that_changes_is_noticed(tmp_path: Path) -> None:
    opened = [
        Checkpoint.open(write_checkpoint(tmp_path / name, {"w": np.zeros(4, np.float32)}))
        for name in ("one", "two")
    ]
    joined = Joined(*opened)
    view = joined.view([joined.of_second(opened[1].tensors["w"])])
    write_checkpoint(tmp_path / "two", {"w": np.ones(40, np.float32)})
    with pytest.raises(ReadError):
        elements(view, "w")
