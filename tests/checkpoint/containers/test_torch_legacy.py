"""Files of PyTorch from before its archives: where tensors lie, and what is refused."""

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
    torch_legacy,
    torch_pickle,
    weights,
    write_torch_legacy,
)
from conftest import DTYPES, write_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint, Encoding
from parentage.checkpoint.containers.reading import Reader
from parentage.checkpoint.containers.torch_legacy import read, serves
from parentage.support import CheckpointError

ARRAY = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_state_dict_is_read_in_place(tmp_path, protocol):
    tensors = weights()
    write_torch_legacy(tmp_path / "a.pth", OrderedDict(tensors), protocol)
    holds(tmp_path / "a.pth", tensors)


@pytest.mark.parametrize("dtype", sorted(STORAGES))
def test_every_dtype_of_a_storage_is_read(tmp_path, dtype):
    of = bool if dtype == "BOOL" else DTYPES[dtype]
    array = np.arange(7).astype(of)
    write_torch_legacy(tmp_path / "a.pt", {"x": array, "scalar": array[3:4].reshape(())})
    holds(tmp_path / "a.pt", {"x": array, "scalar": array[3]})


@pytest.mark.parametrize("odd", range(8))
def test_a_copy_is_identical_wherever_its_bytes_begin(tmp_path, odd):
    tensors = weights(1)
    value = {"state_dict": tensors, "note": "x" * odd}
    write_torch_legacy(tmp_path / "a.bin", value)
    write_checkpoint(tmp_path / "b", tensors)
    found = parentage.trace(tmp_path / "a.bin", base=tmp_path / "b", digest="sha256")
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    assert found.elements == sum(each.size for each in tensors.values())


def test_a_pickle_that_is_long_is_read_whole(tmp_path):
    tensors = {f"layers.{i}.{'x' * 90}.weight": ARRAY[:1, :2].copy() for i in range(1200)}
    write_torch_legacy(tmp_path / "a.bin", tensors)
    assert (tmp_path / "a.bin").stat().st_size > 1 << 17
    holds(tmp_path / "a.bin", tensors)


def test_tied_weights_and_views_are_parts_of_one_storage(tmp_path):
    tensors = {
        "embed": ARRAY,
        "head": ARRAY,
        "row": Cut(ARRAY, 6, (6,)),
        "view": Cut(ARRAY, 1, (2, 2), view=("v", 6, 12)),
        "empty": np.zeros((0, 3), np.float32),
    }
    write_torch_legacy(tmp_path / "a.pt", tensors)
    found = Checkpoint.open(tmp_path / "a.pt")
    assert found.tensors["embed"][5:] == found.tensors["head"][5:]
    assert held(found, "row").tolist() == ARRAY[1].tolist()
    assert held(found, "view").tolist() == [[7.0, 8.0], [9.0, 10.0]]
    assert found.tensors["empty"].elements == 0


def test_elements_that_do_not_follow_each_other_are_bytes_alone(tmp_path):
    write_torch_legacy(tmp_path / "a.pt", {"x": Cut(ARRAY, 0, (6, 4), (1, 6)), "y": ARRAY})
    found = Checkpoint.open(tmp_path / "a.pt")
    assert found.encodings == {"x": Encoding("strided elements [1, 6]", (6, 4))}


def test_texts_of_python_2_are_names(tmp_path):
    raw = torch_legacy({"x": ARRAY})
    assert raw.count(b"X\x01\0\0\0x") == 1
    (tmp_path / "a.pt").write_bytes(raw.replace(b"X\x01\0\0\0x", b"U\x01x"))
    holds(tmp_path / "a.pt", {"x": ARRAY})


def test_bytes_behind_the_last_storage_are_told(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_legacy({"x": ARRAY}) + bytes(1234))
    with Reader(tmp_path / "a.pt") as file:
        assert serves(file)
        found = read(file)
    assert found.choices == ("the 1,234 bytes behind the last storage are not read",)


def test_a_folder_of_shards_is_one_checkpoint(tmp_path):
    tensors = weights()
    names = sorted(tensors)
    for number, part in enumerate((names[:2], names[2:]), 1):
        path = tmp_path / f"pytorch_model-0000{number}-of-00002.bin"
        write_torch_legacy(path, {name: tensors[name] for name in part})
    assert sorted(Checkpoint.open(tmp_path).tensors) == names


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"version": 1002}, "its protocol is 1002, and 1001 is known"),
        ({"system": {"little_endian": False}}, 'byte order "big"; little is read here'),
        ({"system": {}}, 'byte order "none"'),
        ({"system": []}, 'byte order "none"'),
        ({"keys": ["1"]}, 'the storage "1"'),
        ({"keys": ["0", "0", "1"]}, 'has "0" twice'),
        ({"keys": ["0"]}, 'tensor "y": its storage "1" is not in the file'),
        ({"keys": ["0", "1", "2"]}, 'nothing of the storage "2"'),
        ({"keys": {}}, "no list of texts"),
        ({"keys": [0]}, "no list of texts"),
        ({"storages": {"0": (23, bytes(92))}}, "has 23 elements, and the pickle says 24"),
        ({"storages": {"0": (-1, bytes(96))}}, "has 18,446,744,073,709,551,615 elements"),
        ({"storages": {"1": (6, bytes(23))}}, "cut short, or damaged"),
    ],
)
def test_what_contradicts_itself_is_refused_with_its_place(tmp_path, changed, why):
    write_torch_legacy(tmp_path / "a.pth", {"x": ARRAY, "y": ARRAY[0].copy()}, **changed)
    refused(tmp_path / "a.pth", "a.pth: ", why)


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (("v", 12, 13), "a view of 13 elements from element 12 on"),
        (("v", -1, 3), "none of torch's"),
        (("v", 3), "none of torch's"),
        ((("v", 0, 24), 0, "x"), "none of torch's"),
        ("v", "none of torch's"),
        (("v", 6, 3), 'tensor "x": at byte'),
        (("v", 1 << 62, 1 << 62), "a view of"),
    ],
)
def test_a_view_that_leaves_its_storage_is_refused(tmp_path, view, why):
    write_torch_legacy(tmp_path / "a.pt", {"x": Cut(ARRAY, 0, (4,), view=view)})
    refused(tmp_path / "a.pt", "a.pt: ", "at byte", why)


def test_a_storage_of_two_sizes_has_that_of_the_file(tmp_path):
    """A later claim on the same storage, and a view by it, give no bytes beyond it."""
    raw = torch_legacy({"x": ARRAY, "y": Cut(ARRAY, 0, (4,), view=("v", 40, 4))} | {"z": 1})
    assert b"K\x18" in raw
    refuse = raw[: raw.rindex(b"K\x18")] + b"K\x2c" + raw[raw.rindex(b"K\x18") + 2 :]
    (tmp_path / "a.pt").write_bytes(refuse)
    refused(tmp_path / "a.pt", "a.pt: ", "at byte")


def test_a_pickle_that_calls_something_is_refused_by_name(tmp_path):
    write_torch_legacy(tmp_path / "a.pt", {"x": ARRAY, "y": Call("os.system", "true")})
    refused(tmp_path / "a.pt", "a.pt: at byte", '"os.system"', "never imported")


def test_a_whole_module_is_refused_by_name(tmp_path):
    write_torch_legacy(tmp_path / "a.pt", Call("models.Net", state={"x": ARRAY}))
    refused(tmp_path / "a.pt", '"models.Net"', "save the state_dict alone")


def test_a_pickle_without_an_end_is_refused_soon(tmp_path):
    raw = torch_legacy({})
    at = raw.rindex(b"}q\0.")
    with (tmp_path / "a.pt").open("wb") as file:
        file.write(raw[:at] + b"X\0\0\0\xf0")
        file.truncate(1 << 33)
    refused(tmp_path / "a.pt", "the pickle has more than 67,108,864 bytes")


def test_what_has_no_end_at_all_is_refused(tmp_path):
    raw = torch_legacy({"x": ARRAY})
    for cut in range(0, len(raw) - 1, 3):
        (tmp_path / "a.pt").write_bytes(raw[:cut])
        with pytest.raises(CheckpointError):
            Checkpoint.open(tmp_path / "a.pt")


def test_the_pickles_of_an_archive_are_no_such_file(tmp_path):
    (tmp_path / "a.pt").write_bytes(torch_pickle({"x": ARRAY})[0])
    with Reader(tmp_path / "a.pt") as file:
        assert not serves(file)


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    cuts = {"y": Cut(ARRAY, 2, (3, 2), (1, 6)), "z": Cut(ARRAY, 0, (3,), view=("v", 3, 9))}
    return folder, torch_legacy({"state_dict": {"x": ARRAY, **cuts}, "epoch": 3})


@settings(max_examples=300)
@given(data=st.data())
def test_a_mutated_file_is_opened_or_refused(valid, data):
    folder, raw = valid
    opened_or_refused(folder / "a.pt", mutated(data, raw))


@pytest.mark.torch
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_torch_writes_is_where_it_is_said_to_lie(tmp_path, protocol):
    import torch

    made = torch.Generator().manual_seed(1)
    big = torch.randn(5, 7, generator=made)
    state = {
        "big": big,
        "row": big[2],
        "column": big[:, 1:2],
        "turned": big.T,
        "half": torch.randn(3, 3, generator=made).half(),
        "brain": torch.randn(3, 3, generator=made).bfloat16(),
        "eight": torch.randn(9, generator=made).to(torch.float8_e4m3fn),
        "bits": torch.arange(5).to(torch.uint16),
        "count": torch.arange(3),
        "flag": torch.tensor([True, False]),
        "none": torch.zeros(0, 4),
        "one": torch.tensor(2.5),
        "parameter": torch.nn.Parameter(torch.randn(4, generator=made)),
    }
    path = tmp_path / "a.pth"
    torch.save(
        {"model": state, "epoch": 3},
        path,
        _use_new_zipfile_serialization=False,
        pickle_protocol=protocol,
    )
    found = Checkpoint.open(path)
    assert set(found.tensors) == set(state)
    for name, expected in state.items():
        tensor = found.tensors[name]
        raw = found.shards[tensor.shard].path.read_bytes()[tensor.begin : tensor.end]
        if name in ("column", "turned"):
            assert found.encodings[name].shape == tuple(expected.shape)
            # The storage's elements, from the first of the tensor to its last.
            step = max((n - 1) * s for n, s in zip(expected.shape, expected.stride(), strict=True))
            assert len(raw) == 4 * (35 if name == "turned" else step + 1)
            continue
        assert tensor.shape == tuple(expected.shape)
        mine = torch.frombuffer(bytearray(raw or b"\0"), dtype=torch.uint8)[: len(raw)]
        theirs = expected.detach().contiguous().reshape(-1).view(torch.uint8)
        assert torch.equal(mine, theirs)
