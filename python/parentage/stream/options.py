"""How to read: threads, tiles, ways of reading. None of it changes a result."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.stream.backends.core import CORE

if TYPE_CHECKING:
    from parentage import _core
    from parentage.stream.backend import Backend

IO_OF_RUNS = "pread"
"""How a few pages here and there are read, whatever a full pass does.

Where they are mapped, the system reads what lies around them as well, often megabytes; and past the
page cache, they come from the disk again each time that they are looked at.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """How to stream. None of it changes a result."""

    threads: int
    tile_bytes: int | None = None
    io: str = "mmap"
    level: str | None = None
    digests: _core.Digests | None = None
    """What computes the SHA-256 of every shard on the way, if that is asked for."""
    backend: Backend = CORE
    """What carries it out."""

    def for_runs(self) -> Options:
        """Return how runs of elements here and there are read: by no digest's pass."""
        return replace(self, io=IO_OF_RUNS, digests=None)


MEMORY = Path("/proc/meminfo")


def choose_io(io: str, bytes_: int) -> str:
    """Return how files are best read, where that is left open with ``"auto"``.

    What does not fit in the page cache would push everything else out of it, and find none of
    itself there later: it is read past the cache. Anything else is mapped.
    """
    if io != "auto":
        return io
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", MEMORY.read_text("ascii"), re.MULTILINE)
    except OSError:
        found = None
    return "direct" if found is not None and bytes_ > int(found[1]) << 10 else "mmap"
