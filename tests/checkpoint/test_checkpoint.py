"""An opened checkpoint: its tensors by name, its metadata, and whose files it has."""

from dataclasses import replace

import numpy as np
import pytest
from common.tensors import ONE, TENSORS
from conftest import encode_safetensors, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.checkpoint import distinct_names
from parentage.checkpoint.sources.source import Origin


def test_names_of_equal_checkpoints_are_made_distinct(tmp_path):
    same = [Checkpoint.open(write_checkpoint(tmp_path / f"{i}/m", ONE)) for i in range(3)]
    assert distinct_names(same) == ["m", "m#2", "m#3"]


def test_tensors_are_a_mapping_sorted_by_name(tmp_path):
    tensors = Checkpoint.open(write_checkpoint(tmp_path / "m", TENSORS, shards=2)).tensors
    assert len(tensors) == len(TENSORS)
    listed = list(tensors.values())
    assert listed == [tensors[name] for name in tensors]
    assert listed == [tensors.at(index) for index in range(len(tensors))]
    assert dict(tensors.items()).keys() == tensors.keys() == TENSORS.keys()
    assert [each.index for each in listed] == list(range(len(tensors)))
    assert "absent" not in tensors
    assert 3 not in tensors
    with pytest.raises(KeyError, match="absent"):
        tensors["absent"]
    with pytest.raises(IndexError, match="there is no tensor number 5"):
        tensors.at(5)


def test_metadata_is_kept(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(encode_safetensors(ONE, {"format": "pt"}))
    assert Checkpoint.open(path).shards[0].metadata == {"format": "pt"}


def test_the_same_files_are_recognised_however_they_are_named(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    copy = write_checkpoint(tmp_path / "copy", ONE)
    (tmp_path / "link").symlink_to(folder)
    first = Checkpoint.open(folder)
    assert first.same_files(Checkpoint.open(tmp_path / "link"))
    assert first.same_files(Checkpoint.open(folder / "model.safetensors"))
    assert not first.same_files(Checkpoint.open(copy))


def test_what_opens_it_again_says_where_it_is_from_any_folder(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "model", {"a": np.zeros(4, np.float32)})
    monkeypatch.chdir(tmp_path)
    found = Checkpoint.open("model")
    assert found.reopened_by == str(tmp_path / "model")
    assert Checkpoint.open(found.reopened_by).same_files(found)
    at = Origin("hf://org/name/part", "0123456789")
    assert replace(found, origin=at).reopened_by == "hf://org/name@0123456789/part"
    at = Origin("https://host/model.safetensors")
    assert replace(found, origin=at).reopened_by == "https://host/model.safetensors"
