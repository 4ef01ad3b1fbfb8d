"""PyTorch's files of before the archives: pickles one behind the other, then the storages.

Format (``torch/serialization.py``, ``_legacy_save`` and ``_legacy_load``): the pickles of a magic
number, the protocol's version, the system's properties, the object, and the list of the keys of its
storages; then of each storage, in the order of that list, its number of elements as eight bytes,
and the elements. Nothing is padded: tensors begin at any byte.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from parentage.checkpoint.containers.contents import MOST_TENSORS, Contents, quoted
from parentage.checkpoint.containers.pickles import CutShortError, first_pickle
from parentage.checkpoint.containers.reading import MOST_BYTES
from parentage.checkpoint.containers.torch_objects import stored_in, width_of

if TYPE_CHECKING:
    from parentage.checkpoint.containers.pickles import Pickle, Storage
    from parentage.checkpoint.containers.reading import Reader

PROTOCOL = 1001
"""The version of the format; there is no other."""

_HEAD = re.compile(rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL)
"""The pickle of 0x1950a86a20f9469cfc6c, of protocols 2 to 5."""

_LONGEST_HEAD = 24
_AT_FIRST = 1 << 16
"""Bytes of a pickle that are looked at first; four times as many as long as it is longer."""

_COUNT = 8
"""Bytes before a storage that say how many elements it has."""


def serves(file: Reader) -> bool:
    """Return whether a file begins with the pickle of torch's magic number."""
    return _HEAD.match(file.at(0, min(file.size, _LONGEST_HEAD))) is not None


def read(file: Reader) -> Contents:
    """Return the tensors of the model that a file holds.

    Raises
    ------
    CheckpointError
        If it is damaged or big-endian, or its pickle asks for what is not known.
    """
    at = 0
    for _ in range(3):
        head = _pickle(file, at, "the head")
        if at and type(head.value) is int and head.value != PROTOCOL:
            raise file.wrong(f"its protocol is {head.value}, and {PROTOCOL} is known", at)
        before, at = at, at + head.bytes
    _require_little_endian(file, head.value, before)
    found, begin = _pickle(file, at, "the pickle"), at
    at += found.bytes
    keys = _pickle(file, at, "the list of storages")
    places, end = _places(file, keys.value, found.storages, at, at + keys.bytes)

    def place(storage: Storage, name: str) -> tuple[int, int]:
        if storage.key not in places:
            raise file.wrong(f"its storage {quoted(storage.key)} is not in the file", tensor=name)
        return places[storage.key]

    tensors, choices = stored_in(file, found, begin, place)
    if end < file.size:
        choices += (f"the {file.size - end:,} bytes behind the last storage are not read",)
    return Contents((file.as_file(file.path.name),), tensors, choices)


def _pickle(file: Reader, at: int, of: str) -> Pickle:
    """Return the pickle that begins at a byte; as many bytes are read as it has, about."""
    count = _AT_FIRST
    while True:
        left = file.size - at
        count = min(count, left, MOST_BYTES)
        try:
            return first_pickle(file.at(at, count, of), file.path, at, is_whole=count == left)
        except CutShortError as error:
            if count == MOST_BYTES:
                message = f"{of} has more than {MOST_BYTES:,} bytes, the most that are read"
                raise file.wrong(message, at) from error
        count *= 4


def _require_little_endian(file: Reader, system: object, at: int) -> None:
    """Make sure that numbers are stored with their lowest byte first."""
    little = system.get("little_endian") if isinstance(system, dict) else None
    if little is not True:
        said = "big" if little is False else "none"
        raise file.wrong(
            f"its numbers are stored in the byte order {quoted(said)}; little is read here", at
        )


def _places(
    file: Reader, keys: object, storages: dict[str, Storage], at: int, begin: int
) -> tuple[dict[str, tuple[int, int]], int]:
    """Return where each storage's bytes begin and end, and where the last one ends.

    ``at`` is where the list of their keys begins, ``begin`` where they do.
    """
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise file.wrong("the list of storages is no list of texts", at)
    if len(keys) > MOST_TENSORS:
        raise file.wrong(f"it holds {len(keys):,} storages; {MOST_TENSORS:,} is the most", at)
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        if key in places:
            raise file.wrong(f"the list of storages has {quoted(key)} twice", at)
        if key not in storages:
            raise file.wrong(f"the pickle says nothing of the storage {quoted(key)}", at)
        storage = storages[key]
        count = int.from_bytes(file.at(begin, _COUNT, "the size of a storage"), "little")
        if count != storage.elements:
            raise file.wrong(
                f"the storage {quoted(key)} has {count:,} elements, and the pickle says "
                f"{storage.elements:,}",
                begin,
            )
        first = begin + _COUNT
        end = first + count * width_of(storage.dtype)
        if end > file.size:
            raise file.wrong(
                f"the storage {quoted(key)} ends at byte {end:,}, and the file at byte "
                f"{file.size:,}: it is cut short, or damaged",
                first,
            )
        places[key] = first, end
        begin = end
    return places, begin
