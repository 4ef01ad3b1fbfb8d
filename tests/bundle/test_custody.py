"""The custody log: entries that follow each other, and hold no credential."""

import json
import threading

import pytest
from common.bundles import PLACES, traced
from parentage.bundle import (
    CUSTODY,
    MANIFEST,
    acting,
    checkpoint_entry,
    log_custody,
    read_custody,
    sha256,
)
from parentage.bundle.custody import entry_line, hub_source, without_secrets
from parentage.checkpoint import Checkpoint
from parentage.support import EvidenceError, WriteError


def entries(folder):
    return read_custody((folder / CUSTODY).read_bytes(), CUSTODY)


def test_a_trace_says_who_did_what_when_with_what_on_which_files(tmp_path):
    with acting(command=["parentage", "trace", "x"], custodian="A. Expert"):
        traced(tmp_path)
    (entry,) = entries(tmp_path)
    assert (entry["action"], entry["custodian"]) == ("trace", "A. Expert")
    assert entry["command"] == ["parentage", "trace", "x"]
    assert entry["time"].endswith("+00:00")
    assert entry["tool"].keys() == {"name", "version", "arithmetic", "python"}
    assert entry["machine"].keys() == {"system", "release", "processor", "level", "cpus"}
    assert entry["manifest"] == sha256((tmp_path / MANIFEST).read_bytes())
    assert [each["role"] for each in entry["inputs"]] == ["child", "base", "parent", "control"]
    (file,) = entry["inputs"][0]["files"]
    assert len(file["sha256"]) == 64
    assert entry["inputs"][0]["path"] == str(PLACES["child"])


def test_no_name_and_no_command_is_there_unless_it_is_said(tmp_path):
    log_custody(tmp_path, "report")
    (entry,) = entries(tmp_path)
    assert (entry["custodian"], entry["command"], entry["manifest"]) == (None, None, None)


def test_entries_follow_each_other_whoever_writes(tmp_path):
    threads = [threading.Thread(target=log_custody, args=(tmp_path, "verify")) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = entries(tmp_path)
    assert [each["number"] for each in found] == list(range(1, 9))
    assert [each["previous"] for each in found] == [None, *(x["digest"] for x in found[:-1])]


@pytest.fixture
def log(tmp_path):
    for action in ("trace", "verify", "report"):
        log_custody(tmp_path, action, outcome={"n": 1})
    return tmp_path


def test_no_byte_of_it_can_change(log):
    raw = (log / CUSTODY).read_bytes()
    for place in range(0, len(raw), 7):
        data = bytearray(raw)
        data[place] ^= 1
        with pytest.raises(EvidenceError, match=r"^custody\.jsonl: line "):
            read_custody(bytes(data), CUSTODY)


def test_an_entry_that_is_taken_out_or_moved_is_seen(log):
    one, two, three = (log / CUSTODY).read_bytes().splitlines(keepends=True)
    for data in (one + three, two + three, two + one + three, one + one):
        with pytest.raises(EvidenceError, match="does not follow"):
            read_custody(data, CUSTODY)


@pytest.mark.parametrize(
    "data",
    [
        *(b"x", b"x\n", b"[]\n", b"{}\n", b"\xff\n", b"[" * 100_000 + b"\n"),
        *(b'{"schema":"parentage.custody/2"}\n', b"\n"),
    ],
)
def test_what_is_no_log_is_an_error_and_nothing_is_appended(tmp_path, data):
    (tmp_path / CUSTODY).write_bytes(data)
    with pytest.raises(EvidenceError, match=r"custody\.jsonl: line 1: "):
        log_custody(tmp_path, "trace")
    assert (tmp_path / CUSTODY).read_bytes() == data


def test_an_entry_of_no_action_is_none():
    line = entry_line({"schema": "parentage.custody/1", "number": 1, "previous": None})
    with pytest.raises(EvidenceError, match="says of no action"):
        read_custody(line.encode(), CUSTODY)


def test_a_link_in_the_place_of_the_log_is_not_written_through(tmp_path):
    (tmp_path / "other").write_text("kept", "utf-8")
    (tmp_path / CUSTODY).symlink_to(tmp_path / "other")
    with pytest.raises(WriteError):
        log_custody(tmp_path, "trace")
    assert (tmp_path / "other").read_text("utf-8") == "kept"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--api-key", "abc"], ["--api-key", "***"]),
        (["--hf-token=abc"], ["--hf-token=***"]),
        (["https://user:pw@host/x?X-Sig=1#f"], ["https://***@host/x?***#f"]),
        (["hf://org/name@main"], ["hf://org/name@main"]),
        (["hf_abcdefghijklmnop"], ["***"]),
        (["a", "sk-abcdefghijkl"], ["a", "***"]),
        (["--output", "dir"], ["--output", "dir"]),
        (["\udcff"], ["\\udcff"]),
    ],
)
def test_credentials_are_left_out(given, kept):
    assert without_secrets(given) == kept


def test_where_a_checkpoint_of_a_hub_is_from_is_told(tmp_path):
    path = tmp_path / "models--org--name" / "snapshots" / "0123" / "x.safetensors"
    assert hub_source(path) == {"repository": "org/name", "revision": "0123"}
    assert hub_source(tmp_path) == {"repository": None, "revision": None}
    told = checkpoint_entry("child", Checkpoint.open(PLACES["child"]))
    assert told["files"] == [{"name": "model.safetensors", "bytes": 591_392, "sha256": None}]
    json.dumps(told)
