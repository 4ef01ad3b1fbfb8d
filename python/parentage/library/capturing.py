"""Keeps what can be kept of a checkpoint before it is gone: a sketch, headers, small files.

A captured folder has the sketch, ``custody.jsonl``, and below ``files`` and ``headers`` what lay
beside the weights and the raw headers of the shards. It opens as the sketch that it holds.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import tempfile
from datetime import datetime, timezone
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.checkpoint import as_checkpoint
from parentage.library.sketching import ENDING, SIZE, bytes_of, sketched, write_sketch
from parentage.stream import SILENT, Options, choose_io
from parentage.support import (
    WRITING,
    ReadError,
    WriteError,
    is_there,
    open_file,
    printable,
    sync_file,
    sync_folder,
)

if TYPE_CHECKING:
    from os import PathLike
    from typing import Any

    from parentage.checkpoint import Checkpoint, Given, Shard
    from parentage.stream import Progress

CUSTODY = "custody.jsonl"
"""The log: what was captured, from where, when, by whom and by which version."""

KEPT = "files"
"""The folder of a captured checkpoint that has what lay beside the weights."""

MOST_SMALL = 1 << 26
"""Bytes of a small file, from which on it is left, and its name and size are logged."""

MOST_FILES = 256
"""Files beside the weights that are kept, at most."""

MOST_HEADER = 100_000_000
"""Bytes of a header that is kept, at most: what the format allows."""


def capture(
    checkpoint: Given,
    output: str | PathLike[str],
    *,
    size: int | str = SIZE,
    by: str | None = None,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    progress: Progress = SILENT,
) -> Path:
    """Keep what can be kept of a checkpoint in a folder, which is a checkpoint for every command.

    Parameters
    ----------
    checkpoint
        A folder, a file, an index, or what is opened already.
    output
        The folder; it must not be there, and appears whole or not at all.
    size
        Bytes of its sketch, as in :func:`parentage.sketch`.
    by
        Who captures it, for the log; by default the user that runs this.
    threads, tile_bytes, io, progress
        As in :func:`parentage.sketch`. Everything is read, for the digests of all files.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CheckpointError
        If it is no checkpoint, or none that has a sketch.
    WriteError
        If the folder is there, or the system refuses to write.
    """
    target = Path(output)
    if is_there(target):
        raise WriteError(f"{target}: it is there already, and nothing of it is overwritten")
    opened = as_checkpoint(checkpoint)
    options = Options(
        _core.threads() if threads is None else threads,
        tile_bytes,
        choose_io(io, opened.disk_bytes),
    )
    began = datetime.now(timezone.utc)
    said, tensors = sketched(opened, bytes_of(size), options, progress)
    progress.stage("keeping small files")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=WRITING) as scratch:
            made = Path(scratch, "captured")
            made.mkdir()
            write_sketch(made / f"model{ENDING}", said, tensors)
            left = _keep_small(opened, made / KEPT)
            _keep_headers(opened, made / "headers")
            log = _line(opened, said, made, left, began, by)
            custody = made / CUSTODY
            custody.write_text(json.dumps(log, ensure_ascii=False) + "\n", "utf-8")
            sync_file(custody)
            made.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise WriteError(f"{target}: {error.strerror or error}") from error
    return target


def _folder_of(opened: Checkpoint) -> Path:
    return opened.path if opened.path.is_dir() else opened.path.parent


def _keep_small(opened: Checkpoint, target: Path) -> list[dict[str, Any]]:
    """Copy what lies beside the weights and is small; return what is left, with its size.

    Of a checkpoint that was given as a file, nothing beside it is taken but its index: who names a
    file has chosen it.
    """
    if opened.is_in_memory:
        return []
    weights = {shard.name for shard in opened.shards}
    folder = _folder_of(opened)
    names = sorted(each.name for each in folder.iterdir()) if opened.path.is_dir() else []
    left: list[dict[str, Any]] = []
    kept = 0
    for name in names:
        path = folder / name
        if name in weights or name.startswith(".") or not path.is_file():
            continue
        if path.stat().st_size > MOST_SMALL or kept >= MOST_FILES:
            left.append({"name": name, "bytes": path.stat().st_size})
            continue
        with BufferedReader(open_file(path)) as file:
            raw = file.read(MOST_SMALL + 1)
        target.mkdir(exist_ok=True)
        (target / name).write_bytes(raw)
        kept += 1
    return left


def _keep_headers(opened: Checkpoint, target: Path) -> None:
    """Keep the bytes before the data of every file, as far as that is a header of safetensors."""
    for number, shard in enumerate(opened.shards):
        raw = None if opened.is_in_memory else _header(shard)
        if raw is not None:
            target.mkdir(exist_ok=True)
            (target / f"{number:05}-{Path(shard.name).name}.header").write_bytes(raw)


def _header(shard: Shard) -> bytes | None:
    """Return the header of a shard with its length; ``None`` for what has none."""
    try:
        with BufferedReader(open_file(shard.path)) as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MOST_HEADER or length + 8 != shard.data_start:
                return None
            file.seek(0)
            return file.read(8 + length)
    except OSError as error:
        raise ReadError(f"{shard.path}: header: {error.strerror}") from error


def _line(
    opened: Checkpoint,
    said: dict[str, Any],
    made: Path,
    left: list[dict[str, Any]],
    began: datetime,
    by: str | None,
) -> dict[str, Any]:
    """Return the line of the log."""
    kept = [
        {
            "name": path.relative_to(made).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(made.rglob("*"))
        if path.is_file()
    ]
    return {
        "what": printable(opened.name),
        "from": printable(str(opened.path)),
        "began": began.isoformat(timespec="seconds"),
        "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "by": _user() if by is None else by,
        "tool": f"parentage {_core.__version__}",
        "elements": said["elements"],
        "files": said["files"],
        "kept": kept,
        "left": left,
    }


def _user() -> str:
    """Return who runs this; empty where the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
