"""Which files of a listing are a checkpoint."""

import pytest
from common.networks import quick
from conftest import family_path
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.network.ranged import RangedFile
from parentage.checkpoint.sources.safetensors_files import (
    Chosen,
    choose,
    read_headers,
    require_text,
    small_files,
)
from parentage.support import CheckpointError, ReadError


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["model.safetensors", "README.md"], Chosen(None, ("model.safetensors",))),
        (["b.safetensors", "a.safetensors"], Chosen(None, ("a.safetensors", "b.safetensors"))),
        (
            ["model.safetensors.index.json", "other.safetensors.index.json", "a.safetensors"],
            Chosen("model.safetensors.index.json", ()),
        ),
        (["x.safetensors.index.json", "a.safetensors"], Chosen("x.safetensors.index.json", ())),
        (
            ["below/a.safetensors", ".b.safetensors", "a.safetensors"],
            Chosen(None, ("a.safetensors",)),
        ),
    ],
)
def test_an_index_or_all_files_are_the_checkpoint(names, found):
    assert choose("here", names) == found


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "here: there is no .safetensors file$"),
        (["a.gguf", "config.json"], "it holds a.gguf, which are read from disk alone"),
        (["a.safetensors.index.json", "b.safetensors.index.json"], "several indexes"),
    ],
)
def test_what_is_no_checkpoint_is_said(names, said):
    with pytest.raises(CheckpointError, match=said):
        choose("here", names)


class OnDisk:
    """A place that is on a disk after all."""

    def __init__(self, path):
        self.name, self._path = path.name, path

    identity = ""

    @property
    def bytes(self):
        return self._path.stat().st_size

    def fetch(self, start, end, into):
        into[:] = self._path.read_bytes()[start:end]


def test_headers_say_what_they_say_on_disk():
    path = family_path("child")
    found = read_headers(
        "hf://a/b",
        Chosen(None, ("model.safetensors",)),
        lambda name: (path / name).read_bytes(),
        lambda name: RangedFile(OnDisk(path / name), quick()),
    )
    assert found.tensors() == Checkpoint.open(path).core.tensors()
    (shard,) = found.shards()
    assert str(shard[0]) == "hf:/a/b/model.safetensors"


def test_no_text_is_too_long():
    require_text("here", 1000)
    with pytest.raises(ReadError, match="too many"):
        require_text("here", 1 << 30)


def test_small_files_are_no_weights_and_not_endless():
    sizes = {"README.md": 1, "a.safetensors": 1, "b.bin": 1, "huge.json": 1 << 40, "": 0}
    assert small_files(sizes, ["a.safetensors"]) == ["", "README.md"]
    assert len(small_files({str(n): 1 for n in range(10_000)}, [])) == 256
