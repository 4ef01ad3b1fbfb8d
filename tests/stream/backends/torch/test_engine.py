import ctypes
import os
import platform
import signal
import threading
import time

import numpy as np
import pytest
from common.devices import differences, gram_differences, related, replays_of
from parentage import _core
from parentage.stream.backends.torch import Torch
from parentage.support import DeviceError, ReadError

pytestmark = pytest.mark.torch


@pytest.fixture
def alignment(tmp_path):
    return related(tmp_path, ["BF16", "BF16", "F32"], [5, 4097, 300_000, 1_100_003], "near", seed=4)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_memory_change_nothing(alignment, threads):
    plan = alignment.plan
    replays = replays_of(alignment, "F32")
    expected = _core.gram(plan, 0, plan.slices, threads=1, replays=replays)
    for memory in (None, 1 << 24, 1 << 27):
        backend = Torch("cpu", memory, least=0)
        found = backend.gram(plan, 0, plan.slices, threads=threads, replays=replays)
        assert differences(found, expected) == []


def test_a_batch_is_halved_until_there_is_memory_for_it(alignment, engine, monkeypatch):
    backend, tried = Torch("cpu", least=0), []
    real = engine._Flow._load_host

    def loading(self, batch, buffers):
        tried.append(len(batch.chunks) * batch.width)
        if tried[-1] > 150_000:
            raise MemoryError
        return real(self, batch, buffers)

    monkeypatch.setattr(engine._Flow, "_load_host", loading)
    assert gram_differences(backend, alignment) == []
    assert max(tried) > 300_000
    # What was not enough is not tried again.
    assert sum(each > 300_000 for each in tried) <= 2


def test_a_chunk_for_which_there_is_no_memory_is_one_line(alignment, engine, monkeypatch):
    def loading(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(engine._Flow, "_load_host", loading)
    with pytest.raises(DeviceError, match=r"out of memory on the device: a chunk of [\d,]+ elem"):
        Torch("cpu", least=0).gram(alignment.plan, 0, 4, threads=2)


def test_an_error_of_a_thread_is_raised_and_all_threads_end(alignment, engine, monkeypatch):
    def loading(*_):
        raise ReadError("c0: gone")

    monkeypatch.setattr(engine._Flow, "_load_host", loading)
    with pytest.raises(ReadError, match="c0: gone"):
        Torch("cpu", least=0).gram(alignment.plan, 0, 4, threads=3)
    assert not [each for each in threading.enumerate() if each.name.startswith("parentage-")]


def test_progress_adds_up_and_may_stop(alignment):
    plan, told = alignment.plan, []
    Torch("cpu", least=0).gram(plan, 0, plan.slices, threads=2, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == plan.bytes(0, plan.slices)

    class EnoughError(Exception):
        pass

    def stop(bytes_):
        if bytes_:
            raise EnoughError

    with pytest.raises(EnoughError):
        Torch("cpu", least=0).gram(plan, 0, plan.slices, threads=2, progress=stop)
    assert not [each for each in threading.enumerate() if each.name.startswith("parentage-")]


def test_ctrl_c_ends_within_two_seconds(tmp_path):
    alignment = related(tmp_path, ["F32"] * 3, [3_000_000] * 3, "near", seed=1)
    backend = Torch("cpu", least=0)
    backend.open()
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            backend.gram(alignment.plan, 0, 3, threads=2)
    assert time.monotonic() - pressed[0] < 2
    assert not [each for each in threading.enumerate() if each.name.startswith("parentage-")]


def test_a_process_that_flushes_subnormal_numbers_gets_the_same(tmp_path, torch):
    alignment = related(tmp_path / "single", ["F32"] * 3, [70_001], "bits", seed=2)
    replays = replays_of(alignment, "F32")
    double = related(tmp_path / "double", ["F64"] * 2, [9001], "bits", seed=2)
    try:
        torch.set_flush_denormal(True)
        assert gram_differences(Torch("cpu", least=0), alignment, replays) == []
        assert gram_differences(Torch("cpu", least=0), double) == []
    finally:
        torch.set_flush_denormal(False)


def test_threads_of_the_caller_s_torch_stay_as_they_are(alignment, torch):
    before = torch.get_num_threads()
    Torch("cpu", least=0).gram(alignment.plan, 0, 4, threads=2)
    assert torch.get_num_threads() == before


def test_a_device_that_is_not_exact_leaves_it_to_the_core(alignment, engine, monkeypatch):
    monkeypatch.setattr(engine, "examine", lambda *_, **__: (None, "sums are not rounded"))
    backend = Torch("cpu", least=0)
    assert backend.remark == "cpu: sums are not rounded; the core computes instead"
    assert backend.describe()["computed"] == "by the core: sums are not rounded"
    assert gram_differences(backend, alignment) == []


def test_the_bytes_of_a_batch_are_those_of_its_chunks(engine):
    from parentage.stream.backends.torch.layout import batches, chunks_of

    parts = batches(chunks_of(np.array([1000])), [("BF16", "F32")], 1 << 20)
    assert sum(map(engine.bytes_of, parts)) == 6000


@pytest.mark.skipif(platform.machine() != "x86_64", reason="sets the rounding of x86")
@pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00])
def test_a_process_that_rounds_otherwise_gets_the_same(tmp_path, engine, mode):
    alignment = related(tmp_path, ["F32"] * 3, [70_001], "near", seed=2)
    backend = Torch("cpu", least=0)
    backend.open()
    libm = ctypes.CDLL("libm.so.6")
    try:
        assert libm.fesetround(mode) == 0
        nearest = engine.rounds_to_nearest()
        wrong = gram_differences(backend, alignment)
    finally:
        libm.fesetround(0)
    assert not nearest
    assert wrong == []
    assert engine.rounds_to_nearest()


def test_devices_of_several_kinds_compute_each_in_its_own_way(
    alignment, engine, exact, torch, monkeypatch
):
    devices = [torch.device("cpu"), torch.device("cpu", 0)]
    ways = {
        devices[0]: exact.arithmetic(native32=True, native64=True),
        devices[1]: exact.arithmetic(native32=False, native64=False),
    }
    used = set()
    real = engine._Flow._on_host

    def noted(self, how):
        used.add(how.name)
        real(self, how)

    monkeypatch.setattr(engine, "find", lambda _: (devices, None))
    monkeypatch.setattr(engine, "examine", lambda device, **_: (ways[device], None))
    monkeypatch.setattr(engine._Flow, "_on_host", noted)
    backend = Torch("cpu", least=0)
    assert backend.describe()["device"] == "cpu, cpu:0"
    assert not backend.open().has_fma64
    assert gram_differences(backend, alignment) == []
    assert used == {each.name for each in ways.values()}
