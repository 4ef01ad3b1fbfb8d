"""Which files of a place that lists names are a checkpoint, and the core's reading of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from parentage import _core
from parentage.checkpoint.folder import ENDINGS
from parentage.checkpoint.network.ranged import RangedFile
from parentage.support import CheckpointError, ReadError, collection_paused, listed, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


INDEX = ".safetensors.index.json"
_USUAL = "model.safetensors.index.json"
_MOST_INDEX = 64 << 20
_SHOWN = 4

MOST_SMALL = 1 << 26
"""Bytes of a file beside the weights that may be fetched."""

MOST_FILES = 256
"""Files beside them that may be."""


class Chosen(NamedTuple):
    """What is read of the files of a folder."""

    index: str | None  # type: ignore[assignment]  # no files are asked for tuple.index
    """The index that names the files, if there is one."""
    files: tuple[str, ...]
    """The files, if there is none."""


def choose(where: str, names: Iterable[str]) -> Chosen:
    """Return which files of a folder are its checkpoint, as the core does for a folder on disk.

    Raises
    ------
    CheckpointError
        If none is, or several may be.

    Examples
    --------
    >>> choose("hf://org/name", ["config.json", "model.safetensors"]).files
    ('model.safetensors',)
    """
    names = sorted(each for each in names if "/" not in each and not each.startswith("."))
    indexes = [each for each in names if each.endswith(INDEX)]
    if _USUAL in indexes:
        indexes = [_USUAL]
    if len(indexes) > 1:
        raise CheckpointError(
            f"{where}: the folder holds several indexes: {_some(indexes)}; name one of them instead"
        )
    if indexes:
        return Chosen(indexes[0], ())
    files = tuple(each for each in names if each.endswith(".safetensors"))
    if files:
        return Chosen(None, files)
    others = [each for each in names if each.endswith(ENDINGS)]
    raise CheckpointError(
        f"{where}: there is no .safetensors file"
        + (
            f"; it holds {_some(others)}, which are read from disk alone: download it first"
            if others
            else ""
        )
    )


def _some(names: Sequence[str]) -> str:
    shown = [printable(each) for each in names[:_SHOWN]]
    return listed([*shown, *([f"{len(names) - _SHOWN:,} more"] if len(names) > _SHOWN else [])])


def read_headers(
    where: str,
    chosen: Chosen,
    text_of: Callable[[str], bytes],
    place_of: Callable[[str], RangedFile],
) -> _core.Checkpoint:
    """Return the core's checkpoint of files that are fetched.

    ``text_of`` returns a small file, ``place_of`` what fetches a large one, by its name.

    Raises
    ------
    CheckpointError
        If a header breaks the format.
    ReadError
        If one can not be fetched.
    """
    index = None
    files = chosen.files
    if chosen.index is not None:
        text = text_of(chosen.index)
        index = (f"{where}/{chosen.index}", text)
        files = tuple(_core.index_files(*index))
    opened = [(name, place_of(name)) for name in files]
    with collection_paused():
        return _core.Checkpoint.remote(
            where,
            [(f"{where}/{name}", name, each.place.bytes, each) for name, each in opened],
            index,
        )


def small_files(sizes: Mapping[str, int], weights: Iterable[str]) -> list[str]:
    """Return the files that are no weights, and small enough to be fetched whole, by name.

    >>> small_files({"README.md": 10, "model.safetensors": 20, "x.bin": 3}, ["model.safetensors"])
    ['README.md']
    """
    read = set(weights)
    found = [
        name
        for name, size in sorted(sizes.items())
        if name not in read and size <= MOST_SMALL and not name.endswith((".safetensors", *ENDINGS))
    ]
    return found[:MOST_FILES]


def require_text(where: str, size: int) -> None:
    """Refuse a file that is too long to be an index.

    Raises
    ------
    ReadError
        If it is.
    """
    if size > _MOST_INDEX:
        raise ReadError(f"{where}: {size:,} bytes are too many for an index or a configuration")
