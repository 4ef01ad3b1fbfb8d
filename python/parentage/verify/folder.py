"""The files of a bundle, read with limits, and held against its manifest."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from parentage.bundle import (
    CUSTODY,
    EVIDENCE,
    MANIFEST,
    check_folder,
    read_file,
    read_manifest,
    sha256,
)
from parentage.support import EvidenceError, ReadError, is_there
from parentage.verify.finding import FAILED, OK, UNCHECKED, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_SEALED = {MANIFEST, CUSTODY, "trace.journal", "claims.jsonl"}
"""What may lie in the folder, and is in no manifest: it is added to, or of the time before."""


@dataclass(slots=True)
class Folder:
    """A bundle's folder, and the files of it whose digests are those of the manifest."""

    path: Path
    files: dict[str, bytes] = field(default_factory=dict)
    """By name, what was read, and is what the manifest says."""
    manifest: str | None = None
    """SHA-256 of the manifest."""

    def where(self, name: str) -> str:
        """Return how messages name a file."""
        return str(self.path / name)


def check_files(folder: Folder) -> Iterator[Finding]:
    """Hold every file against the manifest, and take over those that are what it says.

    Raises
    ------
    EvidenceError
        If there is no folder, or no evidence in it.
    """
    check_folder(folder.path)
    if not is_there(folder.path / MANIFEST):
        yield Finding(
            "manifest",
            FAILED,
            "is missing: what the other files were is not known. A version before this one made no "
            "bundles: trace again",
            MANIFEST,
        )
        folder.files[EVIDENCE] = read_file(folder.path / EVIDENCE)
        return
    raw = read_file(folder.path / MANIFEST)
    folder.manifest = sha256(raw)
    try:
        entries = read_manifest(raw, MANIFEST)
    except EvidenceError as error:
        yield Finding("manifest", FAILED, str(error).removeprefix(f"{MANIFEST}: "), MANIFEST)
        entries = {}
    if EVIDENCE not in entries and entries:
        yield Finding("manifest", FAILED, f"does not name {EVIDENCE}", MANIFEST)
    right = 0
    for name, entry in entries.items():
        path = folder.path / name
        if not is_there(path):
            yield Finding("digests", FAILED, "is missing", name)
            continue
        try:
            data = read_file(path)
        except ReadError as error:
            yield Finding("digests", FAILED, str(error).removeprefix(f"{path}: "), name)
            continue
        if len(data) != entry.bytes:
            text = f"has {len(data):,} bytes, and the manifest says {entry.bytes:,}"
            yield Finding("digests", FAILED, text, name)
        elif (found := sha256(data)) != entry.sha256:
            text = f"is altered: its SHA-256 is {found}, and the manifest says {entry.sha256}"
            yield Finding("digests", FAILED, text, name)
        else:
            folder.files[name] = data
            right += 1
    if entries and right == len(entries):
        yield Finding("digests", OK, f"all {right} files are those of the manifest")
    known = {*entries, *NOT_SEALED}
    others = sorted(each.name for each in folder.path.iterdir() if each.name not in known)
    for name in others:
        yield Finding("others", UNCHECKED, "lies in the folder, and is no part of the bundle", name)


def read_table(data: bytes, where: str) -> pl.DataFrame:
    """Return a table of a bundle.

    Raises
    ------
    EvidenceError
        If it is no parquet.
    """
    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EvidenceError(f"{where}: is no table: {first}") from error
