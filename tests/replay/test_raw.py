"""Bits that are no numbers, in every dtype, and bytes that are read whole."""

import hashlib

import ml_dtypes
import numpy as np
import pytest
from common.containers import gguf_bytes
from common.networks import family_on_a_hub, quick
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint
from parentage.replay.raw import file_pieces, is_finite, is_nan, pieces, same_bytes, sha256_of
from parentage.support import ReadError

TWINS = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
}


@pytest.mark.parametrize("dtype", TWINS)
@given(raw=st.binary(max_size=64))
def test_bits_are_told_as_numpy_tells_them(dtype, raw):
    twin = np.dtype(TWINS[dtype])
    raw = raw[: len(raw) // twin.itemsize * twin.itemsize]
    with np.errstate(invalid="ignore"):  # of signalling NaN
        numbers = np.frombuffer(raw, twin).astype(np.float64)
    assert is_finite(raw, dtype).tolist() == np.isfinite(numbers).tolist()
    assert is_nan(raw, dtype).tolist() == np.isnan(numbers).tolist()


def test_integers_are_finite():
    assert is_finite(b"\xff" * 8, "I32").tolist() == [True, True]
    assert is_nan(b"\xff" * 8, "I32").tolist() == [False, False]


def test_bytes_are_read_from_where_to_where_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    assert b"".join(pieces(path, 10, 20, "x")) == bytes(range(10, 20))
    with pytest.raises(ReadError, match="x: the file ends at byte 100 of 101"):
        list(pieces(path, 0, 101, "x"))


@pytest.mark.parametrize(("kinds", "is_same"), [((16, 16), True), ((16, 35), False)])
def test_codes_are_alike_if_they_are_of_one_encoding(tmp_path, kinds, is_same):
    # IQ2_XXS and TQ2_0 both have 66 bytes for 256 elements.
    for kind in kinds:
        (tmp_path / f"{kind}.gguf").write_bytes(gguf_bytes({"x": (kind, (1, 256), bytes(66))}))
    one, other = (Checkpoint.open(tmp_path / f"{kind}.gguf") for kind in kinds)
    assert same_bytes(one, one.tensors["x"], other, other.tensors["x"]) is is_same


def test_a_file_of_a_checkpoint_is_hashed_wherever_it_is(family, monkeypatch, tmp_path):
    path = family("child") / "model.safetensors"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    with family_on_a_hub(monkeypatch, tmp_path):
        for given in (family("child"), "hf://org/child"):
            opened, seen = Checkpoint.open(given, network=quick()), []
            assert sha256_of(opened, 0, seen.append) == expected
            assert sum(seen) == path.stat().st_size
            tensor = opened.tensors["model.norm.weight"]
            (raw,) = file_pieces(opened.core, tensor.shard, tensor.begin, tensor.end, "x")
            assert raw == path.read_bytes()[tensor.begin : tensor.end]
