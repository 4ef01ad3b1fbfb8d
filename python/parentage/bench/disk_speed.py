"""Reads files as plainly as it can be done: what a disk gives, past the page cache or into it."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from threading import Event, local
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.support import ReadError, is_there

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.checkpoint import Checkpoint

BLOCK = 4096
"""What offsets and sizes of direct reads are multiples of."""

HUGE = 2 << 20
"""Bytes of a huge page."""


def refuses_direct(path: Path) -> str | None:
    """Return why a file can not be read past the page cache, or ``None`` if it can."""
    if not hasattr(os, "O_DIRECT"):
        return "this system has no direct I/O"
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            with mmap.mmap(-1, BLOCK) as buffer:
                os.preadv(file, [buffer], 0)
        finally:
            os.close(file)
    except OSError as error:
        return f"the file system of {path} has no direct I/O ({error.strerror})"
    return None


def requests(sizes: Sequence[int], limit: int, request: int) -> list[tuple[int, int]]:
    """Return (file, offset) of reads of ``request`` bytes, ``limit`` in all, the files in turns.

    >>> requests([10, 25], 100, 10)
    [(0, 0), (1, 0), (1, 10), (1, 20)]
    """
    offsets = [[(file, at) for at in range(0, size, request)] for file, size in enumerate(sizes)]
    turns = [read for turn in zip_longest(*offsets) for read in turn if read is not None]
    return turns[: -(-limit // request)]


def huge_buffer(size: int) -> NDArray[np.uint8]:
    """Return (size,) memory on huge pages, where the system has them.

    A disk is asked for some hundred pieces of memory at once, and pages that lie anywhere make
    small requests of large reads.
    """
    # Unmapped when the last array that looks at it is gone. What is shared has pages of its own.
    memory = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = np.frombuffer(memory, dtype=np.uint8)
    start = -buffer.ctypes.data % HUGE
    return buffer[start : start + size]


def direct_read(paths: Sequence[Path], limit: int, threads: int, request: int) -> int:
    """Read up to ``limit`` bytes past the page cache, and return how many were read.

    ``threads`` reads of ``request`` bytes, a multiple of :data:`BLOCK`, are under way at once, each
    into a buffer of its own, and go through the files in turns.

    Raises
    ------
    ReadError
        If the system refuses, or a file ends before its size.
    """
    held, stopped = local(), Event()
    files: list[int] = []

    def read(place: tuple[int, int]) -> int:
        if stopped.is_set():
            return 0
        if not hasattr(held, "buffer"):
            held.buffer = huge_buffer(request)
        file, at = place
        want = min(request, sizes[file] - at)
        got = os.preadv(files[file], [held.buffer], at)
        if got < want:
            raise ReadError(f"{paths[file]}: {got} of {want} bytes were read at offset {at}")
        return want

    try:
        files += [os.open(path, os.O_RDONLY | os.O_DIRECT) for path in paths]
        sizes = [os.fstat(file).st_size for file in files]
        with ThreadPoolExecutor(threads) as pool:
            try:
                return sum(pool.map(read, requests(sizes, limit, request)))
            finally:
                # Ctrl-C need not wait for what has not begun.
                stopped.set()
    except OSError as error:
        raise ReadError(f"direct reads of {paths[0].parent}: {error}") from error
    finally:
        for file in files:
            os.close(file)


def evict(paths: Sequence[Path]) -> None:
    """Ask the system to forget what it caches of files, and to write first what is not on disk."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def digests(checkpoints: Sequence[Checkpoint], threads: int) -> list[str]:
    """Return the SHA-256 of every file, in hex, in order."""
    hashing = _core.Digests([checkpoint.core for checkpoint in checkpoints])
    return [digest for shards in hashing.finish(threads=threads) for digest in shards]


def file_system(folder: Path) -> dict[str, str | None]:
    """Return type, device and mount point of the file system of a path; ``None`` if not known."""
    mount: dict[str, str | None] = {"file_system": None, "device": None, "mounted_at": None}
    existing = folder.resolve()
    while not is_there(existing):
        existing = existing.parent
    device = existing.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        longest = -1
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, rest = line.partition(" - ")
            at = fields.split()[4]
            # A device may be mounted at several places: the one that holds the path counts.
            if fields.split()[2] == number and existing.is_relative_to(at) and len(at) > longest:
                longest = len(at)
                kind, source = rest.split()[:2]
                mount = {"file_system": kind, "device": source, "mounted_at": at}
    return mount
