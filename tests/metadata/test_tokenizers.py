"""Tokenizers, token by token."""

import json

import pytest
from common.said import TOKENIZER, said_so
from parentage.checkpoint import Checkpoint
from parentage.metadata import tokenizers
from parentage.metadata.files import Folder
from parentage.metadata.tokenizers import shared, tokenizer_of


def read(folder, files):
    return tokenizer_of(Folder.of(Checkpoint.open(said_so(folder, files))))


def test_a_tokenizer_is_read(tmp_path):
    found = read(tmp_path / "m", {"tokenizer.json": TOKENIZER})
    assert (found.kind, found.size, found.number_of_merges) == ("BPE", 4, 2)
    assert found.vocabulary == {b"a": 0, b"b": 1, b"ab": 2, b"abb": 3}
    assert found.added == {"<|end|>": (4, True)}
    assert found.parts["normalizer"] == '{"type": "NFC"}'
    assert found.problems == []


def test_files_of_older_tokenizers_say_the_same(tmp_path):
    model = TOKENIZER["model"]
    old = read(
        tmp_path / "old",
        {"vocab.json": model["vocab"], "merges.txt": "#version: 0.2\na b\nab b\n"},
    )
    new = read(tmp_path / "new", {"tokenizer.json": TOKENIZER})
    assert (old.vocabulary, old.merges) == (new.vocabulary, new.merges)


def test_a_vocabulary_with_scores_is_read(tmp_path):
    model = {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.5]]}
    found = read(tmp_path / "m", {"tokenizer.json": {"model": model}})
    assert found.vocabulary == {b"a": 0, b"b": 1}
    other = {"type": "Unigram", "vocab": [["a", -1.0], ["b", -3]]}
    changed = read(tmp_path / "n", {"tokenizer.json": {"model": other}})
    assert shared(found, changed)["parts_that_differ"] == ["scores sha256"]


def test_what_two_share_is_counted(tmp_path):
    changed = json.loads(json.dumps(TOKENIZER))
    changed["model"]["vocab"] = {"a": 1, "b": 0, "ab": 2, "c": 3}
    changed["model"]["merges"] = ["a b", "b c"]
    changed["added_tokens"] = []
    changed["normalizer"] = None
    child = read(tmp_path / "child", {"tokenizer.json": changed})
    other = read(tmp_path / "other", {"tokenizer.json": TOKENIZER})
    said = shared(child, other)
    assert (said["tokens_shared"], said["same_id"]) == (3, 1)
    assert (said["only_child_examples"], said["only_other_examples"]) == (["c"], ["abb"])
    assert (said["merges_child"], said["merges_shared_from_the_first"]) == (2, 1)
    assert said["added_only_other"] == ["<|end|>"]
    assert said["parts_that_differ"] == ["normalizer"]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'{"model": 3}',
        b'{"model": {"vocab": {"a": "b"}}}',
        b'{"model": {"vocab": {"a": 1}, "merges": [1]}}',
        b'{"model": {"vocab": {"a": 99999999999999999999999999}}}',
        b"\xff\xfe{}",
        b'{"normalizer": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"added_tokens": "x", "model": {"type": []}}',
    ],
)
def test_malformed_tokenizers_are_told(tmp_path, raw):
    found = read(tmp_path / "m", {"tokenizer.json": raw})
    found.facts()
    assert found.size <= 1
    assert found.problems or found.parts or not found.added


def test_a_vocabulary_that_is_too_long_is_compared_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizers, "MOST_TOKENS", 0)
    found = read(tmp_path / "m", {"tokenizer.json": TOKENIZER})
    assert found.size == 0
    assert "too long to be compared by token" in found.problems[0]


def test_a_hundred_megabytes_are_digested_and_not_read(tmp_path):
    folder = said_so(tmp_path / "m", {})
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(100_000_000)
    opened = Folder.of(Checkpoint.open(folder))
    assert tokenizer_of(opened) is None
    assert "100,000,000 bytes" in opened.problems[0]
    assert opened.opened[0].sha256 is not None
