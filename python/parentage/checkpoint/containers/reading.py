"""Reads headers: a few bytes at a time, at places that a file names, and no more than it has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from parentage.checkpoint.containers.contents import File, wrong
from parentage.support import ReadError, open_file, printable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from parentage.support import CheckpointError

LEAST_AHEAD = 1 << 12
"""Bytes that are read at once where headers lie far from each other."""

MOST_AHEAD = 1 << 20
"""Bytes that are read at once where one thing follows the other."""

MOST_BYTES = 1 << 26
"""Bytes of a header that are held at once, at most."""

MOST_IN_ALL = 1 << 29
"""Bytes of a header, at most, of which no more than :data:`MOST_BYTES` are looked at together."""


class Reader:
    """A file whose header is read; to be closed.

    Raises
    ------
    ReadError
        If the system refuses to open or to read it.
    """

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``."""
        self.path = path
        try:
            self._file = open_file(path)
            stat = os.fstat(self._file.fileno())
        except (OSError, ValueError) as error:
            raise _refused(path, "open", error) from error
        self.size = stat.st_size
        self._modified_ns = stat.st_mtime_ns
        self._start, self._held, self._ahead = 0, b"", LEAST_AHEAD
        self._left = MOST_IN_ALL

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def as_file(self, name: str, metadata: tuple[tuple[str, str], ...] = ()) -> File:
        """Return the file, as it was when it was opened, under a name."""
        return File(self.path, name, self.size, self._modified_ns, metadata)

    def begins_with(self, magic: bytes) -> bool:
        """Return whether these are the first bytes of the file."""
        return self.size >= len(magic) and self.at(0, len(magic)) == magic

    def at(self, offset: int, count: int, of: str = "the header") -> bytes:
        """Return ``count`` bytes from ``offset`` on; ``of`` says what they are.

        Raises
        ------
        CheckpointError
            If the file ends before, or so many are never held.
        """
        if count > MOST_BYTES:
            raise self.wrong(f"{of} has {count:,} bytes; {MOST_BYTES:,} is the most", offset)
        self._left -= count
        if self._left < 0:
            raise self.wrong(f"its headers have more than {MOST_IN_ALL:,} bytes", offset)
        if offset < 0 or count < 0 or offset + count > self.size:
            raise self.wrong(
                f"{of} needs {count:,} bytes, and the file ends at byte {self.size:,}: it is cut "
                "short, or damaged",
                offset,
            )
        first = offset - self._start
        if first < 0 or first + count > len(self._held):
            self._fill(offset, count)
            first = 0
        found = self._held[first : first + count]
        if len(found) < count:
            raise ReadError(printable(f"{self.path}: the file became shorter while it was read"))
        return found

    def _fill(self, offset: int, count: int) -> None:
        """Hold bytes from ``offset`` on, more of them where reading goes straight on."""
        end = self._start + len(self._held)
        follows = self._held and self._start <= offset <= end
        self._ahead = min(2 * self._ahead, MOST_AHEAD) if follows else LEAST_AHEAD
        needed = min(max(count, self._ahead), self.size - offset)
        parts: list[bytes] = []
        try:
            self._file.seek(offset)
            while needed > 0 and (part := self._file.read(needed)):
                parts.append(part)
                needed -= len(part)
        except OSError as error:
            raise _refused(self.path, "read the header", error) from error
        self._start, self._held = offset, b"".join(parts)

    def wrong(
        self, message: str, offset: int | None = None, tensor: str | None = None
    ) -> CheckpointError:
        """Return the error of a file that is not what its format demands."""
        return wrong(self.path, message, tensor=tensor, offset=offset)


def _refused(path: Path, action: str, error: OSError | ValueError) -> ReadError:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return ReadError(printable(f"{path}: {action}: {why}"))
