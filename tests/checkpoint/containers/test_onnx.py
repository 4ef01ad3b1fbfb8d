"""ONNX: initialisers in the file, in typed fields, in files beside it, and within nodes."""

import struct

import numpy as np
import pytest
from common.containers import (
    ONNX_TYPES,
    field,
    held,
    holds,
    mutated,
    onnx_bytes,
    onnx_external,
    onnx_model,
    onnx_tensor,
    opened_or_refused,
    refused,
    varint,
    weights,
)
from conftest import DTYPES
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint, Encoding
from parentage.checkpoint.containers import onnx
from parentage.checkpoint.containers.onnx import read, serves
from parentage.checkpoint.containers.reading import Reader

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def written(path, *tensors, nodes=b""):
    path.write_bytes(onnx_model(b"".join(field(5, each) for each in tensors) + nodes))
    return path


def opened(path, *tensors, nodes=b""):
    return Checkpoint.open(written(path, *tensors, nodes=nodes))


@pytest.mark.parametrize("dtype", sorted(ONNX_TYPES))
def test_raw_data_of_every_dtype_is_read_in_place(tmp_path, dtype):
    array = np.arange(6).astype(bool if dtype == "BOOL" else DTYPES[dtype]).reshape(2, 3)
    written(tmp_path / "a.onnx", onnx_tensor("x", array), onnx_tensor("s", array[0, 0].reshape(1)))
    holds(tmp_path / "a.onnx", {"x": array, "s": array[0, :1]})


def test_packed_floats_are_read_in_place(tmp_path):
    double = ARRAY.astype(np.float64)
    one = onnx_tensor("f", ARRAY, field(4, ARRAY.tobytes()), raw=False)
    two = onnx_tensor("d", double, field(10, double.tobytes()), raw=False)
    written(tmp_path / "a.onnx", one, two)
    holds(tmp_path / "a.onnx", {"f": ARRAY, "d": double})


def test_numbers_that_are_not_packed_or_of_many_lengths_are_bytes_alone(tmp_path):
    singly = b"".join(varint(4 << 3 | 5) + each.tobytes() for each in ARRAY.ravel())
    halves = ARRAY.astype(np.float16)
    found = opened(
        tmp_path / "a.onnx",
        onnx_tensor("f", ARRAY, singly, raw=False),
        onnx_tensor("h", halves, field(5, b"".join(varint(i) for i in range(6))), raw=False),
        onnx_tensor("i", np.zeros(1, np.int64), field(7, 3), raw=False),
        field(1, 3) + field(2, 22) + field(8, "four") + field(9, b"ab"),
        onnx_tensor("x", ARRAY),
    )
    assert found.encodings == {
        "f": Encoding("ONNX's float_data", (2, 3)),
        "h": Encoding("ONNX's int32_data", (2, 3)),
        "i": Encoding("ONNX's int64_data", (1,)),
        "four": Encoding("INT4", (3,)),
    }


def test_numbers_in_a_file_beside_the_model_are_read_there(tmp_path):
    data = bytes(64) + ARRAY.tobytes() + ARRAY[0].tobytes()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(data)
    external = onnx_external("data/w.bin", 64, 24)
    rest = onnx_external("data/w.bin", 88)
    found = opened(
        tmp_path / "a.onnx",
        onnx_tensor("x", ARRAY, external, raw=False),
        onnx_tensor("y", ARRAY[0], rest, raw=False),
        onnx_tensor("z", ARRAY + 1),
    )
    assert [shard.name for shard in found.shards] == ["a.onnx", "data/w.bin"]
    assert held(found, "x").tolist() == ARRAY.tolist()
    assert held(found, "y").tolist() == ARRAY[0].tolist()
    assert held(found, "z").tolist() == (ARRAY + 1).tolist()


@pytest.mark.parametrize(
    ("external", "why"),
    [
        (onnx_external("../secret", 0, 24), "no plain path"),
        (onnx_external("/etc/passwd", 0, 24), "no plain path"),
        (field(14, 1), "no plain path"),
        (onnx_external("link", 0, 24), "a link out of the folder"),
        (onnx_external("none", 0, 24), "does not exist"),
        (onnx_external("w.bin", 0, 23), "needs 24"),
        (onnx_external("w.bin", 1, 24), "ends at byte 25"),
        (onnx_external("w.bin", -1, 24), "no number of bytes"),
        (onnx_external("w.bin", 10**30, 24), "no number of bytes"),
    ],
)
def test_a_file_beside_the_model_that_does_not_hold_it_is_refused(tmp_path, external, why):
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(24))
    (folder / "link").symlink_to("../secret")
    (folder / "w.bin").write_bytes(bytes(24))
    written(folder / "a.onnx", onnx_tensor("x", ARRAY, external, raw=False))
    refused(folder / "a.onnx", 'tensor "x"', why)


def node(kind, output="y", name="", *attributes):
    out = field(1, "in") + field(2, output) + field(3, name) + field(4, kind)
    return field(1, out + b"".join(field(5, each) for each in attributes))


def test_constants_and_graphs_within_nodes_are_read(tmp_path):
    constant = node("Constant", "c", "", field(1, "value") + field(5, onnx_tensor("v", ARRAY)))
    shape = onnx_tensor("", np.zeros(2, np.int64))
    axes = node("Constant", "axes", "", field(1, "value") + field(5, shape))
    zero = field(1, "value") + field(5, onnx_tensor("", ARRAY[0, :1]))
    fill = node("ConstantOfShape", "zeros", "", zero)
    inner = field(5, onnx_tensor("w", ARRAY)) + constant
    branch = node("If", "out", "choice", field(1, "then_branch") + field(6, inner))
    found = opened(
        tmp_path / "a.onnx", onnx_tensor("w", ARRAY), nodes=constant + branch + axes + fill
    )
    assert list(found.tensors) == ["c", "choice.then_branch.c", "choice.then_branch.w", "w"]
    assert found.remarks == (
        "Of a, constants of nodes that are integers, as shapes and axes, or that fill a "
        "shape, are not read (2).",
    )


def test_a_sparse_tensor_says_nothing_by_its_values(tmp_path):
    indices = onnx_tensor("", np.arange(6))
    sparse = field(1, onnx_tensor("s", ARRAY.ravel())) + field(2, indices)
    sparse += field(3, varint(40))
    found = opened(tmp_path / "a.onnx", onnx_tensor("x", ARRAY), nodes=field(15, sparse))
    assert found.encodings == {
        "s": Encoding("a sparse tensor", (40,)),
        ".indices": Encoding("a sparse tensor", (40,)),
    }


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (onnx_tensor("x", ARRAY)[:-1], "leaves its message"),
        (onnx_tensor("x", ARRAY, raw=False), "has no data"),
        (onnx_tensor("x", ARRAY, field(9, bytes(23)), raw=False), "has 23 bytes"),
        (field(1, 2) + field(2, 99) + field(8, "x") + field(9, bytes(8)), "none of ONNX's"),
        (field(1, (1 << 64) - 1) + field(2, 1) + field(8, "x") + field(9, b""), "negative"),
        (field(1, b"\x01" * 65) + field(2, 1) + field(8, "x"), "dimensions"),
        (field(1, b"\x01") * 65 + field(2, 1) + field(8, "x"), "dimensions"),
        (field(8, "x" * (1 << 17)) + field(2, 1), "a name has"),
        (field(8, "x")[:1] + b"\xff" * 11, "does not end"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_a_damaged_tensor_is_refused(tmp_path, tensor, why):
    refused(written(tmp_path / "a.onnx", tensor), "at byte", why)


def test_graphs_within_graphs_end(tmp_path):
    graph = b""
    for _ in range(40):
        graph = node("Loop", "y", "n", field(1, "body") + field(6, graph))
    refused(written(tmp_path / "a.onnx", nodes=graph), "16 graphs lie within each other")


def test_fields_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "MOST_FIELDS", 1000)
    path = written(tmp_path / "a.onnx", nodes=field(2, "") * 1000)
    refused(path, "more fields than any model")
    many = b"".join(field(5, b"") for _ in range(5000))
    monkeypatch.setattr(onnx, "MOST_FIELDS", 10_000)
    refused(written(path, nodes=field(1, many)), "more than 4,096 attributes")


def test_what_is_no_model_is_none(tmp_path):
    for raw in (
        b"\x08\x08",
        field(1, 8) + field(7, b"") + field(99, b""),
        field(1, 8) + field(7, b"") + b"\x3a\xff",
        field(7, b"") + field(12, 3),
        struct.pack("<Q", 8) + b"x" * 100,
    ):
        (tmp_path / "a").write_bytes(raw)
        with Reader(tmp_path / "a") as file:
            assert not serves(file)
    (tmp_path / "a").write_bytes(onnx_bytes(weights()))
    with Reader(tmp_path / "a") as file:
        assert serves(file)
        assert len(read(file).tensors) == len(weights())


VALID = onnx_model(
    field(5, onnx_tensor("x", ARRAY))
    + field(5, onnx_tensor("f", ARRAY, field(4, ARRAY.tobytes()), raw=False))
    + node("Constant", "c", "", field(1, "value") + field(5, onnx_tensor("v", ARRAY)))
    + field(5, onnx_tensor("e", ARRAY[0], onnx_external("w.bin", 0, 12), raw=False))
)


@settings(max_examples=400)
@given(data=st.data())
def test_a_mutated_model_is_opened_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    (folder / "w.bin").write_bytes(bytes(16))
    opened_or_refused(folder / "mutated.onnx", mutated(data, VALID))
