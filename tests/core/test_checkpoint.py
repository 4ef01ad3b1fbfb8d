"""What checkpoints of the core are asked."""

import numpy as np
import pytest
from common.tensors import ONE
from conftest import BF16, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.support import ReadError


def test_mates_have_name_shape_and_class_in_common(tmp_path):
    few = np.zeros(2, BF16)
    mine = {"a": few, "b": few, "c": np.zeros(2, np.int8), "d": np.zeros(0, BF16)}
    mine |= {"e": np.zeros(2, bool), "g": np.zeros((2, 1), BF16)}
    theirs = {"A": few, "a": np.zeros(2, np.float32), "c": few, "d": np.zeros(0, BF16)}
    theirs |= {"e": np.zeros(2, bool), "f": few, "g": np.zeros((1, 2), BF16), "h": few}
    one = Checkpoint.open(write_checkpoint(tmp_path / "one", mine)).core
    other = Checkpoint.open(write_checkpoint(tmp_path / "other", theirs)).core
    assert one.mates(other).tolist() == [1, -1, -1, -1, -1, -1]
    assert one.mates(one).tolist() == [0, 1, 2, -1, -1, 5]


def test_it_can_be_asked_whether_a_file_has_changed(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    checkpoint = Checkpoint.open(folder)
    checkpoint.core.verify_unchanged()
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"!")
    with pytest.raises(ReadError, match=r"model\.safetensors: the file had \d+ bytes"):
        checkpoint.core.verify_unchanged()
