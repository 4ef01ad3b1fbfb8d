"""Zip archives whose entries are stored as they are, so that their bytes can be read in place.

Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 (headers), 4.4 (fields) and 4.5.3 (zip64).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from parentage.checkpoint.containers.contents import MOST_TENSORS, quoted

if TYPE_CHECKING:
    from parentage.checkpoint.containers.reading import Reader

MAGIC = b"PK\x03\x04"

_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_COMMENT = 0xFFFF
"""Bytes that may follow the end of the directory, at most."""


class Entry(NamedTuple):
    """A file in an archive, as the directory at the archive's end has it."""

    name: str
    local: int
    """Byte that its local header begins at."""
    bytes: int
    method: int
    is_encrypted: bool


class Archive:
    """The entries of a zip archive, and where their bytes lie.

    Raises
    ------
    CheckpointError
        If it breaks the format, or two entries have one name.
    """

    def __init__(self, file: Reader) -> None:
        """Read the directory at the end of ``file``."""
        self.file = file
        self._directory, count, size = _directory(file)
        self.entries: dict[str, Entry] = {}
        at, end = self._directory, self._directory + size
        if count > MOST_TENSORS:
            raise file.wrong(f"the archive has {count:,} entries; {MOST_TENSORS:,} is the most", at)
        for _ in range(count):
            entry, after = self._entry(at, end)
            if entry.name in self.entries:
                raise file.wrong(f"the archive holds {quoted(entry.name)} twice", at)
            self.entries[entry.name] = entry
            at = after

    def _entry(self, at: int, end: int) -> tuple[Entry, int]:
        """Return the entry that the directory has at a byte, and where the next begins."""
        fields = _CENTRAL.unpack(self.file.at(at, _CENTRAL.size, "the directory of the archive"))
        magic, flags, method = fields[0], fields[3], fields[4]
        packed, plain, local = fields[8], fields[9], fields[16]
        name_size, extra_size, comment_size = fields[10], fields[11], fields[12]
        after = at + _CENTRAL.size + name_size + extra_size + comment_size
        if magic != b"PK\x01\x02" or after > end:
            raise self.file.wrong("the directory of the archive is damaged", at)
        raw = self.file.at(at + _CENTRAL.size, name_size + extra_size, "an entry's name")
        name = raw[:name_size].decode("utf-8" if flags & 0x800 else "cp437", "backslashreplace")
        wide = [value for value in (plain, packed, local) if value == 0xFFFFFFFF]
        if wide:
            found = iter(_wide(raw[name_size:], len(wide)))
            plain, packed, local = (
                next(found, value) if value == 0xFFFFFFFF else value
                for value in (plain, packed, local)
            )
        if method == 0 and plain != packed:
            raise self.file.wrong(
                f"{quoted(name)} is stored as it is, and has {plain:,} bytes in {packed:,}", at
            )
        return Entry(name, local, plain, method, bool(flags & 1)), after

    def place(self, name: str) -> tuple[int, int]:
        """Return the first byte of an entry, and the byte past its last, in the archive's file.

        The local header says where it begins: the directory's fields may be of another length.

        Raises
        ------
        CheckpointError
            If it is compressed or encrypted, so that its bytes lie nowhere, or the local header is
            not the directory's.
        """
        entry = self.entries[name]
        file, at = self.file, entry.local
        if entry.is_encrypted or entry.method != 0:
            how = "encrypted" if entry.is_encrypted else "compressed"
            raise file.wrong(
                f"{quoted(name)} is {how} in the archive, so that its numbers can not be read in "
                "place: store it as it is (zip -0)",
                at,
            )
        fields = _LOCAL.unpack(file.at(at, _LOCAL.size, "a local header"))
        begin = at + _LOCAL.size + fields[9] + fields[10]
        raw = file.at(at + _LOCAL.size, fields[9], "a local header")
        text = raw.decode("utf-8" if fields[2] & 0x800 else "cp437", "backslashreplace")
        if fields[0] != MAGIC or fields[3] != 0 or text != name:
            raise file.wrong(f"this is not the local header of {quoted(name)}", at)
        if begin + entry.bytes > self._directory:
            raise file.wrong(
                f"{quoted(name)} ends at byte {begin + entry.bytes:,}, in the directory of the "
                "archive",
                begin,
            )
        return begin, begin + entry.bytes


def _wide(extra: bytes, count: int) -> list[int]:
    """Return the numbers of 64 bits of an entry's extra field, ``count`` at most."""
    at = 0
    while at + 4 <= len(extra):
        tag, size = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            inside = extra[at + 4 : at + 4 + size]
            return [*struct.unpack_from(f"<{min(count, len(inside) // 8)}Q", inside)]
        at += 4 + size
    return []


def _directory(file: Reader) -> tuple[int, int, int]:
    """Return where the directory begins, how many entries it has, and its bytes."""
    tail = min(file.size, _END.size + _COMMENT)
    raw = file.at(file.size - tail, tail, "the end of the archive")
    found = raw.rfind(b"PK\x05\x06", 0, max(0, tail - _END.size + 4))
    if found < 0:
        raise file.wrong("this is a zip archive without its directory: it is cut short", file.size)
    end = file.size - tail + found
    _, disk, _, _, count, size, begin, _ = _END.unpack_from(raw, found)
    if end >= _LOCATOR.size:
        locator = _LOCATOR.unpack(file.at(end - _LOCATOR.size, _LOCATOR.size))
        if locator[0] == b"PK\x06\x07":
            end = locator[2]
            fields = _END64.unpack(file.at(end, _END64.size, "the end of the archive"))
            if fields[0] != b"PK\x06\x06":
                raise file.wrong("the end of the archive is damaged", end)
            disk, count, size, begin = fields[4], fields[7], fields[8], fields[9]
    if disk not in (0, 0xFFFF):
        raise file.wrong("the archive is one of several parts", end)
    if begin + size > end:
        raise file.wrong(f"the directory of the archive ends behind byte {end:,}", begin)
    return begin, count, size
