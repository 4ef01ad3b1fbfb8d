"""The manifest: every file of a bundle with its size and SHA-256, in one way of writing it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import msgspec

from parentage.support import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"
"""Name of the file."""

MANIFEST_SCHEMA = "parentage.manifest/1"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the bundle."""

    name: str
    bytes: int
    sha256: str


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    files: list[Entry]


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits.

    >>> sha256(b"")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(data).hexdigest()


def manifest_text(files: Mapping[str, bytes]) -> str:
    """Return the manifest of files, by name; the order in which they are given counts for nothing.

    >>> print(manifest_text({"a": b""}), end="")
    {
     "schema": "parentage.manifest/1",
     "files": [
      {"name": "a", "bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
     ]
    }
    """  # noqa: E501
    return entries_text(Entry(name, len(data), sha256(data)) for name, data in files.items())


def entries_text(entries: object) -> str:
    """Return the manifest of entries."""
    listed = sorted(entries, key=lambda each: each.name)  # type: ignore[call-overload]
    lines = ",\n".join(f"  {_line(each)}" for each in listed)
    return f'{{\n "schema": "{MANIFEST_SCHEMA}",\n "files": [\n{lines}\n ]\n}}\n'


def _line(entry: Entry) -> str:
    told = {"name": entry.name, "bytes": entry.bytes, "sha256": entry.sha256}
    return json.dumps(told, ensure_ascii=False)


def read_manifest(data: bytes, where: str) -> dict[str, Entry]:
    """Return the entries of a manifest by name; ``where`` names the file in errors.

    Raises
    ------
    EvidenceError
        If it is no manifest, of a newer schema, names a file outside of its folder or twice, or is
        written in another way: one byte that changed is seen even where it changes no meaning.
    """
    try:
        found = msgspec.json.decode(data, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"{where}: no manifest: {error}") from error
    if found.schema != MANIFEST_SCHEMA:
        raise EvidenceError(
            f"{where}: is of the schema {found.schema!r}, and this version reads {MANIFEST_SCHEMA}"
        )
    entries = {each.name: each for each in found.files}
    for name in entries:
        if not is_plain_name(name):
            raise EvidenceError(f"{where}: names {name!r}, which is no file of a bundle")
    if len(entries) < len(found.files):
        raise EvidenceError(f"{where}: names a file twice")
    if entries_text(found.files).encode() != data:
        raise EvidenceError(f"{where}: is altered: it is not written as manifests are")
    return entries


def is_plain_name(name: str) -> bool:
    """Return whether a name is that of a file in the folder itself.

    >>> is_plain_name("evidence.json"), is_plain_name("../x"), is_plain_name("a/b")
    (True, False, False)
    """
    return bool(name) and name.isprintable() and not set(name) & set('/\\:"') and name[0] != "."
