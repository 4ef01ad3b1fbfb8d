"""Entries of zip archives lie where their local headers say, or the archive is refused."""

import struct
import zipfile

import pytest
from common.containers import write_zip
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.containers.reading import Reader
from parentage.checkpoint.containers.zip_archive import Archive
from parentage.support import CheckpointError

ENTRIES = {"a/one": b"first", "a/two": bytes(range(100)), "a/none": b""}


def test_entries_lie_where_the_local_header_says(tmp_path):
    path = write_zip(tmp_path / "a.zip", ENTRIES)
    raw = path.read_bytes()
    with Reader(path) as file:
        archive = Archive(file)
        for name, data in ENTRIES.items():
            begin, end = archive.place(name)
            assert raw[begin:end] == data


def test_an_archive_of_64_bits_is_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("x", "w", force_zip64=True) as out:
        out.write(b"numbers")
    raw = bytearray(path.read_bytes())
    # The directory as it is beyond 4 GiB: sizes and offset in the extra field.
    at = raw.rindex(b"PK\x01\x02")
    name = raw[at + 46 : at + 47]
    extra = struct.pack("<2H3Q", 1, 24, 7, 7, 0)
    entry = bytearray(raw[at : at + 46])
    entry[20:28] = b"\xff" * 8
    entry[30:32] = struct.pack("<H", len(extra))
    entry[42:46] = b"\xff" * 4
    directory = bytes(entry) + bytes(name) + extra
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), at)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at + len(directory), 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(bytes(raw[:at]) + directory + end64 + locator + end)
    with Reader(path) as file:
        begin, last = Archive(file).place("x")
        assert path.read_bytes()[begin:last] == b"numbers"


def wrong(path, name="a/two"):
    with Reader(path) as file, pytest.raises(CheckpointError) as raised:
        Archive(file).place(name)
    return str(raised.value)


def test_a_compressed_entry_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", ENTRIES, zipfile.ZIP_DEFLATED)
    assert '"a/two" is compressed' in wrong(path)


def test_a_local_header_of_another_name_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", ENTRIES)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"a/two", b"a/too", 1))
    assert 'not the local header of "a/two"' in wrong(path)


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/one": b"1", "a/two": b"2"})
    path.write_bytes(path.read_bytes().replace(b"a/one", b"a/two"))
    assert 'holds "a/two" twice' in wrong(path)


def test_entries_that_reach_into_the_directory_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/two": b"12345678"})
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 20 : at + 28] = struct.pack("<2I", 80, 80)
    path.write_bytes(raw)
    assert "in the directory of the archive" in wrong(path)


def test_more_entries_than_the_file_can_hold_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", ENTRIES)
    raw = bytearray(path.read_bytes())
    raw[-14:-10] = struct.pack("<2H", 0xFFFE, 0xFFFE)
    path.write_bytes(raw)
    assert "directory" in wrong(path)


@given(cut=st.integers(0, 400))
def test_what_is_cut_short_is_refused(tmp_path_factory, cut):
    path = write_zip(tmp_path_factory.mktemp("zip") / "a.zip", ENTRIES)
    raw = path.read_bytes()
    path.write_bytes(raw[: min(cut, len(raw) - 1)])
    wrong(path)
