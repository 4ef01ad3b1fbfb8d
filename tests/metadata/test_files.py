"""Small files beside a checkpoint: whole or not at all, and none from elsewhere."""

import hashlib
import os

import numpy as np
import pytest
from conftest import write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.metadata.files import MOST_DIGESTED, Folder


@pytest.fixture
def model(tmp_path):
    return write_checkpoint(tmp_path / "model", {"w": np.ones(2, np.float32)})


def folder_of(model):
    return Folder.of(Checkpoint.open(model))


def test_a_file_is_read_with_its_digest(model):
    (model / "README.md").write_text("Hällo")
    file = folder_of(model).read("README.md")
    assert (file.text, file.size) == ("Hällo", 6)
    assert file.sha256 == hashlib.sha256("Hällo".encode()).hexdigest()


def test_what_is_not_there_is_none_and_no_problem(model):
    folder = folder_of(model)
    assert folder.read("README.md") is None
    assert folder.read("nothing/README.md") is None
    assert folder.problems == []


def test_a_large_file_is_digested_and_not_read(model):
    (model / "big.json").write_bytes(b" " * 5000)
    folder = folder_of(model)
    file = folder.read("big.json", most=1000)
    assert (file.raw, file.text, file.size) == (None, None, 5000)
    assert file.sha256 == hashlib.sha256(b" " * 5000).hexdigest()
    assert "5,000 bytes" in folder.problems[0]


def test_a_huge_file_is_not_even_digested(model):
    with (model / "huge.json").open("wb") as file:
        file.truncate(MOST_DIGESTED + 1)
    folder = folder_of(model)
    assert folder.read("huge.json").sha256 is None
    assert "was not read" in folder.problems[0]


def test_bytes_that_are_no_text_are_escaped(model):
    (model / "NOTICE").write_bytes(b"\xef\xbb\xbfa\xff")
    assert folder_of(model).read("NOTICE").text == "a\\xff"


def test_links_out_of_the_folder_are_not_followed(model, tmp_path):
    (tmp_path / "secret").write_text("hush")
    (model / "README.md").symlink_to(tmp_path / "secret")
    folder = folder_of(model)
    assert folder.read("README.md") is None
    assert folder.problems == ["README.md is a link that leads out of the folder; not followed"]


def test_links_within_the_folder_are_followed(model):
    (model / "card.md").write_text("x")
    (model / "README.md").symlink_to("card.md")
    assert folder_of(model).read("README.md").text == "x"


def test_links_of_the_hub_cache_are_followed(model, tmp_path):
    entry = tmp_path / "models--org--name"
    (entry / "snapshots").mkdir(parents=True)
    (entry / "blobs").mkdir()
    model = model.rename(entry / "snapshots" / "abc")
    (entry / "blobs" / "123").write_text("card")
    (model / "README.md").symlink_to("../../blobs/123")
    (entry / "secret").write_text("hush")
    (model / "NOTICE").symlink_to("../../secret")
    folder = folder_of(model)
    assert folder.read("README.md").text == "card"
    assert folder.read("NOTICE") is None


def test_pipes_folders_and_loops_are_no_files(model):
    os.mkfifo(model / "NOTICE")
    (model / "LICENSE").mkdir()
    (model / "README.md").symlink_to("README.md")
    folder = folder_of(model)
    assert [folder.read(name) for name in ("NOTICE", "LICENSE", "README.md")] == [None] * 3
    assert "NOTICE can not be read" in folder.problems[0]


def test_one_file_has_no_folder_and_an_index_has(tmp_path):
    model = write_checkpoint(
        tmp_path / "model", {f"w{i}": np.ones(2, np.float32) for i in range(2)}, shards=2
    )
    (model / "README.md").write_text("x")
    assert folder_of(model / "model-00001-of-00002.safetensors").read("README.md") is None
    index = Folder.of(Checkpoint.open(model / "model.safetensors.index.json"))
    assert index.read("README.md").text == "x"


def test_names_are_sorted_and_chosen(model):
    (model / "b").write_text("")
    (model / "a").write_text("")
    folder = folder_of(model)
    assert folder.names == ("a", "b", "model.safetensors")
    assert folder.matching(lambda name: len(name) == 1) == ["a", "b"]
