"""A folder that keeps what was fetched: whole or not at all, and no trouble."""

import errno
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from common.ranges import write_ranges
from parentage.checkpoint.network.kept import Kept

DATA = np.arange(1000, dtype=np.uint8)


def test_what_was_kept_is_found_by_the_content_of_its_file(tmp_path):
    Kept(tmp_path, pytest.fail).add("sha256 a", 100, DATA)
    again = Kept(tmp_path, pytest.fail)
    assert np.array_equal(again.find("sha256 a", 100, 1100), DATA)
    assert np.array_equal(again.find("sha256 a", 150, 160), DATA[50:60])
    assert again.find("sha256 a", 90, 110) is None
    assert again.find("sha256 b", 100, 1100) is None


@pytest.mark.parametrize("harm", ["cut", "turned", "longer", "empty", "pipe", "folder", "gone"])
def test_what_a_disk_has_lost_is_fetched_again(tmp_path, harm):
    Kept(tmp_path, pytest.fail).add("a", 0, DATA)
    kept = Kept(tmp_path, pytest.fail)
    kept.find("a", 0, 1)
    (path,) = [each for each in tmp_path.rglob("*") if each.is_file()]
    raw = path.read_bytes()
    path.unlink()
    if harm == "cut":
        path.write_bytes(raw[:500])
    elif harm == "turned":
        path.write_bytes(raw[:7] + bytes([raw[7] ^ 1]) + raw[8:])
    elif harm == "longer":
        path.write_bytes(raw + b"x")
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "pipe":
        os.mkfifo(path)
    elif harm == "folder":
        path.mkdir()
    assert kept.find("a", 0, 1000) is None
    assert Kept(tmp_path, pytest.fail).find("a", 0, 1000) is None


def test_a_full_disk_is_told_once_and_stops_nothing(tmp_path, monkeypatch):
    said = []
    kept = Kept(tmp_path, said.append)

    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    kept.add("a", 0, DATA)
    kept.add("a", 5000, DATA)
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]
    assert kept.find("a", 0, 10) is None


def test_a_folder_that_can_not_be_made_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    said = []
    kept = Kept(tmp_path / "file" / "below", said.append)
    kept.add("a", 0, DATA)
    assert kept.find("a", 0, 10) is None
    assert len(said) == 1


def test_two_processes_write_one_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_ranges, args=(tmp_path, 40 + i)) for i in range(2)]
    for each in processes:
        each.start()
    for i, each in enumerate(processes):
        each.join(60)
        assert each.exitcode == 40 + i
    kept = Kept(tmp_path, pytest.fail)
    for start in range(0, 50_000, 1000):
        found = kept.find("a", start, start + 1000)
        assert (found == (start // 1000) % 251).all()
    assert len(list(tmp_path.rglob("*"))) == 51
