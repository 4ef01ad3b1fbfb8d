"""Files and folders outlive a power failure, as far as a test can tell."""

import os
import re
import sys
import threading

import pytest
from parentage.support import (
    WriteError,
    held,
    nearest_existing,
    sweep,
    sync_file,
    sync_folder,
    sync_folder_strictly,
    write_file,
)


def test_what_is_synchronised_is_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"kept")
    sync_file(path)
    sync_folder(tmp_path)
    sync_folder_strictly(tmp_path)
    assert path.read_bytes() == b"kept"


def test_a_folder_that_is_not_there_is_an_error_only_strictly(tmp_path):
    sync_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        sync_folder_strictly(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        sync_file(tmp_path / "none")


def test_the_nearest_folder_that_there_is_lies_above_the_target(tmp_path):
    assert nearest_existing(tmp_path / "new") == tmp_path
    assert nearest_existing(tmp_path / "new" / "and" / "below") == tmp_path
    (tmp_path / "there").mkdir()
    # The target itself is not asked about: what is made lies beside it.
    assert nearest_existing(tmp_path / "there") == tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="folders can not be locked there")
def test_what_killed_writers_left_is_removed_and_what_is_held_is_not(tmp_path):
    left, ours, other = (tmp_path / name for name in (".out.0.partial", ".out.1.partial", "out"))
    for each in (left, ours, other):
        each.mkdir()
        (each / "file").write_text("x")
    (tmp_path / ".out.2.partial").symlink_to(other)
    (tmp_path / ".out.3.partial").write_text("no folder")
    name = re.compile(r"\.out\.\d\.partial")
    with held(ours):
        assert sweep(tmp_path, name) == [left]
        assert (ours / "file").exists()
    assert sweep(tmp_path, name) == [ours]
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        ".out.2.partial", ".out.3.partial", "out"
    ]  # fmt: skip
    assert (other / "file").exists()
    assert sweep(tmp_path / "none", name) == []


def test_a_file_is_written_whole_with_the_permissions_of_any(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"old")
    write_file(path, b"new")
    (tmp_path / "other").touch()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "other"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_file(tmp_path / "pipe", b"data")
    reader.join()
    assert read == [b"data"]


@pytest.mark.parametrize("name", ["none/file", "folder"])
def test_what_can_not_be_written_is_an_error_that_leaves_nothing(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match="write: "):
        write_file(tmp_path / name, b"data")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
