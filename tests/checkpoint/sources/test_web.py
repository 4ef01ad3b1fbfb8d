"""Checkpoints on a web server."""

import json

import numpy as np
import parentage
import pytest
from common.hub import Repository, serving
from common.networks import quick
from conftest import BF16, family_path, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.sources.web import serves
from parentage.support import CheckpointError, ReadError


@pytest.fixture
def served(tmp_path):
    """A server, and the address of a folder with an index and a configuration."""
    tensors = {f"model.layers.{i}.w": np.full((64, 64), i, dtype=BF16) for i in range(5)}
    folder = write_checkpoint(tmp_path / "sharded", tensors, shards=2)
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": 7}))
    repositories = {
        "org/sharded": Repository.of(folder),
        **{f"org/{name}": Repository.of(family_path(name)) for name in ("base", "child", "parent")},
    }
    with serving(repositories) as double:
        yield double


def address(double, name, file="model.safetensors"):
    return f"{double.endpoint}/org/{name}/resolve/main/{file}"


def test_a_file_behind_a_redirect_is_read(served):
    found = Checkpoint.open(address(served, "child"), network=quick())
    here = Checkpoint.open(family_path("child"))
    assert found.core.tensors() == here.core.tensors()
    assert (found.name, found.is_remote, found.promised_layers) == ("main", True, None)
    assert found.where == address(served, "child")


def test_an_index_names_files_beside_it(served):
    url = address(served, "sharded", "model.safetensors.index.json")
    found = Checkpoint.open(url, "mine", quick())
    assert (found.name, len(found.shards), len(found.tensors)) == ("mine", 2, 5)
    assert found.promised_layers == 7


def test_a_full_trace_has_the_slices_of_one_from_disk(served, tmp_path):
    opened = {
        n: Checkpoint.open(address(served, n), n, quick()) for n in ("base", "parent", "child")
    }
    parents = [opened["parent"]]
    parentage.trace(
        opened["child"], base=opened["base"], parents=parents, full=True, output=tmp_path / "there"
    )
    here = {name: family_path(name) for name in opened}
    parentage.trace(
        here["child"], base=here["base"], parents=[here["parent"]], output=tmp_path / "here"
    )
    tables = [(tmp_path / each / "slices.parquet").read_bytes() for each in ("there", "here")]
    assert tables[0] == tables[1]
    told = json.loads((tmp_path / "there" / "evidence.json").read_text())
    assert told["inputs"]["child"]["source"] == address(served, "child")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://host.org/folder/", "does not list what is in a folder"),
        ("https://host.org/config.json", "name a .safetensors file"),
        ("https:///model.safetensors", "name a .safetensors file"),
        ("https://[::1/model.safetensors", "name a .safetensors file"),
    ],
)
def test_what_is_no_address_of_a_checkpoint_is_said(url, said):
    with pytest.raises(CheckpointError, match=said):
        Checkpoint.open(url, network=quick())


def test_what_is_not_there_is_said_without_its_secrets(served):
    url = address(served, "child", "other.safetensors") + "?token=SECRET"
    with pytest.raises(ReadError, match="answers 404") as raised:
        Checkpoint.open(url, network=quick())
    assert "SECRET" not in str(raised.value)


def test_a_header_that_is_none_is_said_with_the_address(served):
    served.fault = lambda asked: "html" if asked.kind == "data" else None
    with pytest.raises(ReadError, match="a web page"):
        Checkpoint.open(address(served, "child"), network=quick())


def test_addresses_of_the_web_are_served_here():
    assert serves("HTTPS://a/b")
    assert not serves("hf://a/b")
