"""How to read: threads, tiles, ways of reading. None of it changes a result."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.stream.backends.core import CORE

if TYPE_CHECKING:
    from parentage.stream.backend import Backend

IO_OF_RUNS = "pread"
"""How a few pages here and there are read, whatever a full pass does.

Where they are mapped, the system reads what lies around them as well, often megabytes; and past the
page cache, they come from the disk again each time that they are looked at.
"""


MOST_THREADS = 1024
"""What the core takes, those that read past the page cache beside the others included."""

TILE_BYTES = (4096, 1 << 30)
"""The fewest and the most bytes that a thread reads at once."""

FAR_TOTAL = 1 << 24
"""Elements of a checkpoint that is fetched beyond which few, long runs are read of it."""

READERS = 24
"""Threads that are left for those."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to stream. None of it changes a result.

    Raises
    ------
    ValueError
        If threads or bytes are out of range.
    """

    threads: int
    tile_bytes: int | None = None
    io: str = "mmap"
    level: str | None = None
    digests: _core.Digests | None = None
    """What computes the SHA-256 of every shard on the way, if that is asked for."""
    backend: Backend = CORE
    """What carries it out."""
    is_far: bool = False
    """Whether a sample is read over a network, where a request costs as much as what it brings."""

    def __post_init__(self) -> None:
        """Refuse what the core could not even be told, and leave room for threads that read."""
        if not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads must be 1 to {MOST_THREADS}, not {self.threads}")
        least, most = TILE_BYTES
        if self.tile_bytes is not None and not least <= self.tile_bytes <= most:
            raise ValueError(f"tile bytes must be {least} to {most}, not {self.tile_bytes}")
        if self.io == "direct":
            object.__setattr__(self, "threads", min(self.threads, MOST_THREADS - READERS))

    def is_spread(self, elements: int) -> bool:
        """Return whether few, long runs are read of a checkpoint of so many elements."""
        return self.is_far and elements > FAR_TOTAL

    def for_runs(self) -> Options:
        """Return how runs of elements here and there are read: by no digest's pass."""
        return replace(self, io=IO_OF_RUNS, digests=None)


MEMORY = Path("/proc/meminfo")


def choose_io(io: str, bytes_: int) -> str:
    """Return how files are best read, where that is left open with ``"auto"``.

    What does not fit in the page cache would push everything else out of it, and find none of
    itself there later: it is read past the cache. Anything else is mapped, where the system can.
    """
    if io != "auto":
        return io
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", MEMORY.read_text("ascii"), re.MULTILINE)
    except OSError:
        found = None
    if found is not None and bytes_ > int(found[1]) << 10:
        return "direct"
    return "mmap" if _core.can_map() else "pread"
