"""Each kind of place opens what is named as its own."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import BF16, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.sources import chosen, local
from parentage.checkpoint.sources.source import Opened
from parentage.support import CheckpointError


def test_a_path_is_opened_on_disk(tmp_path):
    folder = write_checkpoint(tmp_path / "m", {"a": np.zeros(4, BF16)})
    for given in (folder, str(folder)):
        opened = chosen.open_source(given)
        assert (opened.path, opened.name) == (folder, "m")
        assert [tensor[1] for tensor in opened.core.tensors()] == ["a"]


@pytest.mark.parametrize("given", ["m", "./a/b", "/a/b", "a/b/c", "C:\\m", ""])
def test_what_is_no_name_of_another_place_is_a_path(given):
    assert chosen.source_of(given) is local


@pytest.mark.parametrize(
    ("given", "module"),
    [
        ("hf://a/b", "hub"),
        ("no-such-folder/name", "hub"),
        ("HTTP://host/m.safetensors", "web"),
        ("https://host/m.safetensors", "web"),
        ("s3://a/b", "buckets"),
        ("gs://a/b", "buckets"),
        ("az://a/b", "buckets"),
    ],
)
def test_what_stands_before_an_address_chooses(given, module):
    source = chosen.source_of(given)
    assert source.__name__ == f"parentage.checkpoint.sources.{module}"
    assert source.serves(given)


@pytest.mark.parametrize("given", ["ftp://host/m", "file:///etc/passwd", "javascript://a"])
def test_another_address_is_refused(given):
    with pytest.raises(CheckpointError, match="no place that checkpoints are read from"):
        chosen.open_source(given)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A kind of place whose checkpoints are called ``store://NAME``."""
    write_checkpoint(tmp_path / "kept", {"a": np.zeros(4, BF16)})

    def open_there(given, network=None):
        assert network is None
        name = str(given).removeprefix("store://")
        return Opened(tmp_path / name, f"{name} of the store", local.open(tmp_path / name).core)

    source = SimpleNamespace(serves=lambda _given: True, open=open_there)
    monkeypatch.setitem(sys.modules, "parentage.checkpoint.sources.store", source)
    monkeypatch.setitem(chosen.REMOTE, "store", "store")
    return tmp_path


def test_another_kind_of_place_takes_what_it_serves_and_nothing_else(elsewhere):
    assert chosen.open_source("store://kept").name == "kept of the store"
    assert chosen.open_source(elsewhere / "kept").name == "kept"
    found = Checkpoint.open("store://kept")
    assert (found.name, found.path) == ("kept of the store", elsewhere / "kept")
    assert Checkpoint.open("store://kept", name="mine").name == "mine"
