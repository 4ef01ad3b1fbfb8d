"""Reads past the page cache, digests, and which file system a folder is on."""

import hashlib
import os

import numpy as np
import pytest
from conftest import encode_safetensors, family_path
from parentage.bench import disk_speed as disk
from parentage.checkpoint import Checkpoint
from parentage.support import ReadError


def test_direct_reads_cover_every_byte_once_in_turns():
    found = disk.requests([10, 25, 0], 100, 10)
    assert found == [(0, 0), (1, 0), (1, 10), (1, 20)]
    assert disk.requests([100, 100], 35, 10) == [(0, 0), (1, 0), (0, 10), (1, 10)]


def test_direct_reads_count_bytes_to_the_end_of_files(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, size in zip(paths, (3 * disk.BLOCK + 5, disk.BLOCK), strict=True):
        path.write_bytes(os.urandom(size))
    if (refused := disk.refuses_direct(paths[0])) is not None:
        assert "has no direct I/O" in refused
        if hasattr(os, "O_DIRECT"):
            with pytest.raises(ReadError, match="direct reads of"):
                disk.direct_read(paths, 1 << 30, 3, disk.BLOCK)
        return
    assert disk.direct_read(paths, 1 << 30, 3, disk.BLOCK) == 4 * disk.BLOCK + 5
    with pytest.raises(ReadError, match="missing"):
        disk.direct_read([tmp_path / "missing"], 1, 1, disk.BLOCK)


def test_digests_are_those_of_the_files(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(
        encode_safetensors({"a": np.zeros(1 << 20, dtype=np.float32)})
    )
    opened = [Checkpoint.open(each) for each in (family_path("child"), tmp_path)]
    paths = [shard.path for each in opened for shard in each.shards]
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert disk.digests(opened, 2) == expected


def test_the_file_system_of_a_folder_that_is_not_there_yet_is_its_parents(tmp_path):
    found = disk.file_system(tmp_path / "a" / "b")
    assert found == disk.file_system(tmp_path)
    assert found["file_system"]
