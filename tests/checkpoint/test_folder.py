"""What lies beside a checkpoint, and what its config promises."""

import json
import os

import pytest
from common.alignments import full
from conftest import write_checkpoint
from parentage.checkpoint import Checkpoint, Unread
from parentage.checkpoint.folder import json_beside, layers_in_config

TENSORS = {"a": full(4), "b": full(4)}


def beside(folder, *names, shards=2):
    write_checkpoint(folder, TENSORS, shards=shards)
    for name in names:
        (folder / name).write_bytes(b"")
    return Checkpoint.open(folder).unread


def test_nothing_lies_beside_a_folder_that_is_read_whole(tmp_path):
    found = beside(tmp_path / "a", "config.json", "tokenizer.json", "training_args.bin", ".x.bin")
    assert found == Unread()
    assert not found


def test_files_that_the_index_does_not_name_are_listed(tmp_path):
    found = beside(tmp_path / "a", "b.safetensors", "pytorch_model.bin")
    assert found.files == ("b.safetensors", "pytorch_model.bin")
    assert found.preferred is None
    assert str(found) == "not read: b.safetensors and pytorch_model.bin"


def test_the_file_that_loaders_prefer_is_named(tmp_path):
    found = beside(tmp_path / "a", "model.safetensors")
    assert found.preferred == "model.safetensors"
    assert "transformers would load model.safetensors" in str(found)


def test_a_second_index_is_listed(tmp_path):
    assert beside(tmp_path / "a", "old.safetensors.index.json").files == (
        "old.safetensors.index.json",
    )


def test_files_that_are_one_of_several_say_how_many_are_not_there(tmp_path):
    numbered = "model-00001-of-00003.safetensors"
    beside(tmp_path / "a", shards=1)
    (found,) = [each for each in (tmp_path / "a").iterdir() if each.suffix == ".safetensors"]
    found.rename(tmp_path / "a" / numbered)
    for path in (tmp_path / "a", tmp_path / "a" / numbered):
        unread = Checkpoint.open(path).unread
        assert unread.absent == 2
        assert "2 more belong to it, which are not here" in str(unread)


def test_who_names_a_file_has_chosen_it(tmp_path):
    beside(tmp_path / "a", "b.safetensors")
    index = tmp_path / "a" / "model.safetensors.index.json"
    assert Checkpoint.open(index).unread == Unread()


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        ({"num_hidden_layers": 32}, 32),
        ({"n_layer": 12}, 12),
        ({"vision_config": {"num_hidden_layers": 7}, "text_config": {"num_layers": 3}}, 3),
        ({"num_hidden_layers": "32"}, None),
        ({"num_hidden_layers": True}, None),
        ({"text_config": None}, None),
        ([], None),
        (None, None),
    ],
)
def test_layers_that_a_config_promises(tmp_path, config, layers):
    folder = write_checkpoint(tmp_path / "a", TENSORS)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    assert Checkpoint.open(folder).promised_layers == layers


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\xff", ""])
def test_a_config_that_is_none_promises_nothing(tmp_path, text):
    folder = write_checkpoint(tmp_path / "a", TENSORS)
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert Checkpoint.open(folder).promised_layers is None


def test_a_config_that_is_a_pipe_promises_nothing(tmp_path):
    write_checkpoint(tmp_path / "a", TENSORS)
    os.mkfifo(tmp_path / "a" / "config.json")
    assert layers_in_config(tmp_path / "a") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}', {"a": 1}), ("", {}), ("[1]", {}), ("null", {}), ("[" * 10**5, {}),
        ('{"a": "' + "x" * (1 << 20) + '"}', {}), ("\udcff", {}),
    ],
    ids=["said", "empty", "list", "null", "nested", "large", "no text"],
)  # fmt: skip
def test_what_json_says_beside_a_checkpoint_is_names_and_values_or_nothing(tmp_path, text, said):
    (tmp_path / "x.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert json_beside(tmp_path, "x.json") == said
    assert json_beside(tmp_path / "model.safetensors", "x.json") == said
    assert json_beside(tmp_path, "y.json") == {}
