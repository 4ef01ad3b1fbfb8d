"""Reads a bundle for exports: nothing is passed on of one whose files are not what it says."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.bundle.custody import CUSTODY, read_custody
from parentage.bundle.document import read_document
from parentage.bundle.manifest import MANIFEST, read_manifest, sha256
from parentage.bundle.seal import EVIDENCE, STATED
from parentage.support import EvidenceError, ReadError, is_folder, is_there, open_file

if TYPE_CHECKING:
    from typing import Any

    from parentage.bundle.document import Document

MOST_BYTES = 1 << 31
"""Bytes of a file from which on it is none of a bundle."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are those of its manifest."""

    document: Document
    told: dict[str, Any]
    """All of the document, as JSON has it."""
    files: dict[str, bytes]
    """The files that hold the evidence itself, by name."""
    created: str
    """When the evidence was made, by the custody log; now, if there is none. As RFC 3339."""


def read_file(path: Path) -> bytes:
    """Return the bytes of a file of a bundle.

    Raises
    ------
    ReadError
        If it can not be read, or is larger than :data:`MOST_BYTES`.
    """
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise ReadError(
                    f"{path}: has more than {MOST_BYTES:,} bytes, and is no file of a bundle"
                )
            return file.readall()
    except OSError as error:
        raise ReadError(f"{path}: read: {error.strerror or error}") from error


def check_folder(folder: Path) -> None:
    """Refuse what is no folder of evidence.

    Raises
    ------
    EvidenceError
        If it does not exist, is no folder, or holds no evidence.
    """
    if not is_folder(folder):
        what = "is no folder" if is_there(folder) else "does not exist"
        raise EvidenceError(f"{folder}: {what}; a bundle is a folder that trace -o DIR wrote")
    if not is_there(folder / EVIDENCE):
        raise EvidenceError(f"{folder}: holds no {EVIDENCE}: it is no bundle of a trace")


def read_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Read the files of a bundle that hold the evidence, and hold them against its manifest.

    Raises
    ------
    EvidenceError
        If something is missing, altered, or of a newer schema; the message names the file.
    ReadError
        If a file can not be read.
    """
    place = Path(folder)
    check_folder(place)
    if not is_there(place / MANIFEST):
        raise EvidenceError(f"{place / MANIFEST}: is missing: this is no bundle, or not all of one")
    entries = read_manifest(read_file(place / MANIFEST), str(place / MANIFEST))
    files = {}
    for name in STATED:
        if name not in entries:
            continue
        path = place / name
        if not is_there(path):
            raise EvidenceError(f"{path}: is missing, and the manifest names it")
        files[name] = read_file(path)
        if sha256(files[name]) != entries[name].sha256:
            raise EvidenceError(
                f"{path}: is altered: its SHA-256 is not that of the manifest; parentage verify "
                f"{place} says what differs"
            )
    if EVIDENCE not in files:
        raise EvidenceError(f"{place / MANIFEST}: does not name {EVIDENCE}")
    document = read_document(files[EVIDENCE], str(place / EVIDENCE))
    return Bundle(document, json.loads(files[EVIDENCE]), files, _created(place))


def _created(folder: Path) -> str:
    """Return when the evidence was made."""
    if is_there(folder / CUSTODY):
        entries = read_custody(read_file(folder / CUSTODY), str(folder / CUSTODY))
        times = [each.get("time") for each in entries if each["action"] == "trace"]
        if times and isinstance(times[-1], str):
            return as_utc(times[-1], str(folder / CUSTODY))
    return as_utc(datetime.now(timezone.utc).isoformat(timespec="seconds"), CUSTODY)


def as_utc(time: str, where: str) -> str:
    """Return a time as RFC 3339 has it in UTC, to the second.

    >>> as_utc("2026-11-27T22:10:21+01:00", "custody.jsonl")
    '2026-11-27T21:10:21Z'
    """
    try:
        found = datetime.fromisoformat(time).astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise EvidenceError(f"{where}: {time[:40]!r} is no time") from error
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")
