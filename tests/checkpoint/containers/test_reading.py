"""Headers are read in place, and never more of them than a file has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.containers import reading
from parentage.checkpoint.containers.reading import MOST_BYTES, Reader
from parentage.support import CheckpointError, ReadError

RAW = bytes(i * 7 % 251 for i in range(20_000))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    found = tmp_path_factory.mktemp("reading") / "file"
    found.write_bytes(RAW)
    return found


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 6_000)), max_size=20))
def test_bytes_are_those_of_the_file_in_any_order(path, asked):
    with Reader(path) as file:
        assert file.size == len(RAW)
        for offset, count in asked:
            if offset + count <= len(RAW):
                assert file.at(offset, count) == RAW[offset : offset + count]


def test_the_first_bytes_tell_the_format(path, tmp_path):
    with Reader(path) as file:
        assert file.begins_with(RAW[:6])
        assert not file.begins_with(RAW[1:7])
    (tmp_path / "short").write_bytes(RAW[:3])
    with Reader(tmp_path / "short") as file:
        assert file.begins_with(RAW[:3])
        assert not file.begins_with(RAW[:4])


@pytest.mark.parametrize(("offset", "count"), [(0, 20_001), (20_000, 1), (-1, 1), (0, -1)])
def test_what_is_not_there_is_an_error_with_its_offset(path, offset, count):
    with Reader(path) as file, pytest.raises(CheckpointError) as raised:
        file.at(offset, count, "a name")
    assert f"at byte {offset}: a name needs" in str(raised.value)


def test_headers_of_gigabytes_are_not_held(tmp_path):
    with (tmp_path / "big").open("wb") as out:
        out.truncate(MOST_BYTES + 2)
    with Reader(tmp_path / "big") as file, pytest.raises(CheckpointError, match="is the most"):
        file.at(0, MOST_BYTES + 1)


def test_a_file_that_is_not_there_is_an_error_of_reading(tmp_path):
    with pytest.raises(ReadError, match="open: No such file"):
        Reader(tmp_path / "none")
    with pytest.raises(ReadError, match="open"):
        Reader(tmp_path)


def test_a_file_that_shrinks_is_an_error_of_reading(tmp_path):
    (tmp_path / "file").write_bytes(RAW)
    with Reader(tmp_path / "file") as file:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(ReadError, match="shorter"):
            file.at(0, 10)


def test_headers_end(path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_IN_ALL", 10_000)
    with Reader(path) as file:
        file.at(0, 9_000)
        with pytest.raises(CheckpointError, match="more than 10,000 bytes"):
            file.at(0, 2_000)
