"""NumPy's files: arrays alone and in archives, in place."""

import io
import struct
import zipfile

import numpy as np
import pytest
from common.containers import (
    holds,
    mutated,
    opened_or_refused,
    refused,
    weights,
    write_zip,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint, Encoding
from parentage.checkpoint.containers.numpy_files import read, serves
from parentage.checkpoint.containers.reading import Reader

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def saved(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=False)
    return file.getvalue()


def written(path, header, data=b"", version=1):
    raw = header.encode("latin-1")
    size = struct.pack("<H" if version == 1 else "<I", len(raw))
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + size + raw + data)
    return path


@pytest.mark.parametrize(
    "dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", "c8"]
)
def test_every_dtype_of_numbers_is_read(tmp_path, dtype):
    array = np.arange(6).astype(dtype).reshape(2, 3)
    (tmp_path / "x.npy").write_bytes(saved(array))
    found = Checkpoint.open(tmp_path / "x.npy")
    tensor = found.tensors["x"]
    assert not found.encodings
    assert tensor.shape == (2, 3)
    assert (tmp_path / "x.npy").read_bytes()[tensor.begin : tensor.end] == array.tobytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_is_read(tmp_path, version):
    (tmp_path / "x.npy").write_bytes(saved(ARRAY, version))
    holds(tmp_path / "x.npy", {"x": ARRAY})


def test_an_archive_is_its_arrays_by_name(tmp_path):
    tensors = weights() | {"scalar": np.float32(3).reshape(()), "none": np.zeros((0, 4), "f4")}
    np.savez(tmp_path / "a.npz", **tensors)
    holds(tmp_path / "a.npz", tensors)
    with Reader(tmp_path / "a.npz") as file:
        assert serves(file)
        assert len(read(file).tensors) == len(tensors)


def test_a_compressed_archive_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=ARRAY)
    refused(tmp_path / "a.npz", '"x.npy" is compressed')


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (ARRAY.astype(">f4"), "numpy's >f4"),
        (np.asfortranarray(ARRAY), "columns one after the other"),
        (ARRAY.view("V2"), "numpy's |V2"),
        (np.array(["ab"]), "numpy's <U2"),
        (np.zeros(3, np.longdouble), f"numpy's {np.dtype(np.longdouble).str}"),
    ],
)
def test_what_is_no_number_here_is_bytes_alone(tmp_path, array, kind):
    np.savez(tmp_path / "a.npz", x=array, y=ARRAY)
    assert Checkpoint.open(tmp_path / "a.npz").encodings == {"x": Encoding(kind, array.shape)}


def test_a_row_in_the_order_of_fortran_is_a_row(tmp_path):
    array = np.asfortranarray(ARRAY[:1])
    text = "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 3), }"
    written(tmp_path / "x.npy", text, array.tobytes())
    holds(tmp_path / "x.npy", {"x": ARRAY[:1]})


def test_pickled_objects_are_bytes_that_nobody_loads(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print, None], dtype=object), allow_pickle=True)
    assert Checkpoint.open(tmp_path / "x.npy").encodings == {"x": Encoding("numpy's |O", (2,))}


@pytest.mark.parametrize(
    ("header", "data", "why"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, "needs 24"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, "needs 24"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (9" + "9" * 30 + ",), }", 0, "large"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 65 + "), }", 4, "65"),
        ("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}", 4, "header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4, "header"),
        ("[" * 5000, 0, "header"),
        ("", 0, "header"),
    ],
)
def test_a_header_that_is_none_is_refused(tmp_path, header, data, why):
    written(tmp_path / "x.npy", header, bytes(data))
    refused(tmp_path / "x.npy", 'tensor "x": at byte', why)


def test_a_structured_array_is_bytes_alone(tmp_path):
    (tmp_path / "x.npy").write_bytes(saved(np.zeros(2, [("a", "f4"), ("b", "i4")])))
    (encoding,) = Checkpoint.open(tmp_path / "x.npy").encodings.values()
    assert encoding.kind.startswith("numpy's [('a', '<f4')")


def test_a_header_longer_than_the_file_is_refused(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff")
    refused(tmp_path / "x.npy", "has 4,294,967,295 bytes")
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x09\x00\xff\xff\xff\xff")
    refused(tmp_path / "x.npy", "no array of NumPy's")
    write_zip(tmp_path / "a.npz", {"x.npy": b"abc"})
    refused(tmp_path / "a.npz", 'tensor "x"', "no array of NumPy's")


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npz")
    with zipfile.ZipFile(folder / "valid.npz", "w") as archive:
        for name, array in (("x", ARRAY), ("y", ARRAY[0].astype(">f4"))):
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), saved(array))
    return folder, [(folder / "valid.npz").read_bytes(), saved(ARRAY)]


@settings(max_examples=300)
@given(data=st.data())
def test_a_mutated_file_is_opened_or_refused(valid, data):
    folder, raws = valid
    raw = data.draw(st.sampled_from(raws))
    opened_or_refused(folder / "a", mutated(data, raw))
