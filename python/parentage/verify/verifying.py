"""Verifies a bundle: against itself, and against the checkpoints if they are at hand."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bundle import EVIDENCE, METADATA, SUMS, checkpoint_entry, read_document
from parentage.report import REPORT
from parentage.stream import SILENT, Options
from parentage.verify.checkpoints import (
    Asked,
    check_files_of,
    check_slices,
    open_inputs,
)
from parentage.verify.circumstance import check_said_of
from parentage.verify.consistency import check_consistency
from parentage.verify.finding import FAILED, UNCHECKED, Finding, Reread, Verification, guarded
from parentage.verify.folder import Folder, check_files
from parentage.verify.page import check_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from parentage.bundle import Document
    from parentage.checkpoint import Given, Inputs
    from parentage.stream import Progress

DRAWN = 32
"""Slices that are read again unless a number is given."""

SEED_BITS = 53
"""Bits of a seed that the system draws: as many as any reader of JSON keeps."""


def verify(
    folder: str | os.PathLike[str],
    files: Mapping[str, Given] | None = None,
    *,
    seed: int | None = None,
    slices: int | None = DRAWN,
    digest: bool | None = None,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "mmap",
    progress: Progress = SILENT,
) -> Verification:
    """Check whether a bundle agrees with itself, and with the checkpoints that it is of.

    Without checkpoints, every number that can be made again of others is: the verdict by its rules
    from the facts they looked at, estimates from sums, statements from what they speak of. That
    proves that nothing was altered carelessly, and nothing of the checkpoints. With them, slices
    are read again and compared bit for bit.

    Parameters
    ----------
    folder
        What ``parentage trace -o`` wrote.
    files
        Where the checkpoints are, by the names that the evidence has for them; all of them.
    seed
        What draws the slices that are read again: whoever made the bundle can not have known it. By
        default the system draws one, which the result says.
    slices
        How many slices are drawn, ``None`` for all. Of every file in which none of them lies, one
        more is read.
    digest
        Whether files are hashed, and compared with digests in the evidence; by default where all
        slices are read.
    threads, tile_bytes, io
        As of :func:`parentage.trace`.
    progress
        Told of the bytes to read and of those read so far, and may raise to stop.

    Raises
    ------
    EvidenceError
        If there is no bundle, if its evidence can not be read, or is of a newer schema; and if a
        checkpoint is lacking.
    ParentageError
        If a checkpoint can not be read.

    Examples
    --------
    >>> import parentage, tempfile
    >>> from parentage.demo import family
    >>> from parentage.verify import verify
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = parentage.trace(
    ...         family("child"), base=family("base"), parents=[family("parent")], output=folder
    ...     )
    ...     places = {name: family(name) for name in ("child", "base", "parent")}
    ...     verify(folder).standing, verify(folder, places).standing
    ('consistent', 'reproduced')
    """
    if slices is not None and slices < 1:
        raise ValueError(f"slices must be 1 or more, or None for all, not {slices}")
    found = Folder(Path(folder))
    findings = list(check_files(found))
    document: Document | None = None
    told: dict[str, Any] | None = None
    entries: tuple[dict[str, Any], ...] = ()
    if EVIDENCE in found.files:
        document = read_document(found.files[EVIDENCE], str(found.path / EVIDENCE))
        findings += check_consistency(found)
        findings += _page(found, findings)
    if files and document is None:
        text = f"are not compared: {EVIDENCE} is not what the manifest says"
        findings.append(Finding("slices", UNCHECKED, text))
    elif files and document is not None:
        drawn = secrets.randbits(SEED_BITS) if seed is None else seed
        asked = Asked(files, drawn, slices, slices is None if digest is None else digest)
        inputs = open_inputs(document, asked)
        options = Options(_core.threads() if threads is None else threads, tile_bytes, io)
        more, told = _with_checkpoints(found, document, inputs, asked, options, progress)
        findings += more
        roles = [role for role, _ in document.inputs.by_role]
        entries = tuple(map(checkpoint_entry, roles, (inputs.child, *inputs.others)))
    return Verification(str(found.path), tuple(findings), document, found.manifest, told, entries)


def _page(folder: Folder, findings: Sequence[Finding]) -> list[Finding]:
    """Return whether the page is that of the evidence, if nothing is known to be wrong with it."""
    if REPORT not in folder.files:
        return []
    if any(each.status == FAILED for each in findings):
        text = "is not made again: something that it is made of, or stands beside, is refuted"
        return [Finding("page", UNCHECKED, text, REPORT)]
    return guarded("page", REPORT, check_page, folder)


def _with_checkpoints(
    folder: Folder,
    document: Document,
    inputs: Inputs,
    asked: Asked,
    options: Options,
    progress: Progress,
) -> tuple[list[Finding], dict[str, Any]]:
    """Return what the checkpoints show, and how much of them was read."""
    reread = Reread()
    findings = list(check_files_of(document, inputs, asked, progress))
    evidence = json.loads(folder.files[EVIDENCE])
    findings += guarded("metadata", METADATA, check_said_of, folder, document, inputs, evidence)
    if document.tool.arithmetic != _core.DEFINITION:
        text = (
            f"are of arithmetic {document.tool.arithmetic}, and this version has "
            f"{_core.DEFINITION}: parentage {document.tool.version} reads them again"
        )
        findings.append(Finding("slices", UNCHECKED, text))
    else:
        given = (folder, document, inputs, asked, options, reread, progress)
        findings += guarded("slices", SUMS, check_slices, *given)
    if not reread.slices and not any(each.status == FAILED for each in findings):
        findings.append(Finding("slices", UNCHECKED, "no slice was read again"))
    return findings, {
        "seed": asked.seed,
        "read": reread.slices,
        "drawn": reread.drawn,
        "of": reread.of,
        "equal": reread.equal,
        "elements": reread.elements,
        "digests": asked.digest,
        "differing_less_than": _bound(reread),
    }


def _bound(reread: Reread) -> float | None:
    """Return the share of slices below which those that differ are, at 95 % confidence.

    If a share q of all slices differed, none of k that are drawn would with probability (1 - q)^k
    at most. ``None`` if one differs, or none was read.
    """
    if not reread.slices or reread.equal < reread.slices:
        return None
    if reread.slices == reread.of:
        return 0.0
    return 1.0 - float(0.05 ** (1.0 / reread.drawn))
