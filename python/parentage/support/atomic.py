"""Files and folders that are there whole or not at all, and outlive a power failure."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from parentage.support.places import is_there

if TYPE_CHECKING:
    from pathlib import Path

WRITING = ".writing-"
"""How folders are called that hold files until they are whole."""


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
