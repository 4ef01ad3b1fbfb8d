"""Files that a header names: none of them lies outside its folder."""

from __future__ import annotations

import os
from pathlib import Path

from parentage.checkpoint.containers.contents import quoted, wrong
from parentage.support import is_there


def inside(asked_by: Path, name: str, tensor: str | None = None) -> Path:
    """Return the path of the file ``name`` in the folder of the file that asks for it.

    The one way out that is allowed is that of a Hugging Face cache, where files of
    ``snapshots/REVISION`` are links to ``blobs``.

    Raises
    ------
    CheckpointError
        If the name is no plain path, leads out of the folder, or is not there.
    """
    parts = name.split("/")
    is_plain = (
        name.isprintable()
        and not any(each in ("", ".", "..") for each in parts)
        and "\\" not in name
        and ":" not in parts[0]
    )
    if not is_plain:
        raise wrong(asked_by, f"it names the file {quoted(name)}, no plain path", tensor=tensor)
    folder = asked_by.parent
    path = folder / name
    if not is_there(path):
        message = (
            f"it names the file {quoted(name)}, which does not exist: is the download complete?"
        )
        raise wrong(asked_by, message, tensor=tensor)
    if not is_inside(folder, path):
        message = f"it names the file {quoted(name)}, a link out of the folder"
        raise wrong(asked_by, message, tensor=tensor)
    return path


def is_inside(folder: Path, path: Path) -> bool:
    """Return whether a path leads to what is below a folder, or in the blobs of its hub's cache."""
    home, target = Path(os.path.realpath(folder)), Path(os.path.realpath(path))
    return home in target.parents or _is_blob(home, target)


def _is_blob(home: Path, target: Path) -> bool:
    """Return whether a file lies in the blobs of the cache entry whose snapshot holds a folder."""
    for each in (home, *home.parents):
        if each.parent.name == "snapshots":
            return target.parent == each.parent.parent / "blobs"
    return False
