"""A folder that keeps what was fetched, by the content of files.

A range is a file of its own, ``DIGEST/FIRST-LAST``, where DIGEST is the SHA-256 of what identifies
the file's content: a published digest, or a place and an ETag. It is written under another name and
renamed, so that it is there whole or not at all, whoever else writes it at the same time; and ends
in a checksum, so that what a disk has lost is fetched again.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parentage.support import WRITING, open_file, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import NDArray

_NAME = re.compile(r"(\d{1,20})-(\d{1,20})")
_CHECKED = 4


class Kept:
    """What was fetched before, and is kept for the next time."""

    def __init__(self, folder: str | PathLike[str], note: Callable[[str], None]) -> None:
        """Keep it in ``folder``; ``note`` is told, once, if that does not work."""
        self._folder, self._note = Path(folder), note
        self._known: dict[str, list[tuple[int, int]]] = {}
        self._lock = threading.Lock()
        self._is_writable = True

    def find(self, identity: str, start: int, end: int) -> NDArray[np.uint8] | None:
        """Return a range of a file if it was kept; ``None`` if not, or not whole any more."""
        folder = self._folder / _digest(identity)
        for first, last in self._ranges(folder):
            if first <= start and end <= last:
                found = _read(folder / f"{first}-{last}", last - first)
                if found is not None:
                    return found[start - first : end - first]
        return None

    def add(self, identity: str, start: int, data: NDArray[np.uint8]) -> None:
        """Keep a range; where that fails it is told, and nothing more is kept."""
        if not self._is_writable:
            return
        folder = self._folder / _digest(identity)
        end = start + len(data)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=WRITING, dir=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data.data)
                    file.write(zlib.crc32(data.data).to_bytes(_CHECKED, "little"))
                Path(name).replace(folder / f"{start}-{end}")
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            with self._lock:
                is_first, self._is_writable = self._is_writable, False
            if is_first:
                said = printable(f"{self._folder}: {error.strerror or error}")
                self._note(f"the cache can not be written, and is not any more: {said}")
            return
        with self._lock:
            if folder.name in self._known:
                self._known[folder.name].append((start, end))

    def _ranges(self, folder: Path) -> list[tuple[int, int]]:
        """Return the ranges that are there, as they were when the file was first asked for."""
        with self._lock:
            if folder.name not in self._known:
                try:
                    names = [each.name for each in folder.iterdir()]
                except OSError:
                    names = []
                found = [match for name in names if (match := _NAME.fullmatch(name))]
                self._known[folder.name] = [(int(each[1]), int(each[2])) for each in found]
            return list(self._known[folder.name])


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path, length: int) -> NDArray[np.uint8] | None:
    """Return what a file holds, if that is what was written."""
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size != length + _CHECKED:
                return None
            held = file.readall()
    except OSError:
        return None
    data = np.frombuffer(held, dtype=np.uint8)
    if len(data) != length + _CHECKED:
        return None
    said = int.from_bytes(held[length:], "little")
    return data[:length] if zlib.crc32(held[:length]) == said else None
