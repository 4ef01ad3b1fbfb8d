"""GGUF: names as they are, shapes turned round, types that are numbers and types that are codes."""

import struct

import numpy as np
import pytest
from common.containers import (
    GGUF_TYPES,
    gguf_bytes,
    gguf_text,
    holds,
    mutated,
    opened_or_refused,
    refused,
    weights,
)
from conftest import DTYPES
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint, Encoding
from parentage.checkpoint.containers.gguf import BLOCKS, PLAIN, read, serves
from parentage.checkpoint.containers.reading import Reader

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
FIXED = {"general.name": "m", "list": [1, 2], "texts": ["a", "bc"], "lists": [[1], [2, 3]]}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [32, 64, 8])
def test_tensors_lie_where_the_alignment_says(tmp_path, version, alignment):
    tensors = weights() | {"odd": ARRAY[0].astype(np.float16), "scalar": np.array(3, np.float32)}
    metadata = FIXED | {"general.alignment": alignment}
    (tmp_path / "a.gguf").write_bytes(gguf_bytes(tensors, metadata, version))
    holds(tmp_path / "a.gguf", tensors)
    found = Checkpoint.open(tmp_path / "a.gguf").shards[0].metadata
    assert found["general.name"] == "m"
    assert found["list"] == "2 values of type 4"
    assert found["lists"] == "2 values of type 9"


@pytest.mark.parametrize("dtype", sorted(GGUF_TYPES))
def test_every_type_of_numbers_is_read(tmp_path, dtype):
    array = np.arange(6).astype(DTYPES[dtype]).reshape(2, 3)
    (tmp_path / "a.gguf").write_bytes(gguf_bytes({"x": array}))
    holds(tmp_path / "a.gguf", {"x": array})
    assert dtype in PLAIN.values()


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_codes_have_the_bytes_of_their_blocks(tmp_path, kind):
    name, block, size = BLOCKS[kind]
    raw = bytes(range(256)) * (6 * size // 256 + 1)
    tensors = {"x": (kind, (3, 2 * block), raw[: 6 * size]), "y": ARRAY}
    (tmp_path / "a.gguf").write_bytes(gguf_bytes(tensors))
    found = Checkpoint.open(tmp_path / "a.gguf")
    assert found.encodings == {"x": Encoding(name, (3, 2 * block))}
    assert found.tensors["x"].shape == (6 * size,)


def test_sizes_of_blocks_are_those_of_ggml():
    """ggml-common.h: a scale of 16 bits, or two, and what the codes take."""
    sizes = {name: (block, size) for name, block, size in BLOCKS.values()}
    assert sizes["Q4_0"] == (32, 2 + 32 // 2)
    assert sizes["Q4_1"] == (32, 2 * 2 + 32 // 2)
    assert sizes["Q5_0"] == (32, 2 + 4 + 32 // 2)
    assert sizes["Q5_1"] == (32, 2 * 2 + 4 + 32 // 2)
    assert sizes["Q8_0"] == (32, 2 + 32)
    assert sizes["Q2_K"] == (256, 2 * 2 + 256 // 16 + 256 // 4)
    assert sizes["Q3_K"] == (256, 2 + 256 // 4 + 256 // 8 + 12)
    assert sizes["Q4_K"] == (256, 2 * 2 + 12 + 256 // 2)
    assert sizes["Q5_K"] == (256, 2 * 2 + 12 + 256 // 2 + 256 // 8)
    assert sizes["Q6_K"] == (256, 2 + 256 // 16 + 3 * (256 // 4))
    assert sizes["IQ4_XS"] == (256, 2 + 2 + 256 // 64 + 256 // 2)
    assert sizes["MXFP4"] == (32, 1 + 32 // 2)


def header(tensors=1, keys=0, rest=b"", version=3):
    return b"GGUF" + struct.pack("<I2Q", version, tensors, keys) + rest


def described(name="x", sizes=(3, 2), kind=0, offset=0):
    count = struct.pack("<I", len(sizes))
    return gguf_text(name) + count + struct.pack(f"<{len(sizes)}QIQ", *sizes, kind, offset)


HUGE = 1 << 60


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (header(version=1), "version 1"),
        (header(version=9), "version 9"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(40), "big-endian"),
        (header(tensors=0), "without tensors"),
        (header(tensors=HUGE), "tensors and"),
        (header(keys=HUGE), "keys"),
        (header(keys=1), "cut short"),
        (header(keys=1, rest=struct.pack("<Q", HUGE)), "a text has"),
        (header(keys=1, rest=gguf_text("k") + struct.pack("<I", 99)), "unknown type 99"),
        (header(keys=1, rest=gguf_text("k") + struct.pack("<IQ", 8, HUGE)), "a text has"),
        (header(keys=1, rest=gguf_text("k") + struct.pack("<2IQ", 9, 4, HUGE)), "longer than"),
        (header(keys=1, rest=gguf_text("k") + struct.pack("<2IQ", 9, 8, HUGE)), "longer than"),
        (header(keys=1, rest=gguf_text("k") + struct.pack("<2I2Q", 9, 8, 1, HUGE)), "longer"),
        (header(keys=1, rest=gguf_text("k") + struct.pack("<2IQ", 9, 9, HUGE)), "longer than"),
        (
            header(
                keys=1,
                rest=gguf_text("k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 9
                + bytes(40),
            ),
            "unknown type 9",
        ),
        (header(keys=1, rest=gguf_text("k") + struct.pack("<2IQ", 9, 77, 0)), "unknown type 77"),
        (header(rest=gguf_text("x") + struct.pack("<I", 5)), 'tensor "x": at byte 24: it has 5'),
        (header(rest=described(kind=9)), "its type 9 is none"),
        (header(rest=described(kind=5)), "its type 5 is none"),
        (header(rest=described(kind=12)), "blocks of 256"),
        (header(rest=described(offset=3)), "no multiple of 32"),
        (header(rest=described(offset=HUGE)), "cut short"),
        (header(rest=described(sizes=(HUGE, HUGE, HUGE))), "cut short"),
    ],
)  # fmt: skip
def test_a_header_that_lies_is_refused(tmp_path, raw, why):
    (tmp_path / "a.gguf").write_bytes(raw)
    refused(tmp_path / "a.gguf", "a.gguf: ", why)


@pytest.mark.parametrize("alignment", [0, 3, 1 << 24, "x", [1]])
def test_an_alignment_that_is_none_is_refused(tmp_path, alignment):
    value = {"general.alignment": alignment}
    from common.containers import gguf_value

    keys = gguf_text("general.alignment") + gguf_value(value["general.alignment"])
    (tmp_path / "a.gguf").write_bytes(header(keys=1, rest=keys + described() + bytes(64)))
    refused(tmp_path / "a.gguf", "general.alignment is")


def test_a_key_or_a_tensor_that_is_there_twice_is_refused(tmp_path):
    key = gguf_text("k") + struct.pack("<2I", 4, 1)
    (tmp_path / "a.gguf").write_bytes(header(keys=2, rest=key + key))
    refused(tmp_path / "a.gguf", 'the key "k" is there twice')
    rest = described() + described(offset=32)
    (tmp_path / "a.gguf").write_bytes(header(2, rest=rest) + bytes(200))
    refused(tmp_path / "a.gguf", 'tensor "x"', "only one can be meant")


def test_tensors_that_lie_in_each_other_are_refused(tmp_path):
    rest = described("x", (16,)) + described("y", (16,), offset=32)
    (tmp_path / "a.gguf").write_bytes(header(2, rest=rest) + bytes(200))
    refused(tmp_path / "a.gguf", 'tensor "y": at byte', 'overlap those of "x"')


def test_vocabularies_are_passed_over_and_not_held(tmp_path):
    texts = [f"token {i}" for i in range(50_000)]
    (tmp_path / "a.gguf").write_bytes(gguf_bytes({"x": ARRAY}, {"tokens": texts, "t": "x" * 9999}))
    with Reader(tmp_path / "a.gguf") as file:
        assert serves(file)
        (found,) = read(file).files
    metadata = dict(found.metadata)
    assert metadata["tokens"] == "50000 values of type 8"
    assert len(metadata["t"]) < 600


VALID = gguf_bytes({"x": ARRAY, "y": (8, (2, 32), bytes(68)), "z": ARRAY.astype("f2")}, FIXED)


@settings(max_examples=300)
@given(data=st.data())
def test_a_mutated_file_is_opened_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated.gguf"
    opened_or_refused(path, mutated(data, VALID))
