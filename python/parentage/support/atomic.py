"""Files and folders that are there whole or not at all, and outlive a power failure."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from parentage.support.errors import WriteError
from parentage.support.places import is_file, is_folder, is_there

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

WRITING = ".writing-"
"""How folders are called that hold files until they are whole."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a folder for as long as this process writes in it, where the system can.

    What a process that was killed leaves is not locked any more: :func:`sweep` tells it by that.
    """
    handle = _locked(folder)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def sweep(folder: Path, name: re.Pattern[str]) -> list[Path]:
    """Remove the folders in ``folder`` that writers left when they were killed, and return them.

    Those are the ones whose whole names match, that no process holds, and that are no links. What
    can not be locked, or removed, is left as it is.
    """
    try:
        found = [each for each in folder.iterdir() if name.fullmatch(each.name)]
    except OSError:
        return []
    removed = []
    for each in sorted(found):
        if each.is_symlink() or not is_folder(each):
            continue
        handle = _locked(each)
        if handle is None:
            continue
        try:
            shutil.rmtree(each, ignore_errors=True)
        finally:
            os.close(handle)
        if not is_there(each):
            removed.append(each)
    return removed


def _locked(folder: Path) -> int | None:
    """Return a handle that holds the lock of a folder; ``None`` if it can not be had."""
    if sys.platform == "win32":
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all; what is no regular file is written to.

    Raises
    ------
    WriteError
        If the system refuses to write.
    """
    try:
        if is_there(path) and not is_file(path):
            path.write_bytes(data)
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=WRITING)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)  # noqa: PTH101
            os.replace(name, path)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise
    except OSError as error:
        raise WriteError(f"{path}: write: {error.strerror or error}") from error


def sync_file(path: Path) -> None:
    """Make a file outlive a power failure before its name promises that it is whole."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last, where system and file system can."""
    # Not every system and file system can: a name may then be lost with the power.
    with suppress(OSError):
        sync_folder_strictly(folder)


def sync_folder_strictly(folder: Path) -> None:
    """Make the names in a folder last, where the system can open one."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def nearest_existing(target: Path) -> Path:
    """Return the folder that the target is made in, or the nearest one above that there is."""
    existing = target.parent
    while not is_there(existing) and existing != existing.parent:
        existing = existing.parent
    return existing
