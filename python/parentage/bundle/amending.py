"""Adds files to a bundle that was written before, or replaces them: a report, say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from parentage.bundle.custody import CUSTODY, log_custody
from parentage.bundle.manifest import MANIFEST, Entry, entries_text, read_manifest, sha256
from parentage.bundle.reading import check_folder, read_file
from parentage.bundle.seal import STATED
from parentage.bundle.statements import STATEMENTS
from parentage.support import EvidenceError, is_there, write_file

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

NOT_AMENDED = (*STATED, STATEMENTS, MANIFEST, CUSTODY)
"""Files that a trace writes, and nobody else."""


def amend(folder: str | os.PathLike[str], files: Mapping[str, bytes], action: str) -> None:
    """Write files into a bundle, name them in its manifest, and log that as ``action``.

    What a trace wrote is never replaced, and what else the manifest names stays as it is, altered
    or not: nothing is made right by being named anew.

    Raises
    ------
    EvidenceError
        If there is no bundle, or a file is one that a trace writes.
    WriteError
        If the system refuses to write.
    """
    place = Path(folder)
    check_folder(place)
    if not is_there(place / MANIFEST):
        raise EvidenceError(f"{place / MANIFEST}: is missing: this is no bundle, or not all of one")
    entries = read_manifest(read_file(place / MANIFEST), str(place / MANIFEST))
    for name in files:
        if name in NOT_AMENDED:
            raise EvidenceError(f"{place / name}: is written by a trace, and by nothing else")
    for name, data in files.items():
        write_file(place / name, data)
        entries[name] = Entry(name, len(data), sha256(data))
    write_file(place / MANIFEST, entries_text(entries.values()).encode())
    log_custody(place, action, outcome={"files": sorted(files)})
