"""Archives of PyTorch: which tensors are the model, and where they lie."""

import zipfile
from collections import OrderedDict

import numpy as np
import parentage
import pytest
from common.containers import (
    STORAGES,
    Call,
    Cut,
    held,
    holds,
    mutated,
    opened_or_refused,
    refused,
    torch_pickle,
    weights,
    write_torch,
    write_zip,
)
from conftest import DTYPES, NAMES, write_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint, Encoding
from parentage.checkpoint.containers.reading import Reader
from parentage.checkpoint.containers.torch_zip import read, serves

ARRAY = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_state_dict_is_read_in_place(tmp_path, protocol):
    tensors = weights()
    write_torch(tmp_path / "a.pt", OrderedDict(tensors), protocol)
    holds(tmp_path / "a.pt", tensors)


@pytest.mark.parametrize("dtype", sorted(STORAGES))
def test_every_dtype_of_a_storage_is_read(tmp_path, dtype):
    of = bool if dtype == "BOOL" else DTYPES[dtype]
    array = np.arange(8).astype(of)
    assert NAMES[array.dtype] == dtype
    write_torch(tmp_path / "a.pt", {"x": array, "scalar": array[3:4].reshape(())})
    holds(tmp_path / "a.pt", {"x": array, "scalar": array[3]})


def test_tied_weights_are_one_storage_with_two_names(tmp_path):
    write_torch(tmp_path / "a.pt", {"embed": ARRAY, "head": ARRAY, "row": Cut(ARRAY, 6, (6,))})
    found = Checkpoint.open(tmp_path / "a.pt")
    assert found.tensors["embed"][5:] == found.tensors["head"][5:]
    assert held(found, "row").tolist() == ARRAY[1].tolist()
    tensors = {"embed": ARRAY, "head": ARRAY, "row": ARRAY[1]}
    write_checkpoint(tmp_path / "b", tensors)
    trace = parentage.trace(tmp_path / "a.pt", base=tmp_path / "b", digest="sha256")
    assert trace.verdict.kind == "identical"


@pytest.mark.parametrize(
    ("cut", "kind", "size"),
    [
        (Cut(ARRAY, 0, (6, 4), (1, 6)), "strided elements [1, 6]", 96),
        (Cut(ARRAY, 2, (3, 6), (0, 1)), "strided elements [0, 1]", 24),
        (Cut(ARRAY, 0, (4, 2), (6, 1)), "strided elements [6, 1]", 80),
    ],
)
def test_elements_that_do_not_follow_each_other_are_bytes_alone(tmp_path, cut, kind, size):
    write_torch(tmp_path / "a.pt", {"x": cut, "y": ARRAY})
    found = Checkpoint.open(tmp_path / "a.pt")
    assert found.encodings == {"x": Encoding(kind, cut.shape)}
    assert found.tensors["x"].end - found.tensors["x"].begin == size


def test_dimensions_of_one_element_have_any_stride(tmp_path):
    write_torch(tmp_path / "a.pt", {"x": Cut(ARRAY, 6, (1, 6, 1), (99, 1, 7))})
    holds(tmp_path / "a.pt", {"x": ARRAY[1].reshape(1, 6, 1)})


def test_a_tensor_without_elements_is_there(tmp_path):
    write_torch(tmp_path / "a.pt", {"x": ARRAY, "none": np.zeros((0, 3), np.float32)})
    assert Checkpoint.open(tmp_path / "a.pt").tensors["none"].elements == 0


def test_what_was_picked_is_told_by_the_verdict(tmp_path):
    tensors = weights()
    write_torch(tmp_path / "a.ckpt", {"state_dict": tensors, "optimizer": {"s": ARRAY}})
    write_checkpoint(tmp_path / "b", tensors)
    found = parentage.trace(tmp_path / "a.ckpt", base=tmp_path / "b")
    said = 'Of a, the tensors of "state_dict" are read, and those of "optimizer" are not.'
    assert said in found.verdict.text


def test_a_torchscript_archive_is_its_modules(tmp_path):
    inner = Call("__torch__.Linear", state={"weight": ARRAY, "training": False})
    outer = Call("__torch__.Net", state={"layer": inner, "bias": ARRAY[0].copy(), "name": "x"})
    raw, storages = torch_pickle(outer)
    entries = {"net/data.pkl": raw, "net/code/__torch__.py": b"x"}
    entries |= {f"net/data/{key}": each for key, each in storages.items()}
    write_zip(tmp_path / "net.jit", entries)
    holds(tmp_path / "net.jit", {"layer.weight": ARRAY, "bias": ARRAY[0]})


def test_a_compressed_archive_is_refused(tmp_path):
    write_torch(tmp_path / "a.pt", {"x": ARRAY}, method=zipfile.ZIP_DEFLATED)
    refused(tmp_path / "a.pt", "a.pt: at byte", "compressed", "store it as it is")


def test_a_bomb_is_refused_without_unpacking_it(tmp_path):
    raw, _ = torch_pickle({"x": ARRAY})
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a/data.pkl"), raw)
        archive.writestr("a/data/0", bytes(1 << 26))
    refused(path, '"a/data/0" is compressed')


def test_numbers_of_the_other_byte_order_are_refused(tmp_path):
    raw, storages = torch_pickle({"x": ARRAY})
    entries = {"a/data.pkl": raw, "a/byteorder": b"big", "a/data/0": storages["0"]}
    write_zip(tmp_path / "a.pt", entries)
    refused(tmp_path / "a.pt", 'byte order "big"')


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({}, 'tensor "x": its storage "a/data/0" is not in the archive'),
        ({"a/data/0": bytes(95)}, 'tensor "x": at byte'),
    ],
)
def test_a_storage_that_is_missing_or_short_is_refused(tmp_path, entries, why):
    write_zip(tmp_path / "a.pt", {"a/data.pkl": torch_pickle({"x": ARRAY})[0], **entries})
    refused(tmp_path / "a.pt", why)


def test_storages_that_lie_in_each_other_are_refused(tmp_path):
    write_torch(tmp_path / "a.pt", {"x": ARRAY, "y": ARRAY + 1})
    raw = bytearray((tmp_path / "a.pt").read_bytes())
    # The directory has the second storage where the first is; its local header is one within it.
    first = raw.index(ARRAY.tobytes())
    local = raw.index(b"PK\x03\x04", first)
    header = raw[local : local + 30]
    header += b"archive/data/1" + raw[local + 44 : local + 51]
    raw[first : first + len(header)] = header
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 42 : at + 46] = first.to_bytes(4, "little")
    (tmp_path / "a.pt").write_bytes(raw)
    refused(tmp_path / "a.pt", "overlap")


def test_a_pickle_without_a_tensor_is_refused(tmp_path):
    write_torch(tmp_path / "a.pt", {"epoch": 3})
    refused(tmp_path / "a.pt", "describes no tensor")


def test_a_pickle_that_calls_something_is_refused_by_name(tmp_path):
    write_torch(tmp_path / "a.pt", {"x": ARRAY, "y": Call("os.system", "true")})
    refused(tmp_path / "a.pt", "a.pt: at byte", '"os.system"', "never imported")


def test_dictionaries_that_name_each_other_for_ever_are_refused(tmp_path):
    raw, storages = torch_pickle({"x": ARRAY})
    # A dictionary that holds itself.
    within = raw[:-1] + b"q\xf0X\x01\0\0\0sh\xf0s."
    write_zip(tmp_path / "a.pt", {"a/data.pkl": within, "a/data/0": storages["0"]})
    refused(tmp_path / "a.pt", "more than 32 dictionaries")
    # Each of 30 holds the one before it twice: 2^30 names for one tensor.
    laughs = raw[:-1] + b"".join(
        b"q%c0}(X\x01\0\0\0ah%cX\x01\0\0\0bh%cu" % (i, i, i) for i in range(100, 130)
    )
    write_zip(tmp_path / "b.pt", {"a/data.pkl": laughs + b".", "a/data/0": storages["0"]})
    refused(tmp_path / "b.pt", "name more than")


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    value = {"state_dict": {"x": ARRAY, "y": Cut(ARRAY, 2, (3, 2), (1, 6))}, "epoch": 3}
    return folder, write_torch(folder / "valid.pt", value).read_bytes()


@settings(max_examples=300)
@given(data=st.data())
def test_a_mutated_archive_is_opened_or_refused(valid, data):
    folder, raw = valid
    opened_or_refused(folder / "a.pt", mutated(data, raw))


def test_what_is_told_to_be_read_is_what_is_read(tmp_path):
    write_torch(tmp_path / "a.pt", {"x": ARRAY})
    with Reader(tmp_path / "a.pt") as file:
        assert serves(file)
        (found,) = read(file).tensors
    assert (tmp_path / "a.pt").read_bytes()[found.begin : found.end] == ARRAY.tobytes()
