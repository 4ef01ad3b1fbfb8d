"""Checkpoints on disk: a folder of safetensors files, one such file, or an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.checkpoint.sources.source import Opened
from parentage.support import is_folder

if TYPE_CHECKING:
    from os import PathLike


def serves(given: str | PathLike[str]) -> bool:  # noqa: ARG001
    """Return whether it is a path: everything is that no other kind of place takes."""
    return True


def open(given: str | PathLike[str]) -> Opened:  # noqa: A001
    """Read the headers of the checkpoint at a path."""
    path = Path(given)
    # What can not be read is told by the core, before anything else is asked of the path.
    core = _core.Checkpoint(path)
    return Opened(path, name_of(path), core)


def name_of(path: Path) -> str:
    """Return the name of a checkpoint's folder or file; of a Hugging Face cache entry, its own."""
    # A file's own link is not followed: in a Hugging Face cache it leads to a hash.
    if not is_folder(path):
        if path.name not in {"model.safetensors", "model.safetensors.index.json"}:
            return path.stem
        path = path.parent
    folder = path.resolve()
    # A Hugging Face cache entry: models--org--name/snapshots/revision.
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name
