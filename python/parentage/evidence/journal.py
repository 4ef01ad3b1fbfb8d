"""What a trace has finished, kept while it runs, so that an interrupted one can go on.

A journal is one file, ``trace.journal``, in the folder that the evidence will be written to. It is
written to its end only::

    magic    b"parentage.journal/2\n"
    record   length (8 bytes, little endian), BLAKE2b of the payload (16 bytes), payload
    ...

A payload is one line of JSON with the record's kind and the names, dtypes and shapes of its arrays,
and their bytes. The first record is the head: it identifies the work, and a trace of anything else
is refused. What follows a record that is torn or damaged is cut off. Readers skip kinds that are
not theirs.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.support import (
    WRITING,
    JournalError,
    ReadError,
    WriteError,
    is_there,
    open_file,
    sweep,
    sync_folder,
)

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Any

    from numpy.typing import NDArray

    from parentage.checkpoint import Checkpoint, Inputs, Shard

NAME = "trace.journal"
"""Name of the file in the folder of the evidence."""

MAGIC = b"parentage.journal/2\n"

SYNC_SECONDS = 1.0
"""How much of a trace a power failure may cost, beside what was being computed."""

_FRAME = 8 + 16
_NUMBERED = re.compile(rb"parentage\.journal/\d+")

_DTYPES = {"<f8", "<i8", "<u8", "<u4", "<u2", "|u1", "|b1"}


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its kind, what else its line of JSON says, and arrays by name."""

    kind: str
    values: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


class Records:
    """The records of a journal that is open."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self._at: list[tuple[str, int, int]] = []
        self._end = 0

    def _scan(self) -> None:
        """Find all records up to the first that is not whole."""
        size = os.fstat(self._file).st_size
        found = os.pread(self._file, len(MAGIC), 0)
        if found != MAGIC:
            if MAGIC.startswith(found):
                return
            other = _NUMBERED.match(found)
            if other is None:
                raise JournalError(
                    f"{self.path}: this file is no journal of parentage; it is in the way of one"
                )
            raise JournalError(
                f"{self.path}: this is {other[0].decode()}, and this version of parentage goes on "
                f"with {MAGIC.decode().strip()} alone; removing this file gives up what is kept"
            )
        self._end = len(MAGIC)
        while self._end + _FRAME <= size:
            frame = os.pread(self._file, _FRAME, self._end)
            length = int.from_bytes(frame[:8], "little")
            if length > size - self._end - _FRAME:
                break
            payload = os.pread(self._file, length, self._end + _FRAME)
            if _digest(payload) != frame[8:]:
                break
            kind = json.loads(payload[: payload.index(b"\n")])["kind"]
            if not self._at and kind != "head":
                break
            self._at.append((kind, self._end + _FRAME, length))
            self._end += _FRAME + length

    def records(self, kind: str) -> Iterator[Record]:
        """Yield the records of a kind, in the order they were written; one is held at a time."""
        for each, offset, length in list(self._at):
            if each == kind:
                yield _decode(os.pread(self._file, length, offset))


class KeptRecords(Records):
    """A journal that nobody writes to, to be read: what is torn at its end is passed over.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    JournalError
        If it is no journal, or another process writes to it.
    ReadError
        If the system refuses to read it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._opened = open_file(path)
        except OSError as error:
            raise ReadError(f"{path}: open: {error.strerror or error}") from error
        super().__init__(path, self._opened.fileno())
        try:
            if sys.platform != "win32":
                fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self._scan()
        except OSError as error:
            self._opened.close()
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise JournalError(f"{path}: a trace is still being written to this") from None
            raise ReadError(f"{path}: read: {error.strerror or error}") from error
        except BaseException:
            self._opened.close()
            raise

    def __enter__(self) -> KeptRecords:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


class Journal(Records):
    """A journal that is open, and locked against any other process.

    Parameters
    ----------
    folder
        Where the evidence will be; made if need be.
    head
        What identifies the work, as :func:`identity` returns it.
    resume
        Whether to go on with what is kept. Without it, what is kept is never overwritten.
    note
        Told in a sentence what became of ``resume``.

    Raises
    ------
    JournalError
        If another process has it open, if something is kept and ``resume`` is not given, if what
        is kept is of other work, or if the file is no journal.
    WriteError
        If the system refuses to write.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        head: Mapping[str, Any],
        *,
        resume: bool,
        note: Callable[[str], None] | None = None,
    ) -> None:
        path = Path(folder, NAME)
        self.done = 0
        """Bytes of checkpoints whose results are kept."""
        self.total = 0
        """Bytes of checkpoints that will be read, once that is known."""
        self._note = note or (lambda _: None)
        self._made = _make(path.parent)
        self._is_removed = False
        self._synced = time.monotonic()
        existed = is_there(path)
        super().__init__(path, _open_locked(path))
        try:
            self._begin(head, resume=resume, existed=existed)
        except BaseException:
            os.close(self._file)
            raise

    def _begin(self, head: Mapping[str, Any], *, resume: bool, existed: bool) -> None:
        self._scan()
        kept = any(kind == "slices" for kind, _, _ in self._at)
        if kept and not resume:
            raise JournalError(
                f"{self.path}: an interrupted trace is kept here; --resume (resume=True) goes on "
                "with it, and removing this file gives it up"
            )
        if kept:
            difference = differs(next(self.records("head")).values["work"], head)
            if difference is not None:
                raise JournalError(
                    f"{self.path}: can not go on: {difference}; removing this file gives up what "
                    "is kept"
                )
            self._cut(self._end)
            return
        if resume:
            why = "nothing that was finished is kept in" if existed else "there is no"
            self._note(f"{why} {self.path}: starting from the beginning")
        self._cut(0)
        self._write(MAGIC)
        self.append("head", {"work": head})
        self.sync()
        sync_folder(self.path.parent)

    def append(
        self,
        kind: str,
        values: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write a record: JSON-ready ``values``, and ``arrays`` of numbers.

        It outlives this process at once, and a power failure a second later.
        """
        payload = _encode(kind, values, arrays or {})
        self._write(len(payload).to_bytes(8, "little") + _digest(payload) + payload)
        self._at.append((kind, self._end - len(payload), len(payload)))
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def expect(self, kind: str, values: Mapping[str, Any], what: str) -> None:
        """Write a record once, and refuse to go on if the one that is kept says something else."""
        for record in self.records(kind):
            for name, value in values.items():
                if record.values.get(name) != value:
                    raise JournalError(
                        f"{self.path}: can not go on: {what} ({name}) is not what it was when this "
                        "trace was begun; removing this file gives up what is kept"
                    )
            return
        self.append(kind, values)

    def progress(self, done: int, total: int) -> None:
        """Remember that ``done`` of ``total`` bytes are kept."""
        self.done, self.total = done, total

    def resumed(self, done: int, total: int) -> None:
        """Say that a pass goes on where an interrupted one was stopped."""
        self.progress(done, total)
        if done:
            self._note(f"going on with {self.path}: {_amount(done, total)} read before")

    @property
    def kept(self) -> str | None:
        """What an interruption leaves, in a sentence; ``None`` for nothing."""
        if not any(kind == "slices" for kind, _, _ in self._at):
            return None
        # Interrupted before the pass has looked at what is kept, amounts are not known.
        amount = f"{_amount(self.done, self.total)} read are" if self.total else "what was read is"
        return f"{amount} kept in {self.path.parent}"

    def sync(self) -> None:
        """Make what was written outlive a power failure."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise WriteError(f"{self.path}: write: {error.strerror or error}") from error
        self._synced = time.monotonic()

    def remove(self) -> None:
        """Remove the journal once the evidence is written, and folders of killed writers.

        We hold the lock, so nobody else writes here now.
        """
        sweep(self.path.parent, re.compile(rf"{re.escape(WRITING)}\w+"))
        sync_folder(self.path.parent)
        self.path.unlink()
        self._is_removed = True

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None or self._is_removed:
                return
            kept = self.kept
            if kept is None:
                self.path.unlink(missing_ok=True)
                for folder in self._made:
                    with suppress(OSError):  # somebody has put something there
                        folder.rmdir()
                return
            self.sync()
            if issubclass(kind, KeyboardInterrupt):
                raise KeyboardInterrupt(f"{kept}; the same command with --resume goes on") from None
            if not issubclass(kind, JournalError):
                self._note(f"{kept}; --resume goes on, if the files are as they were")
        finally:
            os.close(self._file)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._file, view, self._end)
                self._end += written
                view = view[written:]
        except OSError as error:
            raise WriteError(f"{self.path}: write: {error.strerror or error}") from error

    def _cut(self, size: int) -> None:
        try:
            os.ftruncate(self._file, size)
        except OSError as error:
            raise WriteError(f"{self.path}: write: {error.strerror or error}") from error
        self._end = size
        if size == 0:
            self._at.clear()


def identity(inputs: Inputs) -> dict[str, Any]:
    """Return what identifies a trace: the version, and every file of every checkpoint by role.

    Files are told by name, size, modification time and the SHA-256 of their header, or of what was
    read of it where it does not lie before the data; what may be read a little later is checked by
    the core against size and modification time.
    """
    roles = [("child", inputs.child), ("base", inputs.base)]
    roles += [(f"parent {i}", each) for i, each in enumerate(inputs.parents, 1)]
    roles += [(f"control {i}", each) for i, each in enumerate(inputs.controls, 1)]
    return {
        "version": _core.__version__,
        "arithmetic": _core.DEFINITION,
        "checkpoints": [
            {"role": role, "name": each.name, "files": _files(each)} for role, each in roles
        ],
    }


_FACTS = {
    "bytes": "size",
    "header": "header",
    "modified_ns": "modification time",
}


def _files(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    described = (checkpoint.core.tensors(), sorted(checkpoint.encodings.items()))
    table = hashlib.sha256(repr(described).encode("utf-8", "backslashreplace")).hexdigest()
    return [
        {
            "name": shard.name,
            "bytes": shard.bytes,
            "modified_ns": shard.modified_ns,
            "header": _header(shard, table) if file is None else file.place.identity or table,
        }
        for shard, file in zip(checkpoint.shards, checkpoint.core.fetchers(), strict=True)
    ]


def _header(shard: Shard, table: str) -> str:
    """Return what tells a file on disk from another."""
    return _header_digest(shard.path, shard.data_start) if shard.data_start else table


def _header_digest(path: Path, size: int) -> str:
    """Return the SHA-256 of a file's first ``size`` bytes: the header's length, and the header."""
    try:
        with io.BufferedReader(open_file(path)) as file:
            return hashlib.sha256(file.read(size)).hexdigest()
    except OSError as error:
        raise ReadError(f"{path}: read header: {error.strerror or error}") from error


def differs(was: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return in what the work that a head identifies is another one; ``None`` if in nothing."""
    for key, what in (("version", "version"), ("arithmetic", "arithmetic definition")):
        if was[key] != now[key]:
            return f"it was begun by parentage with {what} {was[key]}, and this is {now[key]}"
    before, after = was["checkpoints"], now["checkpoints"]
    roles = [each["role"] for each in before], [each["role"] for each in after]
    if roles[0] != roles[1]:
        return f"it was begun with {', '.join(roles[0])}, and this is {', '.join(roles[1])}"
    for one, two in zip(before, after, strict=True):
        if one["name"] != two["name"]:
            return f"its {one['role']} is {one['name']}, and this one is {two['name']}"
        theirs = {file["name"]: file for file in one["files"]}
        ours = {file["name"]: file for file in two["files"]}
        for name in sorted(theirs.keys() ^ ours.keys()):
            state = "gone from" if name in theirs else "new in"
            return f"{name} is {state} the {one['role']} {one['name']}"
        for name, file in theirs.items():
            changed = [said for fact, said in _FACTS.items() if file[fact] != ours[name][fact]]
            if changed:
                verb = "has" if len(changed) == 1 else "have"
                return (
                    f"{' and '.join(changed)} of {name} of the {one['role']} {one['name']} {verb} "
                    "changed since it was begun"
                )
    return None


def _make(folder: Path) -> list[Path]:
    """Make a folder and return the ones that were not there, innermost first."""
    missing = [each for each in (folder, *folder.parents) if not is_there(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: make folder: {error.strerror or error}") from error
    return missing


def _open_locked(path: Path) -> int:
    # A link is not followed: what it leads to is not ours to make, or to lock.
    flags = os.O_RDWR | os.O_CREAT
    for flag in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
        flags |= getattr(os, flag, 0)
    while True:
        try:
            file = os.open(path, flags, 0o644)
        except OSError as error:
            if path.is_symlink():
                raise JournalError(f"{path}: is a link; a journal is a file of its own") from error
            raise WriteError(f"{path}: open: {error.strerror or error}") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise JournalError(f"{path}: is no file; it is in the way of a journal")
        try:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock may have finished, and removed the file that was opened.
            if is_there(path) and os.path.samestat(os.fstat(file), path.stat()):
                return file
            os.close(file)
        except OSError as error:
            os.close(file)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise JournalError(
                    f"{path}: another trace is being written to this folder"
                ) from None
            raise WriteError(f"{path}: lock: {error.strerror or error}") from error


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()


def _encode(kind: str, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    narrowed = {name: _narrow(array) for name, array in arrays.items()}
    said = [[name, each.dtype.str, list(each.shape)] for name, each in narrowed.items()]
    line = json.dumps({"kind": kind, **values, "arrays": said}) + "\n"
    return b"".join([line.encode(), *(each.tobytes() for each in narrowed.values())])


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """Return counts in the narrowest dtype that holds them: most are small or zero."""
    if array.dtype.kind == "u":
        most = int(array.max(initial=0))
        dtype = next(d for d in ("u1", "<u2", "<u4", "<u8") if most <= np.iinfo(d).max)
        return array.astype(dtype)
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _decode(payload: bytes) -> Record:
    """Return a record; counts are uint64 again."""
    end = payload.index(b"\n") + 1
    values = json.loads(payload[:end])
    arrays = {}
    for name, dtype, shape in values.pop("arrays"):
        assert dtype in _DTYPES, "a record that has its checksum was written by this module"
        array = np.frombuffer(payload, dtype, prod(shape), end).reshape(shape)
        end += array.nbytes
        arrays[name] = array.astype(np.uint64) if array.dtype.kind == "u" else array
    return Record(values.pop("kind"), values, arrays)


def _amount(done: int, total: int) -> str:
    return f"{done / 1e9:,.2f} of {total / 1e9:,.2f} GB"
