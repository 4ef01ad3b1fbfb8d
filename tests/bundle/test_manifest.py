"""The manifest names every file in one way."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.bundle import manifest_text, read_manifest, sha256
from parentage.bundle.manifest import Entry, entries_text, is_plain_name
from parentage.support import EvidenceError

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(is_plain_name)


@given(st.dictionaries(NAMES, st.binary(max_size=20), max_size=6))
def test_what_is_written_is_read(files):
    found = read_manifest(manifest_text(files).encode(), "manifest.json")
    assert {name: (each.bytes, each.sha256) for name, each in found.items()} == {
        name: (len(data), sha256(data)) for name, data in files.items()
    }


def test_the_order_of_files_counts_for_nothing():
    assert manifest_text({"b": b"1", "a": b"2"}) == manifest_text({"a": b"2", "b": b"1"})
    assert json.loads(manifest_text({"a": b""}))["files"][0]["bytes"] == 0


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_it_can_change(place, change):
    data = bytearray(manifest_text({"evidence.json": b"{}", "facts.json": b"x"}).encode())
    data[place % len(data)] ^= change
    try:
        found = read_manifest(bytes(data), "manifest.json")
    except EvidenceError:
        return
    # What is still a manifest is one of other files.
    assert found != read_manifest(
        manifest_text({"evidence.json": b"{}", "facts.json": b"x"}).encode(), ""
    )


@pytest.mark.parametrize("name", ["../a", "/a", "a/b", "a\\b", "", ".hidden", "c:a", 'a"b', "a\n"])
def test_a_name_that_leads_elsewhere_is_an_error(name):
    text = entries_text([Entry(name, 0, sha256(b""))])
    with pytest.raises(EvidenceError):
        read_manifest(text.encode(), "manifest.json")


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"schema": 1, "files": []}', '{"schema": "x/1", "files": []}'),
        '{"schema": "parentage.manifest/1", "files": [], "more": 1}',
        '{"schema": "parentage.manifest/1", "files": []}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_what_is_no_manifest_is_an_error_that_names_the_file(text):
    with pytest.raises(EvidenceError, match=r"^here/manifest\.json: "):
        read_manifest(text.encode("latin-1"), "here/manifest.json")


def test_a_file_is_named_once():
    entry = Entry("a", 0, sha256(b""))
    with pytest.raises(EvidenceError, match="twice"):
        read_manifest(entries_text([entry, entry]).encode(), "manifest.json")
