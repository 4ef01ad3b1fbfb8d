"""Checkpoints on disk: a folder of files that hold tensors, one such file, or an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.checkpoint.containers.folders import contents_at
from parentage.checkpoint.containers.gguf import PART
from parentage.checkpoint.sources.source import Opened
from parentage.support import collection_paused, is_folder

if TYPE_CHECKING:
    from os import PathLike

    from parentage.checkpoint.network.network import Network

_USUAL = {
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.onnx",
}
"""Files that say nothing by their names."""


def serves(given: str | PathLike[str]) -> bool:  # noqa: ARG001
    """Return whether it is a path: everything is that no other kind of place takes."""
    return True


def open(given: str | PathLike[str], network: Network | None = None) -> Opened:  # noqa: A001, ARG001
    """Read the headers of the checkpoint at a path."""
    path = Path(given)
    with collection_paused():
        contents = contents_at(path)
    # What is safetensors, and what can not be read, is told by the core.
    if contents is None:
        return Opened(path, name_of(path), _core.Checkpoint(path))
    core = contents.core(path)
    return Opened(path, name_of(path), core, contents.encodings(), contents.choices)


def name_of(path: Path) -> str:
    """Return the name of a checkpoint's folder or file; of a Hugging Face cache entry, its own."""
    # A file's own link is not followed: in a Hugging Face cache it leads to a hash.
    if not is_folder(path):
        if path.name not in _USUAL:
            part = PART.fullmatch(path.name)
            return path.stem.removesuffix(".sketch") if part is None else part["name"]
        path = path.parent
    folder = path.resolve()
    # A Hugging Face cache entry: models--org--name/snapshots/revision.
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name
