"""How files are read: what is refused, and what is chosen."""

import pytest
from conftest import roles_in
from parentage import _core
from parentage.statistics import full_pass
from parentage.stream import Options, choose_io


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads must be 1 to 1024, not 0"),
        ({"threads": 1025}, "threads must be 1 to 1024, not 1025"),
        ({"threads": -1}, "threads must be 1 to 1024, not -1"),
        ({"threads": 10**20}, "threads must be 1 to 1024, not 1"),
        ({"tile_bytes": -5}, "tile bytes must be 4096 to 1073741824, not -5"),
        ({"tile_bytes": 10**20}, "tile bytes must be"),
        ({"tile_bytes": 4095}, "tile bytes must be 4096 to 1073741824, not 4095"),
        ({"tile_bytes": (1 << 30) + 1}, "tile bytes must be"),
        ({"io": "aio"}, "io must be mmap, pread or direct"),
        ({"level": "mmx"}, "no instruction set is called"),
        ({"level": "neon" if "avx2" in _core.levels() else "avx2"}, "this CPU has no"),
    ],
)
def test_options_out_of_range_are_refused(varied, options, message):
    with pytest.raises(ValueError, match=message):
        full_pass(varied, roles_in(varied, 1), Options(**{"threads": 1, **options}))


def test_files_that_do_not_fit_in_memory_are_read_past_the_cache(tmp_path, monkeypatch):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 16000000 kB\nMemAvailable:  1000 kB\n")
    monkeypatch.setattr("parentage.stream.options.MEMORY", told)
    assert choose_io("auto", 1_024_000) == "mmap"
    assert choose_io("auto", 1_024_001) == "direct"
    assert choose_io("pread", 1 << 60) == "pread"
    monkeypatch.setattr("parentage.stream.options.MEMORY", tmp_path / "none")
    assert choose_io("auto", 1 << 60) == "mmap"


def test_files_are_read_with_pread_where_the_system_can_not_map_them(monkeypatch):
    monkeypatch.setattr("parentage._core.can_map", lambda: False)
    assert choose_io("auto", 1000) == "pread"
    assert choose_io("mmap", 1000) == "mmap"


def test_threads_that_read_past_the_cache_have_room_beside_the_others(varied):
    options = Options(threads=1024, io="direct")
    assert full_pass(varied, roles_in(varied, 1), options) is not None
