"""Headers and indexes: what they say, and how they were written."""

import json

import numpy as np
import pytest
from conftest import encode_safetensors, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.metadata.files import Folder
from parentage.metadata.headers import headers_of, naming, written
from safetensors.numpy import save_file

TENSORS = {"b": np.ones((2, 2), np.float32), "a": np.ones(3, np.float16)}


def read(folder):
    checkpoint = Checkpoint.open(folder)
    return headers_of(checkpoint, Folder.of(checkpoint))


def test_what_the_library_writes_is_known(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors", {"format": "pt"})
    found = read(tmp_path)
    assert found.metadata == {"format": "pt"}
    assert found.writing["header looks like"] == "the safetensors library"
    assert found.writing["tensors listed"] != "by name"
    assert "safetensors library" in found.tools[0]


def test_what_python_writes_is_not_the_library(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(encode_safetensors(TENSORS))
    found = read(tmp_path)
    assert "header looks like" not in found.writing
    assert found.writing["header JSON"] == "with a blank after , and :"
    assert found.tools[0].startswith("not the safetensors library")


def test_tools_are_named_by_what_they_write(tmp_path):
    recipe = json.dumps({"abc": {"name": "one", "sd_merge_models": []}})
    said = {"mergekit_version": "0.1.5", "sd_merge_models": recipe}
    save_file(TENSORS, tmp_path / "model.safetensors", said)
    found = read(tmp_path)
    assert found.metadata["sd_merge_models"]["abc"]["name"] == "one"
    assert any("mergekit: the header has mergekit_version" in each for each in found.tools)


def test_files_that_say_different_things_are_counted(tmp_path):
    save_file({"a": TENSORS["a"]}, tmp_path / "model-00001-of-00002.safetensors", {"x": "1"})
    save_file({"b": TENSORS["b"]}, tmp_path / "model-00002-of-00002.safetensors", {"x": "2"})
    found = read(tmp_path)
    assert found.metadata["x"] == {"1": "1 of 2 files", "2": "1 of 2 files"}
    assert found.writing["names"] == "model-NNNNN-of-NNNNN.safetensors"


def test_the_metadata_of_an_index_is_read(tmp_path):
    folder = write_checkpoint(tmp_path / "m", TENSORS, shards=2)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "metadata": {"total_size": 22}}))
    assert read(folder).index == {"model.safetensors.index.json: total_size": 22}


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"{", b"[]", b'{"a": 1}', b'{"a": {"data_offsets": [[]]}}', b"\xff", b" "]
)
def test_odd_headers_are_no_errors(raw):
    assert "header looks like" not in written(raw)


def test_names_of_files_are_told_by_their_shape():
    assert naming(["a-1-of-2.x", "b.x", "c.x", "d.x"]) == "a-N-of-N.x, b.x, c.x and 1 more"
