"""Tensors are compared byte for byte, whatever they hold."""

import numpy as np
import pytest
from conftest import encode_safetensors
from parentage import _core

RAW = {
    "a": ("F8_E4M3", [6], b"\x7f\x00\x01\x02\x03\x04"),
    "b": ("BOOL", [3], b"\x00\x01\x01"),
    "c": ("F4", [4], b"\x12\x34"),
    "d": np.zeros(0, np.float32),
    "e": np.full(3 << 18, np.nan, np.float32),
}


def checkpoint(folder, name, tensors):
    path = folder / f"{name}.safetensors"
    path.write_bytes(encode_safetensors(tensors))
    return _core.Checkpoint(path)


def same(one, other, **options):
    pairs = [(index, index) for index in range(len(one))]
    return _core.same_bytes(one, other, pairs, threads=2, **options).tolist()


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_equal_bytes_of_any_dtype_are_the_same(tmp_path, io):
    one, other = (checkpoint(tmp_path, name, RAW) for name in ("one", "other"))
    assert same(one, other, io=io) == [True] * 5


@pytest.mark.parametrize("name", sorted(set(RAW) - {"d"}))
def test_one_bit_of_the_last_byte_is_seen_unless_fewer_are_asked_for(tmp_path, name):
    changed = dict(RAW)
    if isinstance(RAW[name], tuple):
        dtype, shape, raw = RAW[name]
        changed[name] = (dtype, shape, raw[:-1] + bytes([raw[-1] ^ 1]))
    else:
        changed[name] = RAW[name].copy()
        changed[name].view(np.uint8)[-1] ^= 1
    one, other = checkpoint(tmp_path, "one", RAW), checkpoint(tmp_path, "other", changed)
    assert same(one, other) == [each != name for each in sorted(RAW)]
    assert same(one, other, most=1) == [True] * 5


def test_other_dtypes_and_lengths_differ(tmp_path):
    one = checkpoint(tmp_path, "one", {"a": np.zeros(4, np.int8), "b": np.zeros(4, np.int8)})
    other = checkpoint(tmp_path, "other", {"a": np.zeros(4, np.uint8), "b": np.zeros(5, np.int8)})
    assert same(one, other) == [False, False]


def test_a_tensor_that_is_not_there_is_an_error(tmp_path):
    one = checkpoint(tmp_path, "one", RAW)
    with pytest.raises(_core.PlanError, match="no tensor number 9"):
        _core.same_bytes(one, one, [(0, 9)], threads=1)


def test_a_file_that_changed_is_an_error(tmp_path):
    one, other = (checkpoint(tmp_path, name, RAW) for name in ("one", "other"))
    (tmp_path / "other.safetensors").write_bytes(encode_safetensors({"a": RAW["a"]}))
    with pytest.raises(_core.ReadError):
        same(one, other)
