"""GGUF, versions 2 and 3: keys with values, then tensors with their types and offsets, then bytes.

Format: ``docs/gguf.md`` of ggml-org/ggml; blocks of types: ``GGML_QUANT_SIZES`` in gguf-py's
``constants.py``. Names are those of the file; shapes are reversed, as ggml has the fastest
dimension first.
"""

from __future__ import annotations

import re
import struct
from math import prod
from typing import TYPE_CHECKING

from parentage.checkpoint.containers.contents import (
    MOST_TENSORS,
    Contents,
    Stored,
    quoted,
    require_apart,
)
from parentage.checkpoint.encodings import Encoding

if TYPE_CHECKING:
    from parentage.checkpoint.containers.reading import Reader

MAGIC = b"GGUF"

PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
"""Names of files that are parts of one model, as llama.cpp's ``gguf-split`` gives them."""

PLAIN = {
    0: ("F32", 4),
    1: ("F16", 2),
    24: ("I8", 1),
    25: ("I16", 2),
    26: ("I32", 4),
    27: ("I64", 8),
    28: ("F64", 8),
    30: ("BF16", 2),
}
"""Types that are numbers: dtype, and bytes of an element."""

BLOCKS = {
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
"""Types that are codes: name, elements of a block, and bytes of it."""

_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
"""Types of values that have one size."""

_STRING, _ARRAY = 8, 9

_MOST_KEYS = 1 << 14
_MOST_NESTED = 4
_MOST_TEXT = 1 << 24
_MOST_NAME = 1 << 12
_MOST_DIMENSIONS = 4
_SHOWN = 512
"""Characters of a text that is kept as metadata, of all but chat templates."""

_TEMPLATES = "tokenizer.chat_template"
"""What keys of chat templates begin with."""

_MOST_TEMPLATE = 1 << 20
"""Characters of a chat template that are kept."""


def serves(file: Reader) -> bool:
    """Return whether a file begins as GGUF does."""
    return file.size >= len(MAGIC) and file.at(0, len(MAGIC)) == MAGIC


def read(file: Reader) -> Contents:
    """Return the tensors of one file, which may be a part of a model.

    Raises
    ------
    CheckpointError
        If it is damaged, of another version, big-endian, or has a tensor of an unknown type.
    """
    header = _Header(file)
    version = header.number(4)
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        said = (
            "its numbers are big-endian" if swapped in (1, 2, 3) else f"it is version {version:,}"
        )
        raise file.wrong(f"this is GGUF, but {said}; versions 2 and 3, little-endian, are read", 4)
    tensors, keys = header.number(8), header.number(8)
    if not tensors:
        raise file.wrong("this is a GGUF file without tensors", 8)
    if tensors > MOST_TENSORS or keys > _MOST_KEYS:
        raise file.wrong(f"it has {tensors:,} tensors and {keys:,} keys", 8)
    metadata: dict[str, str] = {}
    for _ in range(keys):
        at = header.at
        key = header.text(_MOST_NAME)
        if key in metadata:
            raise file.wrong(f"the key {quoted(key)} is there twice", at)
        shown = _MOST_TEMPLATE if key.startswith(_TEMPLATES) else _SHOWN
        metadata[key] = header.value(header.number(4), shown)
    alignment = _alignment(file, metadata)
    found = [header.tensor() for _ in range(tensors)]
    start = -(-header.at // alignment) * alignment
    stored = [_stored(file, each, start, alignment) for each in found]
    require_apart(file.path, [(each.name, each.begin, each.end) for each in stored])
    return Contents((file.as_file(file.path.name, tuple(metadata.items())),), tuple(stored))


def _alignment(file: Reader, metadata: dict[str, str]) -> int:
    said = metadata.get("general.alignment", "32")
    if not said.isdecimal() or not 0 < int(said) < 1 << 20 or int(said) % 8:
        raise file.wrong(f"general.alignment is {quoted(said)}, which is no multiple of 8")
    return int(said)


class _Header:
    """Reads a header from its fifth byte on."""

    def __init__(self, file: Reader) -> None:
        self.file, self.at = file, len(MAGIC)

    def take(self, count: int) -> bytes:
        found = self.file.at(self.at, count, "the header of this GGUF file")
        self.at += count
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self, most: int) -> str:
        at, size = self.at, self.number(8)
        if size > most:
            raise self.file.wrong(f"a text has {size:,} bytes; {most:,} is the most", at)
        return self.take(size).decode("utf-8", "backslashreplace")

    def value(self, kind: int, shown: int) -> str:
        """Return a value as text; an array as its length, a text longer than ``shown`` cut."""
        if kind == _ARRAY:
            inside, count = self.skip_array(0)
            return f"{count} values of type {inside}"
        if kind == _STRING:
            found = self.text(_MOST_TEXT)
            return found if len(found) <= shown else f"{found[:shown]}..."
        if kind not in _SCALARS:
            raise self.file.wrong(f"a value has the unknown type {kind:,}", self.at - 4)
        return str(_SCALARS[kind].unpack(self.take(_SCALARS[kind].size))[0])

    def skip_array(self, depth: int) -> tuple[int, int]:
        """Go past an array, and return the type of its values and how many it has."""
        at, kind, count = self.at, self.number(4), self.number(8)
        least = _SCALARS[kind].size if kind in _SCALARS else 12 if kind == _ARRAY else 8
        if self.at + count * least > self.file.size:
            raise self.file.wrong(f"an array of {count:,} values is longer than the file", at)
        if kind in _SCALARS:
            self.at += count * least
        elif kind == _STRING:
            for _ in range(count):
                size = int.from_bytes(self.file.at(self.at, 8), "little")
                self.at += 8 + size
        elif kind == _ARRAY and depth < _MOST_NESTED:
            for _ in range(count):
                self.skip_array(depth + 1)
        else:
            raise self.file.wrong(f"an array has values of the unknown type {kind:,}", at)
        if self.at > self.file.size:
            raise self.file.wrong("an array is longer than the file", at)
        return kind, count

    def tensor(self) -> tuple[str, tuple[int, ...], int, int, int]:
        """Return name, shape, type, offset, and where the header says all that."""
        at = self.at
        name = self.text(_MOST_NAME)
        count = self.number(4)
        if count > _MOST_DIMENSIONS:
            raise self.file.wrong(f"it has {count:,} dimensions; 4 is the most", at, name)
        sizes = struct.unpack(f"<{count}Q", self.take(8 * count))
        return name, tuple(reversed(sizes)), self.number(4), self.number(8), at


def _stored(
    file: Reader, described: tuple[str, tuple[int, ...], int, int, int], start: int, alignment: int
) -> Stored:
    """Return where a tensor's bytes lie, given the first byte of all."""
    name, shape, kind, offset, at = described
    begin = start + offset
    if offset % alignment:
        raise file.wrong(f"its offset {offset:,} is no multiple of {alignment}", at, name)
    elements = prod(shape)
    if kind in PLAIN:
        dtype, width = PLAIN[kind]
        stored = Stored(name, dtype, shape, begin, begin + elements * width)
    elif kind in BLOCKS:
        called, block, size = BLOCKS[kind]
        if not shape or shape[-1] % block:
            message = f"its rows do not consist of blocks of {block} elements, as {called} has them"
            raise file.wrong(message, at, name)
        count = elements // block * size
        encoding = Encoding(called, shape)
        stored = Stored(name, "U8", (count,), begin, begin + count, encoding=encoding)
    else:
        raise file.wrong(f"its type {kind:,} is none that is known here", at, name)
    if stored.end > file.size:
        raise file.wrong(
            f"it ends at byte {stored.end:,}, and the file at byte {file.size:,}: the file is cut "
            "short",
            begin,
            name,
        )
    return stored
