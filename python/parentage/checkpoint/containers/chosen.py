"""Chooses the format of a file by what is in it, never by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from parentage import _core
from parentage.checkpoint.containers import gguf, numpy_files, onnx, torch_legacy, torch_zip
from parentage.checkpoint.containers.contents import Contents, File, Stored
from parentage.checkpoint.containers.foreign import refused
from parentage.checkpoint.containers.reading import Reader
from parentage.checkpoint.containers.zip_archive import MAGIC as ZIP

if TYPE_CHECKING:
    from pathlib import Path


class Container(Protocol):
    """A format of files that hold tensors."""

    def serves(self, file: Reader) -> bool:
        """Return whether a file is of this format.

        Raises
        ------
        CheckpointError
            If it begins as such a file does, and is damaged.
        """

    def read(self, file: Reader) -> Contents:
        """Return what a file holds.

        Raises
        ------
        CheckpointError
            If it breaks the format, with tensor and byte offset.
        """


CONTAINERS: tuple[Container, ...] = (gguf, torch_zip, torch_legacy, numpy_files, onnx)
"""In the order in which they are asked. What is of none of them is left to the core: safetensors,
and what it knows by sight."""


def contents_of_file(path: Path) -> Contents | None:
    """Return what a file holds; ``None`` if it is safetensors, or of no format that is read here.

    Raises
    ------
    CheckpointError
        If it is damaged, a zip archive that neither PyTorch nor NumPy wrote, or a pickle or tar
        archive of another kind.
    ReadError
        If it can not be read.
    """
    with Reader(path) as file:
        if _is_safetensors(file):
            return None
        for container in CONTAINERS:
            if container.serves(file):
                return container.read(file)
        if file.begins_with(ZIP):
            raise file.wrong(
                "this is a zip archive, but neither PyTorch's, which has a data.pkl in one folder, "
                "nor NumPy's, which has .npy files alone"
            )
        why = refused(file)
        if why is not None:
            raise file.wrong(why)
    return None


def is_container(path: Path) -> bool:
    """Return whether a file is of one of :data:`CONTAINERS`, damaged or not."""
    with Reader(path) as file:
        if _is_safetensors(file):
            return False
        try:
            return any(container.serves(file) for container in CONTAINERS)
        except _core.CheckpointError:
            return True


def contents_in_core(path: Path) -> Contents:
    """Return what the core says that a file or folder of safetensors holds.

    Raises
    ------
    CheckpointError
        If it is none, or damaged.
    ReadError
        If it can not be read.
    """
    core = _core.Checkpoint(path)
    files = tuple(
        File(path, name, size, -1 if modified is None else modified, tuple(metadata))
        for path, name, size, _, modified, metadata in core.shards()
    )
    tensors = tuple(
        Stored(name, dtype, shape, begin, end, shard)
        for _, name, dtype, shape, shard, begin, end in core.tensors()
    )
    return Contents(files, tensors, (), core.index)


def _is_safetensors(file: Reader) -> bool:
    """Return whether a file begins as safetensors do: the length of a header, and the header."""
    if file.size < 9:
        return False
    first = file.at(0, 9)
    return first[8:] == b"{" and int.from_bytes(first[:8], "little") <= file.size - 8
