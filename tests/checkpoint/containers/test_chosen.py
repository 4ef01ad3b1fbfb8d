"""A file is what its bytes say, and what it holds is compared as safetensors are."""

import io
from hashlib import sha256

import numpy as np
import parentage
import pytest
from common.containers import (
    gguf_bytes,
    holds,
    onnx_bytes,
    refused,
    weights,
    write_torch,
    write_torch_legacy,
    write_zip,
)
from conftest import BF16, encode_safetensors, write_checkpoint
from parentage.checkpoint.containers.chosen import (
    CONTAINERS,
    contents_in_core,
    contents_of_file,
    is_container,
)
from parentage.checkpoint.containers.contents import Contents
from parentage.checkpoint.containers.reading import Reader


def as_torch(path, tensors):
    write_torch(path, tensors)


def as_torch_legacy(path, tensors):
    write_torch_legacy(path, tensors)


def as_gguf(path, tensors):
    path.write_bytes(gguf_bytes(tensors))


def as_onnx(path, tensors):
    path.write_bytes(onnx_bytes(tensors))


def as_npz(path, tensors):
    with path.open("wb") as file:
        np.savez(file, **tensors)


WRITERS = [as_torch, as_torch_legacy, as_gguf, as_onnx, as_npz]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ["model.ckpt", "model", "model.safetensors"])
def test_a_file_is_opened_by_what_is_in_it(tmp_path, write, name):
    tensors = weights()
    write(tmp_path / name, tensors)
    assert is_container(tmp_path / name)
    holds(tmp_path / name, tensors)


@pytest.mark.parametrize("write", WRITERS)
def test_a_copy_in_another_container_is_identical(tmp_path, write):
    tensors = weights(1)
    write(tmp_path / "child", tensors)
    write_checkpoint(tmp_path / "parent", tensors)
    found = parentage.trace(tmp_path / "child", base=tmp_path / "parent", digest="sha256")
    assert (found.verdict.kind, found.verdict.level) == ("identical", "exact")
    assert found.elements == sum(each.size for each in tensors.values())
    assert found.digests["child"][0] == sha256((tmp_path / "child").read_bytes()).hexdigest()


@pytest.mark.parametrize("write", [as_torch, as_torch_legacy, as_gguf, as_onnx])
def test_numbers_of_16_bits_are_read_in_place(tmp_path, write):
    tensors = weights(2, BF16)
    write(tmp_path / "child", tensors)
    holds(tmp_path / "child", tensors)


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin", "model.onnx"])
def test_safetensors_are_left_to_the_core_whatever_they_are_called(tmp_path, name):
    tensors = weights()
    (tmp_path / name).write_bytes(encode_safetensors(tensors))
    assert contents_of_file(tmp_path / name) is None
    assert not is_container(tmp_path / name)
    holds(tmp_path / name, tensors)
    holds(tmp_path, tensors)


def test_a_zip_archive_of_somebody_else_is_refused(tmp_path):
    write_zip(tmp_path / "a.zip", {"readme.txt": b"x"})
    refused(tmp_path / "a.zip", "neither PyTorch's", "nor NumPy's")


def test_what_is_of_no_format_is_told_by_the_core(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    refused(tmp_path / "a.ckpt", "HDF5")
    (tmp_path / "b.pt").write_bytes(b"")
    refused(tmp_path / "b.pt", "empty")


def test_what_the_core_reads_is_described_alike(tmp_path):
    write_checkpoint(tmp_path / "m", weights(), shards=2)
    found = contents_in_core(tmp_path / "m")
    assert isinstance(found, Contents)
    assert [each.name for each in found.files] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert sorted(each.name for each in found.tensors) == sorted(weights())


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_knows_its_own_files_alone(tmp_path, container):
    served = []
    for write in WRITERS:
        write(tmp_path / write.__name__, weights())
        with Reader(tmp_path / write.__name__) as file:
            served.append(container.serves(file))
    assert sum(served) == 1


def test_an_array_alone_is_called_as_its_file(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    file = io.BytesIO()
    np.save(file, array)
    (tmp_path / "embedding.npy").write_bytes(file.getvalue())
    holds(tmp_path / "embedding.npy", {"embedding": array})
