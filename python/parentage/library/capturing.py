"""Keeps what can be kept of a checkpoint before it is gone: a sketch, headers, small files.

A captured folder has the sketch, ``custody.jsonl``, and below ``files`` and ``headers`` what lay
beside the weights and the raw headers of the shards. It opens as the sketch that it holds. Below
``drawn`` is a second one, at places that a seed drew then: nobody could know them before.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import secrets
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from parentage import _core
from parentage.checkpoint import Network, as_checkpoint
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
    from collections.abc import Callable, Sequence
    from os import PathLike
    from typing import Any

    from parentage.checkpoint import Checkpoint, Given, Shard
    from parentage.stream import Progress

_A = TypeVar("_A")
_B = TypeVar("_B")

CUSTODY = "custody.jsonl"
"""The log: what was captured, from where, when, by whom and by which version."""

AT_ONCE = 16
"""Files that are fetched at a time."""

DRAWN = "drawn"
"""The folder of a captured checkpoint that has a second sketch, whose places a seed drew."""

HEADERS = "headers"
"""The folder that has the headers of its files."""

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
    full: bool = False,
    seed: str | None = None,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    network: Network | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Keep what can be kept of a checkpoint in a folder, which is a checkpoint for every command.

    Parameters
    ----------
    checkpoint
        A folder, a file, an index, a name of what is on no disk, or what is opened already.
    output
        The folder; it must not be there, and appears whole or not at all.
    size
        Bytes of each of its sketches, as in :func:`parentage.sketch`.
    by
        Who captures it, for the log; by default the user that runs this.
    full
        Read everything of what is on no disk, too, for sums and digests that are computed here.
        Without it, no more is read of that than headers, small files and what the sketches hold.
    seed
        What draws the places of the second sketch; by default the system draws it.
    threads, tile_bytes, io, network, progress
        As in :func:`parentage.sketch`. Of what is on a disk everything is read, for the digests of
        all files.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CheckpointError
        If it is no checkpoint, or none that has a sketch.
    ReadError
        If it can not be read, or fetched. A small file that can not is left, and logged as such.
    WriteError
        If the folder is there, or the system refuses to write.
    """
    target = Path(output)
    if is_there(target):
        raise WriteError(f"{target}: it is there already, and nothing of it is overwritten")
    network = Network() if network is None else network
    opened = as_checkpoint(checkpoint, None, network)
    is_partial = opened.is_remote and not full
    drawing = secrets.token_hex(16) if seed is None else seed
    options = Options(
        _core.threads() if threads is None else threads,
        tile_bytes,
        choose_io(io, opened.disk_bytes),
        is_far=is_partial,
    )
    began = datetime.now(timezone.utc)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=WRITING) as scratch:
            made = Path(scratch, "captured")
            made.mkdir()
            # What is small first: it may be all that is left to be had.
            progress.stage("keeping headers")
            _keep_headers(opened, made / HEADERS, network)
            progress.stage("keeping small files")
            left = _keep_small(opened, made / KEPT, network)
            said, tensors = sketched(
                opened, bytes_of(size), options, progress, runs_only=is_partial
            )
            write_sketch(made / f"model{ENDING}", said, tensors)
            progress.stage("reading runs that are drawn")
            again = sketched(opened, bytes_of(size), options, runs_only=True, measure=False,
                             seed=drawing)  # fmt: skip
            write_sketch(made / DRAWN / f"model{ENDING}", *again)
            log = _line(opened, said, made, left, began, by) | {"seed": drawing}
            custody = made / CUSTODY
            custody.write_text(json.dumps(log, ensure_ascii=False) + "\n", "utf-8")
            sync_file(custody)
            made.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise WriteError(f"{target}: {error.strerror or error}") from error
    return target


def _keep_small(opened: Checkpoint, target: Path, network: Network) -> list[dict[str, Any]]:
    """Copy what lies beside the weights and is small; return what is left, with its size and why.

    Of a checkpoint that was given as a file, nothing beside it is taken but its index: who names a
    file has chosen it.
    """
    if opened.is_in_memory:
        return []
    if opened.is_remote:
        return _fetch_small(opened, target, network)
    weights = {shard.name for shard in opened.shards}
    folder = opened.path if opened.path.is_dir() else opened.path.parent
    names = sorted(each.name for each in folder.iterdir()) if opened.path.is_dir() else []
    left: list[dict[str, Any]] = []
    kept = 0
    for name in names:
        path = folder / name
        if name in weights or name.startswith(".") or not path.is_file():
            continue
        size = path.stat().st_size
        if not _is_of_it(path, folder):
            left.append({"name": name, "bytes": size, "why": "a link that leads out of the folder"})
            continue
        if size > MOST_SMALL or kept >= MOST_FILES:
            left.append({"name": name, "bytes": size, "why": "too large, or too many"})
            continue
        with BufferedReader(open_file(path)) as file:
            raw = file.read(MOST_SMALL + 1)
        target.mkdir(exist_ok=True)
        (target / name).write_bytes(raw)
        kept += 1
    return left


def _is_of_it(path: Path, folder: Path) -> bool:
    """Return whether a file lies in a folder, or in the blobs of the cache that it is an entry of.

    Who makes a checkpoint would choose by a link what of this computer is kept, and handed on.
    """
    target, home = path.resolve(), folder.resolve()
    if target.is_relative_to(home):
        return True
    return home.parent.name == "snapshots" and target.is_relative_to(home.parent.parent / "blobs")


def _fetch_small(opened: Checkpoint, target: Path, network: Network) -> list[dict[str, Any]]:
    """Fetch what lies beside weights that are on no disk, many files at a time."""
    origin = opened.origin
    if origin is None:
        return []
    weights = {shard.name for shard in opened.shards}

    def fetched(name: str) -> tuple[bytes | None, str]:
        try:
            return origin.text(name, MOST_SMALL), ""
        except ReadError as error:
            return None, str(error)

    names = sorted({*origin.texts, *origin.beside} - weights)
    safe = [name for name in names if _is_plain(name)]
    found = dict(zip(safe, _at_once(fetched, safe, network), strict=True))
    left: list[dict[str, Any]] = []
    for name in sorted({*names, *(set(origin.names) - weights)}):
        raw, why = found.get(name, (None, "too large, too many, or weights of another kind"))
        if raw is None:
            beside = origin.beside.get(name)
            size = None if beside is None else beside.place.bytes
            if not _is_plain(name):
                why = "hidden" if name.startswith(".") else "no name of a file"
            left.append({"name": printable(name), "bytes": size, "why": printable(why)[:300]})
            continue
        target.mkdir(exist_ok=True)
        (target / name).write_bytes(raw)
    return left


def _is_plain(name: str) -> bool:
    """Return whether what a server calls a file is a name, and no way to another folder."""
    is_one = name != "" and Path(name).name == name and "\\" not in name and ":" not in name
    return is_one and name.isprintable() and not name.startswith(".") and len(name) < 200


def _at_once(task: Callable[[_A], _B], given: Sequence[_A], network: Network) -> list[_B]:
    """Return what a task gives of each, many at a time; Ctrl-C waits for no server."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return list(pool.map(task, given))
        except BaseException:
            network.interrupt()
            raise


def _keep_headers(opened: Checkpoint, target: Path, network: Network) -> None:
    """Keep the bytes before the data of every file, as far as that is a header of safetensors."""
    if opened.is_in_memory:
        return
    pairs = list(zip(opened.shards, opened.core.fetchers(), strict=True))

    def header(pair: tuple[Shard, Any]) -> bytes | None:
        shard, fetcher = pair
        if fetcher is None:
            return _header(shard)
        if not 8 < shard.data_start <= MOST_HEADER:
            return None
        raw: bytes = fetcher.bytes_of(0, shard.data_start)
        return raw

    for number, (shard, raw) in enumerate(
        zip(opened.shards, _at_once(header, pairs, network), strict=True)
    ):
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
    origin = opened.origin
    return {
        "what": printable(opened.name),
        "from": printable(opened.where if opened.is_remote else str(opened.path)),
        "source": None if origin is None else origin.where,
        "revision": None if origin is None else origin.revision,
        "published_sha256": {} if origin is None else dict(origin.published),
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
