"""Checkpoints on disk: what they are called, what they hold, and what is refused."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import parentage
import pytest
from common.tensors import ONE, TENSORS
from conftest import BF16, encode_safetensors, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.support import CheckpointError, ReadError


def test_a_checkpoint_is_called_by_its_folder_or_file(tmp_path):
    folder = write_checkpoint(tmp_path / "Rio-3.5", ONE, index=True)
    assert Checkpoint.open(folder).name == "Rio-3.5"
    assert Checkpoint.open(f"{folder}/").name == "Rio-3.5"
    assert Checkpoint.open(folder / "model.safetensors").name == "Rio-3.5"
    assert Checkpoint.open(folder / "model.safetensors.index.json").name == "Rio-3.5"
    other = (folder / "model.safetensors").rename(tmp_path / "nex.safetensors")
    assert Checkpoint.open(other).name == "nex"
    assert Checkpoint.open(other, name="N2").name == "N2"


def test_the_folder_that_one_stands_in_has_its_own_name(tmp_path, monkeypatch):
    monkeypatch.chdir(write_checkpoint(tmp_path / "here", ONE))
    assert Checkpoint.open(".").name == "here"
    assert Checkpoint.open("model.safetensors").name == "here"


@pytest.fixture
def cache(tmp_path):
    """A Hugging Face cache entry: snapshots of links to blobs."""
    entry = tmp_path / "models--nex-agi--Nex-N2"
    blobs = entry / "blobs"
    snapshot = entry / "snapshots" / "1a2b3c"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    made = write_checkpoint(tmp_path / "made", ONE, index=True)
    for number, path in enumerate(sorted(made.iterdir())):
        path.rename(blobs / f"{number:064}")
        (snapshot / path.name).symlink_to(f"../../blobs/{number:064}")
    return snapshot


@pytest.mark.parametrize("file", ["", "model.safetensors", "model.safetensors.index.json"])
def test_a_hugging_face_cache_entry_is_opened_and_called_by_its_repository(cache, file):
    checkpoint = Checkpoint.open(cache / file)
    assert checkpoint.name == "nex-agi/Nex-N2"
    assert list(checkpoint.tensors) == ["a"]


def test_a_file_its_folder_its_index_and_its_shards_hold_the_same_tensors(tmp_path):
    whole = write_checkpoint(tmp_path / "whole", TENSORS)
    indexed = write_checkpoint(tmp_path / "indexed", TENSORS, shards=3)
    loose = write_checkpoint(tmp_path / "loose", TENSORS, shards=3, index=False)
    paths = [
        whole,
        whole / "model.safetensors",
        indexed,
        indexed / "model.safetensors.index.json",
        loose,
    ]
    for path in paths:
        checkpoint = Checkpoint.open(path)
        assert list(checkpoint.tensors) == sorted(TENSORS)
        assert checkpoint.elements == 6 + 4 + 1 + 0 + 3
        for name, array in TENSORS.items():
            tensor = checkpoint.tensors[name]
            shard = checkpoint.shards[tensor.shard]
            stored = shard.path.read_bytes()[tensor.begin : tensor.end]
            assert tensor.shape == array.shape
            assert tensor.elements == array.size
            assert stored == array.tobytes()
            assert tensor.begin >= shard.data_start
        assert checkpoint.bytes == sum(shard.path.stat().st_size for shard in checkpoint.shards)
    assert [each.dtype for each in checkpoint.tensors.values()] == [
        *("BF16", "I8", "BOOL", "F16", "F32")
    ]


def test_a_file_beside_an_index_is_no_part_of_the_checkpoint(tmp_path):
    folder = write_checkpoint(tmp_path / "m", TENSORS, shards=2)
    (folder / "extra.safetensors").write_bytes(encode_safetensors({"extra": np.zeros(1, BF16)}))
    assert list(Checkpoint.open(folder).tensors) == sorted(TENSORS)


def golden_headers():
    path = Path(__file__).parents[2] / "golden" / "headers.json"
    return [pytest.param(case, id=case["name"]) for case in json.loads(path.read_text("utf-8"))]


@pytest.mark.parametrize("case", golden_headers())
def test_a_header_is_read_as_the_golden_file_says(case, tmp_path):
    if "hex" in case:
        raw = bytes.fromhex(case["hex"])
    else:
        header = case["header"].encode()
        raw = len(header).to_bytes(8, "little") + header
    path = tmp_path / "case.safetensors"
    path.write_bytes(raw + bytes(case["data_len"]))
    if case["error"] is None:
        Checkpoint.open(path)
        return
    with pytest.raises(CheckpointError) as raised:
        Checkpoint.open(path)
    message = str(raised.value)
    assert case["error"] in message
    assert str(path) in message
    if "tensor" in case:
        assert f'tensor "{case["tensor"]}": ' in message
    if "offset" in case:
        assert f"at byte {case['offset']}: " in message
    assert message.isprintable()


def refused(path, *parts, error=CheckpointError):
    with pytest.raises(error) as raised:
        parentage.Checkpoint.open(path)
    message = str(raised.value)
    for part in parts:
        assert part in message
    assert message.isprintable()


def index_of(**weight_map):
    return {"weight_map": weight_map}


def test_an_index_that_names_a_missing_shard_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", TENSORS, shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, 'shard "model-00002-of-00002.safetensors" does not exist', "complete")


@pytest.mark.parametrize(
    ("shard", "why"),
    [
        ("../outside.safetensors", "not a plain path"),
        ("a/../../outside.safetensors", "not a plain path"),
        ("/outside.safetensors", "not relative"),
        ("C:outside.safetensors", "not relative"),
        ("..\\outside.safetensors", "backslash"),
        ("", "is empty"),
        ("a\x1b[2J.safetensors", "control character"),
    ],
)
def test_a_shard_outside_the_folder_is_refused(tmp_path, shard, why):
    write_checkpoint(tmp_path / "m", ONE, index=index_of(a=shard))
    (tmp_path / "outside.safetensors").write_bytes(encode_safetensors(ONE))
    refused(tmp_path / "m", "index.json", 'tensor "a"', why)


def test_a_shard_at_an_absolute_path_is_refused_even_in_the_folder(tmp_path):
    path = tmp_path / "m" / "model.safetensors"
    write_checkpoint(tmp_path / "m", ONE, index=index_of(a=str(path)))
    refused(tmp_path / "m", "not relative")


def test_a_tensor_that_is_in_no_shard_is_refused(tmp_path):
    index = index_of(a="model.safetensors", b="model.safetensors")
    folder = write_checkpoint(tmp_path / "m", ONE, index=index)
    refused(folder, 'tensor "b"', "does not hold it")


def test_a_tensor_that_the_index_lacks_is_refused(tmp_path):
    tensors = {"a": np.zeros(2, BF16), "b": np.zeros(2, BF16)}
    folder = write_checkpoint(tmp_path / "m", tensors, index=index_of(a="model.safetensors"))
    refused(folder, 'tensor "b"', "does not list it")


def test_a_tensor_in_another_shard_than_the_index_says_is_refused(tmp_path):
    tensors = {"a": np.zeros(2, BF16), "b": np.zeros(2, BF16)}
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = index_of(a=names[1], b=names[0])
    folder = write_checkpoint(tmp_path / "m", tensors, shards=2, index=index)
    refused(folder, 'tensor "a"', names[0], names[1])


def test_a_tensor_in_two_files_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "other.safetensors").write_bytes(encode_safetensors(ONE))
    refused(folder, 'tensor "a"', "model.safetensors", "other.safetensors")


def test_an_index_that_is_none_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE, index={"metadata": {}})
    refused(folder, "weight_map is missing")
    (folder / "model.safetensors.index.json").write_text("{")
    refused(folder, "index.json", "JSON")


def test_several_indexes_are_refused_with_their_names(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    for name in ("a", "b"):
        index = json.dumps(index_of(a="model.safetensors"))
        (folder / f"{name}.safetensors.index.json").write_text(index)
    refused(folder, "several indexes", '"a.safetensors.index.json"', '"b.safetensors.index.json"')
    assert list(Checkpoint.open(folder / "a.safetensors.index.json").tensors) == ["a"]


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "model.safetensors").rename(folder / "kept")
    (folder / "model.safetensors").symlink_to("other.safetensors")
    (folder / "other.safetensors").symlink_to("model.safetensors")
    refused(folder, "model.safetensors", "symbolic link", error=parentage.ParentageError)
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop", "loop", "symbolic link", error=parentage.ParentageError)


def test_a_link_to_nothing_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").symlink_to("nowhere")
    refused(tmp_path / "m", "symbolic link to a file that does not exist")
    (tmp_path / "lost").symlink_to("nowhere")
    refused(tmp_path / "lost", "symbolic link", "nowhere")


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    outside = write_checkpoint(tmp_path / "outside", ONE)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").symlink_to(outside / "model.safetensors")
    refused(tmp_path / "m", "symbolic link out of the folder", str(outside))


def test_a_link_within_the_folder_is_followed(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "model.safetensors").rename(folder / "data")
    (folder / "model.safetensors").symlink_to("data")
    assert list(Checkpoint.open(folder).tensors) == ["a"]


@pytest.mark.usefixtures("permissions_hold")
def test_a_file_without_permission_is_an_error_of_the_system(tmp_path):
    folder = write_checkpoint(tmp_path / "m", ONE)
    (folder / "model.safetensors").chmod(0)
    refused(folder, "model.safetensors: open: Permission denied", error=ReadError)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    refused(tmp_path, "no .safetensors file")
    (tmp_path / "config.json").write_text("{}")
    refused(tmp_path, "no .safetensors file")


def test_a_folder_above_a_checkpoint_says_where_it_is(tmp_path):
    folder = write_checkpoint(tmp_path / "org" / "m", ONE)
    refused(tmp_path, "no .safetensors file", f'"{folder}" does')


def test_a_folder_of_pickles_says_what_to_do(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    refused(tmp_path, "pytorch_model.bin", "never loaded", "weights_only=True", "save_file")
    refused(tmp_path / "pytorch_model.bin", "pickle", "never loaded", "weights_only=True")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    refused(tmp_path / "nothing", "no such file or folder")


@pytest.mark.parametrize("keep", [0, 7, 8, 30, -1])
def test_a_file_cut_short_is_refused(tmp_path, keep):
    folder = write_checkpoint(tmp_path / "m", TENSORS)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, str(path))


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    messages = []

    def open_both():
        for path in (tmp_path, tmp_path / "model.safetensors"):
            try:
                Checkpoint.open(path)
            except CheckpointError as error:
                messages.append(str(error))

    thread = threading.Thread(target=open_both, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "opening a pipe waits for a writer"
    assert len(messages) == 2
    assert all("pipe" in message for message in messages)
