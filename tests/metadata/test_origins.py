"""What files claim that a checkpoint was made of is read, and is never more than names."""

import json

import numpy as np
import parentage
import pytest
from common.hub import Repository
from common.networks import family_on_a_hub, quick
from common.said import said_so
from conftest import encode_safetensors, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.library import sketch
from parentage.metadata.origins import MOST, MOST_NAME, claimed_origins, models_of


def claimed(folder, files):
    found, problems = claimed_origins(Checkpoint.open(said_so(folder, files)))
    return [(each.model, each.role, each.source) for each in found], problems


CARDS = {
    "one": ("base_model: org/b", [("org/b", "base")]),
    "several": ("base_model: [org/a, org/b]", [("org/a", "parent"), ("org/b", "parent")]),
    "a merge": ("base_model: org/b\nbase_model_relation: merge", [("org/b", "parent")]),
    "tags": (
        "tags: [x, 'base_model:finetune:org/b', 'base_model:org/b', 'base_model:merge:org/a']",
        [("org/b", "base"), ("org/a", "parent")],
    ),
    "a list": ("merged_from: [org/a, 7, org/b]", [("org/a", "parent"), ("org/b", "parent")]),
    "nothing": ("license: mit", []),
    "no names": ("base_model: {a: 1}\ntags: 7", []),
}


@pytest.mark.parametrize(("text", "expected"), CARDS.values(), ids=CARDS)
def test_a_card_names_a_base_or_what_was_merged(tmp_path, text, expected):
    found, problems = claimed(tmp_path / "m", {"README.md": f"---\n{text}\n---\nHello"})
    assert [each[:2] for each in found] == expected
    assert all(each[2].startswith("README.md, ") for each in found)
    assert problems == ()


def test_recipes_headers_and_configurations_are_read_after_the_card(tmp_path):
    files = {
        "README.md": "---\nbase_model: org/card\n---\n",
        "mergekit_config.yml": "base_model: org/b\nmodels: [{model: org/a}, {model: org/b}]",
        "config.json": json.dumps({"_name_or_path": "/data/x", "merged_from": ["org/c"]}),
        "adapter_config.json": json.dumps({"base_model_name_or_path": "org/card"}),
        "tokenizer_config.json": json.dumps({"name_or_path": "org/t"}),
    }
    found, _ = claimed(tmp_path / "m", files)
    assert found == [
        ("org/card", "base", "README.md, base_model"),
        ("org/b", "base", "mergekit_config.yml, base_model"),
        ("org/a", "parent", "mergekit_config.yml, model"),
        ("/data/x", "base", "config.json, _name_or_path"),
        ("org/c", "parent", "config.json, merged_from"),
        ("org/t", "base", "tokenizer_config.json, name_or_path"),
    ]


def test_headers_say_an_address_once(tmp_path):
    metadata = {
        "general.base_model.0.name": "Base",
        "general.base_model.0.repo_url": "https://huggingface.co/org/base",
        "format": "pt",
    }
    (tmp_path / "m.safetensors").write_bytes(
        encode_safetensors({"w": np.ones(2, np.float32)}, metadata)
    )
    found, _ = claimed_origins(Checkpoint.open(tmp_path / "m.safetensors"))
    assert [(each.model, each.role) for each in found] == [
        ("https://huggingface.co/org/base", "base")
    ]


@pytest.mark.parametrize("raw", [b"{", b"[1]", b"\xff", b"[" * 100_000, b"", b"null", b"---\n- 1"])
@pytest.mark.parametrize("name", ["README.md", "config.json", "mergekit_config.yml"])
def test_what_is_no_document_claims_nothing_and_is_no_error(tmp_path, name, raw):
    folder = said_so(tmp_path / "m", {})
    (folder / name).write_bytes(raw)
    assert claimed_origins(Checkpoint.open(folder))[0] == ()


def test_no_more_than_so_many_are_claimed_and_none_is_endless(tmp_path):
    config = {"merged_from": ["x" * 10_000, *(f"org/{n}" for n in range(1000))]}
    found, _ = claimed(tmp_path / "m", {"config.json": json.dumps(config)})
    assert len(found) == MOST
    assert len(found[0][0]) == MOST_NAME


def test_a_sketch_claims_what_the_configuration_of_its_checkpoint_did(tmp_path):
    draw = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    path = write_checkpoint(tmp_path / "m", {"w": draw})
    (path / "config.json").write_text(json.dumps({"_name_or_path": "org/b"}))
    made = sketch(path, tmp_path / "m.sketch.safetensors", size="16KiB")
    (found,) = claimed_origins(Checkpoint.open(made))[0]
    assert (found.model, found.source) == ("org/b", "config.json, _name_or_path")


def test_a_captured_folder_claims_what_its_kept_files_do(tmp_path):
    draw = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    path = write_checkpoint(tmp_path / "m", {"w": draw})
    (path / "README.md").write_text("---\nbase_model: org/b\n---\n")
    kept = parentage.capture(path, tmp_path / "kept", size="16KiB")
    (found,) = claimed_origins(Checkpoint.open(kept))[0]
    assert found.source == "README.md, base_model"


def test_the_card_of_a_remote_checkpoint_is_fetched_for_it(monkeypatch, tmp_path):
    folder = write_checkpoint(tmp_path / "m", {"w": np.ones((4, 4), np.float32)})
    (folder / "README.md").write_text("---\nbase_model: org/b\n---\n")
    with family_on_a_hub(monkeypatch, tmp_path) as double:
        double.repositories["org/m"] = Repository.of(folder)
        opened = Checkpoint.open("hf://org/m", None, quick())
        before = double.counts.total
        (found,) = claimed_origins(opened)[0]
        assert found.model == "org/b"
        assert double.counts.total - before <= 2


def test_models_of_a_recipe_are_found_wherever_they_stand():
    recipe = {"slices": [{"sources": [{"model": {"path": "a"}}, {"model": "b"}]}], "base_model": 7}
    assert [each[:2] for each in models_of(recipe)] == [("model", "a"), ("model", "b")]
