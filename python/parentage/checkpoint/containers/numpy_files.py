"""NumPy's files: ``.npy`` holds one array, ``.npz`` is a zip archive of them.

Format: ``numpy/lib/format.py``. The header is text that a regular expression reads, not Python.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from parentage.checkpoint.containers.contents import (
    MOST_DIMENSIONS,
    Contents,
    Stored,
    of_another_size,
    quoted,
    require_apart,
    size_of,
)
from parentage.checkpoint.containers.zip_archive import MAGIC as ZIP
from parentage.checkpoint.containers.zip_archive import Archive
from parentage.checkpoint.encodings import Encoding

if TYPE_CHECKING:
    from parentage.checkpoint.containers.reading import Reader

MAGIC = b"\x93NUMPY"

_HEADER = re.compile(
    r"\{\s*'descr':\s*(?P<descr>'[^']{1,16}'|\[.*\]),\s*'fortran_order':\s*(?P<fortran>True|False),"
    r"\s*'shape':\s*\((?P<shape>[0-9, ]*)\)\s*,?\s*\}\s*",
    re.ASCII | re.DOTALL,
)
_MOST_HEADER = 1 << 16
_DTYPES = {
    "<f8": "F64",
    "<f4": "F32",
    "<f2": "F16",
    "<i8": "I64",
    "<i4": "I32",
    "<i2": "I16",
    "|i1": "I8",
    "<u8": "U64",
    "<u4": "U32",
    "<u2": "U16",
    "|u1": "U8",
    "|b1": "BOOL",
    "<c8": "C64",
}


def serves(file: Reader) -> bool:
    """Return whether a file is an array of NumPy's, or an archive of nothing else."""
    if file.begins_with(MAGIC):
        return True
    if not file.begins_with(ZIP):
        return False
    names = Archive(file).entries
    return bool(names) and all(name.endswith(".npy") for name in names)


def read(file: Reader) -> Contents:
    """Return the arrays that a file holds, an archive's by the names of its entries.

    Raises
    ------
    CheckpointError
        If it is damaged or compressed.
    """
    if file.begins_with(MAGIC):
        tensors = [_array(file, PurePath(file.path.name).stem, 0, file.size)]
    else:
        archive = Archive(file)
        places = {name: archive.place(name) for name in archive.entries}
        require_apart(file.path, [(name, *place) for name, place in places.items()])
        tensors = [
            _array(file, name.removesuffix(".npy"), *place) for name, place in places.items()
        ]
    return Contents((file.as_file(file.path.name),), tuple(tensors))


def _array(file: Reader, name: str, begin: int, end: int) -> Stored:
    """Return the array that lies in a range of bytes, its header included."""
    raw = file.at(begin, min(12, end - begin), "the header of an array")
    if len(raw) < 12 or not raw.startswith(MAGIC) or raw[6] not in (1, 2, 3):
        raise file.wrong("this is no array of NumPy's", begin, name)
    wide = 4 if raw[6] > 1 else 2
    size = int.from_bytes(raw[8 : 8 + wide], "little")
    data = begin + 8 + wide + size
    if size > _MOST_HEADER or data > end:
        raise file.wrong(f"the header of the array has {size:,} bytes", begin, name)
    text = file.at(data - size, size, "the header of an array").decode("latin-1")
    found = _HEADER.fullmatch(text)
    if found is None:
        raise file.wrong(f"the header of the array is {quoted(text)}", begin, name)
    descr = found["descr"].strip("'")
    sizes = [each.strip() for each in found["shape"].split(",")]
    if any(len(each) > 18 for each in sizes):
        raise file.wrong("the shape of the array is too large", begin, name)
    shape = tuple(int(each) for each in sizes if each.isdecimal())
    if len(shape) > MOST_DIMENSIONS:
        raise file.wrong(f"the array has {len(shape)} dimensions", begin, name)
    dtype = _DTYPES.get(descr)
    if dtype is not None and data + size_of(shape, dtype) != end:
        has = f"the array has {end - data:,} bytes"
        raise file.wrong(of_another_size(has, shape, dtype), data, name)
    is_plain = found["fortran"] == "False" or sum(each > 1 for each in shape) < 2
    if dtype is None:
        encoding = Encoding(f"numpy's {descr[:32]}", shape)
    elif not is_plain:
        encoding = Encoding("columns one after the other", shape)
    else:
        return Stored(name, dtype, shape, data, end)
    return Stored.as_bytes(name, data, end, encoding)
