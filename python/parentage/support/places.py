"""What is at a path, asked in a way that no name makes an error of."""

from __future__ import annotations

import os


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
