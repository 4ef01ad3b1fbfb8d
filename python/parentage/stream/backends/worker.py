"""What a worker does: it carries out a range of a plan that another process made.

Whatever engine calls it, it is given numbers, texts and bytes, and gives the same back. What it can
not do it answers, and does not raise: whatever does raise is the engine's.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import threading
import time
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage import _core
from parentage.stream.cuts import Cuts, ReplayContents, contents_of, pieces
from parentage.support import ParentageError, is_folder, open_file

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from parentage.stream.backend import Backend, ReplayedSums

JOBS = 4
"""Jobs that a worker remembers."""

TELLING_SECONDS = 0.25
"""How often a worker says how far it has come, and looks whether that is still wanted."""

KINDS: dict[str, type[Exception]] = {
    each.__name__: each
    for each in (
        _core.CheckpointError, _core.ReadError, _core.PlanError, ParentageError, ValueError,
        MemoryError, OSError,
    )
}  # fmt: skip
"""Errors that are answered, by name."""

_OF_ANOTHER = "0" * 64
"""Stands for the digest of a file that another worker hashes."""


@dataclass(frozen=True, slots=True)
class Job:
    """A plan, and how it is read: what all its ranges share."""

    plan: _core.Plan
    backend: Backend
    threads: int | None
    """Threads of a range; ``None`` for those of the worker's machine, in equal parts."""
    at_once: int
    """Ranges that are read at a time on one machine."""
    tile_bytes: int | None
    io: str
    level: str | None
    headers: dict[tuple[int, int], str]
    """SHA-256 of the header of every file on disk, by column and shard."""
    room: str | None
    """A folder that is there for as long as the job is wanted, for notes on how far it is."""


class Answer(NamedTuple):
    """What a worker has to say of a range."""

    kind: str
    """``"done"``, ``"lacks"`` the job, ``"stopped"``, or ``"failed"`` with an error's name."""
    who: str
    """The worker: host and process."""
    said: str = ""
    """The error's name and its text, with a space between them."""
    sums: bytes = b""
    """Packed: first and past the last slice of each piece, and its sums."""
    digests: tuple[tuple[int, int, str], ...] = ()
    """Column, shard and SHA-256 of the files that were hashed."""
    seconds: float = 0.0


def versions() -> tuple[str, int]:
    """Return what has to be the same wherever ranges of one plan are read."""
    return _core.__version__, _core.DEFINITION


def packed(value: object) -> bytes:
    """Return a value for another process of the same version."""
    return zlib.compress(pickle.dumps(value, pickle.HIGHEST_PROTOCOL), 1)


def unpacked(data: bytes) -> Any:
    """Return a value that :func:`packed` has packed: it comes from whoever gives the work."""
    return pickle.loads(zlib.decompress(data))


def headers_of(plan: _core.Plan) -> dict[tuple[int, int], str]:
    """Return the digest of the header of every file on disk, by column and shard.

    Raises
    ------
    ReadError
        If the system refuses to read it.
    """
    headers = {
        (column, shard): header
        for column, checkpoint in enumerate(contents_of(plan).checkpoints)
        for shard, header in _headers(checkpoint).items()
    }
    known = {header: _digest(*header) for header in dict.fromkeys(headers.values())}
    return {place: known[header] for place, header in headers.items()}


def carry_out(
    made_by: tuple[str, int],
    name: str,
    job: bytes | None,
    first: int,
    last: int,
    replays: bytes,
    digested: tuple[tuple[int, int], ...] | None,
) -> Answer:
    """Carry out slices ``first`` to ``last`` (exclusive) of a job.

    Parameters
    ----------
    made_by
        The versions of whoever gives the work.
    name
        The SHA-256 of the packed job, which it is remembered by.
    job
        The packed job; ``None`` if this worker may have it.
    replays
        Packed: the recipes that are replayed, with what they know of these slices.
    digested
        Column and shard of the files to hash; ``None`` if nobody asked for digests.
    """
    who = f"{socket.gethostname()}, process {os.getpid()}"
    if made_by != versions():
        here, there = (
            f"{version} (arithmetic {number})" for version, number in (versions(), made_by)
        )
        return Answer("failed", who, f"Version it has parentage {here}, and this is {there}")
    try:
        held = _held(name, job)
        if held is None:
            return Answer("lacks", who)
        return held.carry_out(first, last, unpacked(replays), digested)._replace(who=who)
    except (_Stopped, KeyboardInterrupt):
        return Answer("stopped", who)
    except tuple(KINDS.values()) as error:
        kind = next(kind for kind in type(error).__mro__ if kind.__name__ in KINDS).__name__
        return Answer("failed", who, f"{kind} {error}")


def digests_of(plan: _core.Plan, places: Collection[tuple[int, int]]) -> _core.Digests:
    """Return what hashes the files at ``places``, column and shard, and no other of a plan."""
    checkpoints = contents_of(plan).checkpoints
    out = _core.Digests(list(checkpoints))
    for column, checkpoint in enumerate(checkpoints):
        for shard in range(len(checkpoint.shards())):
            if (column, shard) not in places:
                out.restore(column, shard, _OF_ANOTHER)
    return out


class _Stopped(Exception):  # noqa: N818  # it is no error
    """Nobody wants the rest."""


class _Held:
    """A job that a worker has."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._cuts = Cuts(job.plan)
        self._seen: set[tuple[int, int]] = set()

    def carry_out(
        self,
        first: int,
        last: int,
        replays: list[_core.Replay],
        digested: tuple[tuple[int, int], ...] | None,
    ) -> Answer:
        """Return the sums of a range."""
        job, begun = self._job, time.monotonic()
        threads = job.threads or max(1, _core.threads() // job.at_once)
        with _Telling(job.room, first) as telling:
            self._verify(first, last)
            digests = None if digested is None else digests_of(job.plan, digested)
            out: list[tuple[int, int, ReplayedSums]] = []
            for begin, end in pieces(job.plan, first, last):
                owner = np.arange(begin - first, end - first)
                rows = [ReplayContents.of(each).part(owner) for each in replays]
                found = job.backend.gram(
                    job.plan, begin, end, threads=threads, tile_bytes=job.tile_bytes, io=job.io,
                    level=job.level, replays=rows, digests=digests, progress=telling,
                )  # fmt: skip
                telling.before += self._cuts.bytes(begin, end)
                out.append((begin, end, found))
            hashed: tuple[tuple[int, int, str], ...] = ()
            if digests is not None and digested:
                made = digests.finish(threads=threads, io=job.io, progress=telling.look)
                hashed = tuple((column, shard, made[column][shard]) for column, shard in digested)
        seconds = time.monotonic() - begun
        return Answer("done", "", "", packed(out), hashed, seconds)

    def _verify(self, first: int, last: int) -> None:
        """Make sure that files begin here as they do where the plan was made.

        The core asks for their sizes and modification times.
        """
        checkpoints = contents_of(self._job.plan).checkpoints
        for place in self._cuts.in_range(first, last):
            expected = self._job.headers.get(place)
            if expected is None or place in self._seen:
                continue
            path, size = _headers(checkpoints[place[0]])[place[1]]
            if _digest(path, size) != expected:
                raise _core.ReadError(
                    f"{path}: its header is not that of the file of this name where the trace runs"
                )
            self._seen.add(place)


class _Telling:
    """Notes in the job's room how many bytes of a range are read; raises once the room is gone."""

    def __init__(self, room: str | None, first: int) -> None:
        # Another machine may have no such folder: nothing is noted then, and nobody stops it.
        self._room = room if room is not None and is_folder(room) else None
        self._first = first
        self._file = -1
        self._told = 0.0
        self.before = 0
        """Bytes of pieces that are done."""

    def __enter__(self) -> _Telling:
        if self._room is not None:
            try:
                path = os.path.join(self._room, str(self._first))  # noqa: PTH118
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            except OSError:
                self._room = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)

    def __call__(self, done: int) -> None:
        """Be told of the bytes of the piece that is read."""
        if self.look(done):
            try:
                os.pwrite(self._file, (self.before + done).to_bytes(8, "little"), 0)
            except OSError:
                # A full disk takes no notes, and stops no work.
                self._told = float("inf")

    def look(self, _: int) -> bool:
        """Return whether it is time for a note.

        Raises
        ------
        _Stopped
            If the work is not wanted any more.
        """
        now = time.monotonic()
        if self._room is None or now - self._told < TELLING_SECONDS:
            return False
        self._told = now
        if not is_folder(self._room):
            raise _Stopped
        return True


_jobs: OrderedDict[str, _Held] = OrderedDict()
_lock = threading.Lock()


def _held(name: str, job: bytes | None) -> _Held | None:
    """Return a job that is here, or that was sent along; ``None`` if it is neither."""
    with _lock:
        if name not in _jobs:
            if job is None:
                return None
            _jobs[name] = _Held(unpacked(job))
            while len(_jobs) > JOBS:
                _jobs.popitem(last=False)
        _jobs.move_to_end(name)
        return _jobs[name]


def _headers(checkpoint: _core.Checkpoint) -> dict[int, tuple[str, int]]:
    """Return path and bytes of the header of each shard that is on disk and begins with one."""
    return {
        shard: (str(path), start)
        for shard, ((path, _, _, start, *_), file) in enumerate(
            zip(checkpoint.shards(), checkpoint.fetchers(), strict=True)
        )
        if file is None and start
    }


def _digest(path: str, size: int) -> str:
    """Return the SHA-256 of the first ``size`` bytes of a file."""
    try:
        with open_file(path) as file:
            return hashlib.sha256(file.read(size)).hexdigest()
    except OSError as error:
        raise _core.ReadError(f"{path}: read header: {error.strerror or error}") from error
