"""What is at a path, asked in a way that no name makes an error of and that waits for nothing."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO


def is_there(path: str | os.PathLike[str]) -> bool:
    """Return whether something is at a path that can be seen.

    Names that are too long for the system, and places that may not be looked at, are not there:
    ``pathlib.Path.exists`` raises for them, by version of Python.

    >>> is_there("."), is_there("x" * 5000), is_there("nul\\0")
    (True, False, False)
    """
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder is at a path, as :func:`is_there`.

    >>> is_folder("."), is_folder("x" * 300)
    (True, False)
    """
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a regular file is at a path, as :func:`is_there`.

    >>> is_file("."), is_file("x" * 300)
    (False, False)
    """
    return os.path.isfile(path)  # noqa: PTH113


def open_file(path: str | os.PathLike[str]) -> FileIO:
    """Open a regular file, unbuffered, to read its bytes.

    To open a pipe that nobody writes to would wait for ever.

    Raises
    ------
    OSError
        If the system refuses, or it is no regular file.
    """

    def at_once(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    file = open(path, "rb", buffering=0, opener=at_once)  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "it is no regular file", str(path))
