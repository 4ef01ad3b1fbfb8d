"""Passes: no bit hangs on how files are read, and files that change meanwhile are errors."""

import os

import numpy as np
import pytest
from common.results import bits
from common.streams import Witness, big, slowly
from conftest import BF16, opened, roles_in
from parentage import _core
from parentage.align import align
from parentage.statistics import full_pass
from parentage.stream import Options
from parentage.support import ReadError


@pytest.fixture(scope="module")
def reference(varied):
    return bits(
        full_pass(varied, roles_in(varied, 1), Options(threads=1, io="pread", level="scalar"))
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_threads_and_io_change_no_bit(varied, reference, threads, io):
    assert bits(full_pass(varied, roles_in(varied, 1), Options(threads, io=io))) == reference


@pytest.mark.parametrize("tile_bytes", [4096, 65536, 1 << 20, 1 << 30])
@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_tile_sizes_change_no_bit(varied, reference, tile_bytes, io):
    assert bits(full_pass(varied, roles_in(varied, 1), Options(2, tile_bytes, io))) == reference


@pytest.mark.parametrize("level", _core.levels())
def test_instruction_sets_change_no_bit(varied, reference, level):
    assert bits(full_pass(varied, roles_in(varied, 1), Options(2, level=level))) == reference


@pytest.mark.parametrize("chunks", [1, 7, 40])
def test_ranges_change_no_bit(varied, reference, chunks, monkeypatch):
    monkeypatch.setattr("parentage.stream.cuts.RANGE_CHUNKS", chunks)
    assert len(varied.plan.ranges(chunks)) > 1
    assert bits(full_pass(varied, roles_in(varied, 1), Options(2))) == reference


def test_ranges_are_all_slices_in_order(varied):
    for chunks in (1, 20, 1 << 15):
        ranges = varied.plan.ranges(chunks)
        covered = [i for first, last in ranges for i in range(first, last)]
        assert covered == list(range(varied.plan.slices))
        assert all(first < last for first, last in ranges)


def pair(tmp_path):
    tensors = {"model.embed_tokens.weight": np.ones(4000, BF16), "z": np.ones(4000, BF16)}
    checkpoints = [opened(tmp_path, name, tensors) for name in ("base", "child")]
    return align(checkpoints[1], checkpoints[:1]), tmp_path / "child" / "model.safetensors"


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_cut_short_after_opening_is_an_error(tmp_path, io):
    alignment, path = pair(tmp_path)
    os.truncate(path, path.stat().st_size - 2)
    with pytest.raises(
        ReadError, match=r"child.model\.safetensors: tensor .*: the file had .* bytes"
    ):
        full_pass(alignment, roles_in(alignment, 0), Options(1, io=io))


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_written_to_after_opening_is_an_error(tmp_path, io):
    alignment, path = pair(tmp_path)
    before = path.stat()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(
        ReadError, match=r"child.model\.safetensors: tensor .*: the file was written to"
    ):
        full_pass(alignment, roles_in(alignment, 0), Options(1, io=io))


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_removed_after_opening_is_an_error(tmp_path, io):
    alignment, path = pair(tmp_path)
    path.unlink()
    with pytest.raises(ReadError, match=r"child.model\.safetensors"):
        full_pass(alignment, roles_in(alignment, 0), Options(1, io=io))


class Saboteur(Witness):
    """Does something to a file once the pass has begun."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def update(self, done):
        super().update(done)
        if len(self.seen) == 1:
            self.act()


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_cut_short_while_it_is_read_is_an_error_that_names_the_tensor(tmp_path, io):
    child = big(tmp_path, "child")
    alignment = align(child, [big(tmp_path, "base")])
    path = child.shards[0].path
    saboteur = Saboteur(lambda: os.truncate(path, 100_000))
    with pytest.raises(ReadError) as raised:
        full_pass(alignment, roles_in(alignment, 0), slowly(io), saboteur)
    assert saboteur.seen[0] < saboteur.totals[0], "it was cut too late to tell anything"
    for part in (str(path), 'tensor "model.embed_tokens.weight": ', "at byte "):
        assert part in str(raised.value)


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_a_file_written_to_while_it_is_read_is_an_error(tmp_path, io):
    child = big(tmp_path, "child")
    alignment = align(child, [big(tmp_path, "base")])
    path = child.shards[0].path

    def overwrite():
        with path.open("r+b") as file:
            file.seek(-2, os.SEEK_END)
            file.write(b"\x80\x3f")

    saboteur = Saboteur(overwrite)
    with pytest.raises(
        ReadError, match=r"child\.safetensors: (tensor .*: )?the file was written to"
    ):
        full_pass(alignment, roles_in(alignment, 0), slowly(io), saboteur)
    assert saboteur.seen[0] < saboteur.totals[0]


def test_slices_out_of_range_are_refused(varied):
    for first, last in [(1, 0), (0, varied.plan.slices + 1)]:
        with pytest.raises(ValueError, match="slices"):
            _core.gram(varied.plan, first, last, threads=1)
        with pytest.raises(ValueError, match="slices"):
            varied.plan.bytes(first, last)


@pytest.mark.parametrize("io", ["mmap", "pread", "direct"])
def test_reading_alone_gives_one_checksum(varied, io):
    def checksum(threads, tile_bytes, io):
        plan = varied.plan
        return _core.read(plan, 0, plan.slices, threads=threads, tile_bytes=tile_bytes, io=io)

    assert checksum(3, 1 << 20, io) == checksum(1, 1 << 20, "pread")
