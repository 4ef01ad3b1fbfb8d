"""No name makes an error of the question what is there."""

import os

import pytest
from parentage.support import is_file, is_folder, is_there, open_file


@pytest.mark.parametrize("name", ["none", "x" * 300, "x" * 5000, "a/" * 3000, "nul\0", "\udcff"])
def test_what_can_not_be_named_is_not_there(tmp_path, name):
    assert not is_there(tmp_path / name)
    assert not is_folder(tmp_path / name)
    assert not is_file(tmp_path / name)


def test_files_and_folders_are_told_apart(tmp_path):
    (tmp_path / "file").touch()
    assert is_folder(tmp_path)
    assert is_there(tmp_path / "file")
    assert not is_folder(tmp_path / "file")
    assert is_file(tmp_path / "file")
    assert not is_file(tmp_path)


def test_files_are_opened_and_pipes_refused_at_once(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    with open_file(tmp_path / "file") as file:
        assert file.read() == b"abc"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        open_file(tmp_path / "pipe")
