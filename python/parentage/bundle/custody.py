"""The custody log: who did what with the evidence, when, with what, on which files.

It is kept apart from the evidence, which is the same whoever makes it. Each entry holds the digest
of its own text and that of the entry before, so that one that is altered, or taken out of the
middle, is seen. What was cut off at the end is not, unless somebody noted the last digest.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bundle.manifest import MANIFEST, sha256
from parentage.support import EvidenceError, WriteError, is_file

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from parentage.checkpoint import Checkpoint

CUSTODY = "custody.jsonl"
"""Name of the file: an entry a line."""

CUSTODY_SCHEMA = "parentage.custody/1"

MOST_BYTES = 1 << 28
"""No log is as large."""

_SECRET = re.compile(r"(?i)(token|key|secret|password|passwd|signature|credential|auth)")
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(?<=\?)[^\s#]*")
_TOKENS = re.compile(r"\b(hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{8,})")
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Acting:
    """On whose behalf the program runs, as far as that is said."""

    command: tuple[str, ...] | None = None
    """The command line; ``None`` in Python."""
    custodian: str | None = None
    """Whoever answers for what is done; ``None`` leaves the name out."""


_ACTING: ContextVar[Acting | None] = ContextVar("parentage_acting", default=None)


@contextmanager
def acting(*, command: Sequence[str] | None = None, custodian: str | None = None) -> Iterator[None]:
    """Have the custody log say by which command line, and on whose behalf, things are done.

    >>> with acting(custodian="A. Expert"):
    ...     pass  # parentage.trace(..., output="evidence/")
    """
    token = _ACTING.set(Acting(None if command is None else tuple(command), custodian))
    try:
        yield
    finally:
        _ACTING.reset(token)


def log_custody(
    folder: str | os.PathLike[str],
    action: str,
    inputs: Sequence[Mapping[str, Any]] = (),
    outcome: Mapping[str, Any] | None = None,
) -> None:
    """Append what was done with the evidence in ``folder``.

    Parameters
    ----------
    action
        In a word: ``"trace"``, ``"verify"``, ``"report"``.
    inputs
        The checkpoints that it was done on, as :func:`checkpoint_entry` describes them.
    outcome
        What came of it, as JSON holds it.

    Raises
    ------
    WriteError
        If the system refuses to write.
    EvidenceError
        If the log that is there is damaged: nothing is appended to it.
    """
    path = Path(folder, CUSTODY)
    now = _ACTING.get() or Acting()
    manifest = Path(folder, MANIFEST)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        with os.fdopen(handle, "r+b") as file:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX)
            data = file.read(MOST_BYTES + 1)
            known = read_custody(data, str(path))
            entry = {
                "schema": CUSTODY_SCHEMA,
                "number": len(known) + 1,
                "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "action": action,
                "custodian": now.custodian,
                "command": None if now.command is None else without_secrets(now.command),
                "tool": _tool(),
                "machine": _machine(),
                "inputs": list(inputs),
                "manifest": sha256(manifest.read_bytes()) if is_file(manifest) else None,
                "outcome": outcome,
                "previous": known[-1]["digest"] if known else None,
            }
            file.write(entry_line(entry).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WriteError(f"{path}: write: {error.strerror or error}") from error


def entry_line(entry: Mapping[str, Any]) -> str:
    """Return the line of an entry: its text with the digest of it."""
    return _text({**entry, "digest": sha256(_text(entry).encode())}) + "\n"


def read_custody(data: bytes, where: str) -> list[dict[str, Any]]:
    """Return the entries of a log; ``where`` names the file in errors.

    Raises
    ------
    EvidenceError
        If one is no entry, was altered, or does not follow the one before.
    """
    if len(data) > MOST_BYTES:
        raise EvidenceError(f"{where}: has more than {MOST_BYTES:,} bytes, and is no custody log")
    entries: list[dict[str, Any]] = []
    lines = data.split(b"\n")
    if lines.pop():
        raise EvidenceError(f"{where}: line {len(lines) + 1}: does not end")
    for number, raw in enumerate(lines, 1):
        at = f"{where}: line {number}"
        try:
            entry = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise EvidenceError(f"{at}: is no entry: {error}") from error
        if not isinstance(entry, dict) or entry.get("schema") != CUSTODY_SCHEMA:
            raise EvidenceError(f"{at}: is no entry of {CUSTODY_SCHEMA}")
        text = {name: value for name, value in entry.items() if name != "digest"}
        if entry_line(text).encode() != raw + b"\n":
            raise EvidenceError(f"{at}: is altered: its digest is not that of its text")
        if not isinstance(entry.get("action"), str):
            raise EvidenceError(f"{at}: says of no action")
        previous = entries[-1]["digest"] if entries else None
        if entry.get("number") != number or entry.get("previous") != previous:
            raise EvidenceError(f"{at}: does not follow the entry before: one was taken out")
        entries.append(entry)
    return entries


def checkpoint_entry(
    role: str, checkpoint: Checkpoint, digests: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return what a log says of a checkpoint: where it was, and its files.

    ``digests`` are the SHA-256 of its files, where they were computed.
    """
    # What was in memory was at no path.
    path = checkpoint.where if checkpoint.is_in_memory else os.path.abspath(checkpoint.path)  # noqa: PTH100
    known: Sequence[str | None] = digests or (None,) * len(checkpoint.own_shards)
    return {
        "role": role,
        "name": checkpoint.name,
        "path": without_secrets([path])[0],
        **hub_source(Path(path)),
        "files": [
            {"name": shard.name, "bytes": shard.bytes, "sha256": digest}
            for shard, digest in zip(checkpoint.own_shards, known, strict=True)
        ],
    }


def hub_source(path: Path) -> dict[str, str | None]:
    """Return repository and revision of what lies in the cache of a hub; ``None`` elsewhere.

    >>> hub_source(Path("/x/models--org--name/snapshots/abc/model.safetensors"))
    {'repository': 'org/name', 'revision': 'abc'}
    """
    parts = path.parts
    for i, part in enumerate(parts[:-2]):
        if part.startswith("models--") and parts[i + 1] == "snapshots":
            return {
                "repository": part.removeprefix("models--").replace("--", "/"),
                "revision": parts[i + 2],
            }
    return {"repository": None, "revision": None}


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """Return arguments of a command line without what may be a credential.

    What follows an option that is called so, names and passwords in addresses, and their queries.

    >>> without_secrets(["--api-key", "abc", "--token=abc", "https://me:pw@host/a?sig=1", "x"])
    ['--api-key', '***', '--token=***', 'https://***@host/a?***', 'x']
    """
    out: list[str] = []
    is_hidden = False
    for argument in arguments:
        # What the system passes may be no text.
        each = argument.encode("utf-8", "backslashreplace").decode()
        if is_hidden:
            out.append(HIDDEN)
            is_hidden = False
            continue
        name, equals, _ = each.partition("=")
        if name.startswith("-") and _SECRET.search(name):
            out.append(f"{name}={HIDDEN}" if equals else name)
            is_hidden = not equals
            continue
        text = _IN_ADDRESS.sub(f"{HIDDEN}@", each)
        if "://" in text:
            text = _QUERY.sub(HIDDEN, text)
        out.append(_TOKENS.sub(HIDDEN, text))
    return out


def _tool() -> dict[str, Any]:
    return {
        "name": "parentage",
        "version": _core.__version__,
        "arithmetic": _core.DEFINITION,
        "python": platform.python_version(),
    }


def _machine() -> dict[str, Any]:
    """Return what class of machine this is; nothing that tells it from others of its class."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "processor": platform.machine(),
        "level": _core.simd_level(),
        "cpus": os.cpu_count(),
    }


def _text(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
