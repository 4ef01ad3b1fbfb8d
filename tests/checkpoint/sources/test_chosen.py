"""Each kind of place is asked in its turn."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import BF16, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.sources import chosen, local
from parentage.checkpoint.sources.source import Opened


def test_a_path_is_opened_on_disk(tmp_path):
    folder = write_checkpoint(tmp_path / "m", {"a": np.zeros(4, BF16)})
    for given in (folder, str(folder)):
        opened = chosen.open_source(given)
        assert (opened.path, opened.name) == (folder, "m")
        assert [tensor[1] for tensor in opened.core.tensors()] == ["a"]


def test_the_disk_is_asked_last_and_takes_what_is_left():
    assert chosen.SOURCES[-1] is local
    assert all(local.serves(given) for given in ("m", "https://host/m", ""))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A kind of place whose checkpoints are called ``store:NAME``."""
    write_checkpoint(tmp_path / "kept", {"a": np.zeros(4, BF16)})

    def serves(given):
        return str(given).startswith("store:")

    def open_there(given):
        name = str(given).removeprefix("store:")
        return Opened(tmp_path / name, f"{name} of the store", local.open(tmp_path / name).core)

    source = SimpleNamespace(serves=serves, open=open_there)
    monkeypatch.setattr(chosen, "SOURCES", (source, *chosen.SOURCES))
    return tmp_path


def test_another_kind_of_place_takes_what_it_serves_and_nothing_else(elsewhere):
    assert chosen.open_source("store:kept").name == "kept of the store"
    assert chosen.open_source(elsewhere / "kept").name == "kept"
    found = Checkpoint.open("store:kept")
    assert (found.name, found.path) == ("kept of the store", elsewhere / "kept")
    assert Checkpoint.open("store:kept", name="mine").name == "mine"
