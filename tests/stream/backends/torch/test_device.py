"""Devices by name. What is not marked needs no torch."""

import builtins
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.stream.backends.torch import Torch
from parentage.stream.backends.torch.device import (
    HOST_MEMORY,
    LEAST_MEMORY,
    budget,
    find,
    is_out_of_memory,
    load,
    parse,
)
from parentage.support import DeviceError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu", ("cpu", [])),
        ("cuda", ("cuda", [])),
        ("cuda:1", ("cuda", [1])),
        ("cuda:0,2", ("cuda", [0, 2])),
        ("xpu:0", ("xpu", [0])),
        ("mps", ("mps", [])),
    ],
)
def test_names_are_taken_apart(name, expected):
    assert parse(name) == expected


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:0,0", "cuda:0:1", "cpu:0", "mps:0"],
)
def test_what_is_no_device_is_refused(name):
    with pytest.raises(DeviceError, match="is no device"):
        parse(name)
    with pytest.raises(DeviceError, match="is no device"):
        Torch(name)


@given(st.text(max_size=12))
def test_any_text_is_a_device_or_an_error(name):
    try:
        kind, numbers = parse(name)
    except DeviceError:
        return
    assert kind in ("cpu", "cuda", "mps", "xpu")
    assert all(each >= 0 for each in numbers)


def test_without_torch_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def refusing(name, *arguments, **options):
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.raises(DeviceError, match=r"pip install 'parentage\[torch\]'"):
        load()
    with pytest.raises(DeviceError, match=r"No module named 'torch'"):
        find("cpu")


def test_the_command_says_so_in_a_line():
    code = (
        "import sys; sys.modules['torch'] = None; from parentage.cli import run;"
        "from parentage.demo import family;"
        "base, child = (str(family(name)) for name in ('base', 'child'));"
        "sys.exit(run(['trace', child, '-b', base, '--device', 'cpu']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: a device is computed on with torch, which is not inst")
    assert "pip install 'parentage[torch]'" in done.stderr
    assert done.stderr.count("\n") <= 2


def fake(monkeypatch, **changes):
    """A torch that says of itself what it is told."""
    none = SimpleNamespace(is_available=lambda: False, device_count=lambda: 0)
    made = SimpleNamespace(
        __version__="2.9.0",
        float8_e4m3fn=None,
        device=lambda *parts: ":".join(map(str, parts)),
        cuda=none,
        xpu=none,
        version=SimpleNamespace(cuda=None, xpu=None),
        backends=SimpleNamespace(mps=none),
    )
    made.__dict__.update(changes)
    monkeypatch.setitem(sys.modules, "torch", made)


def gpus(count, capability=(9, 0)):
    return SimpleNamespace(
        is_available=lambda: count > 0,
        device_count=lambda: count,
        get_device_capability=lambda _: capability,
        get_device_name=lambda _: "Some GPU",
        get_arch_list=lambda: ["sm_75", "sm_90", "compute_90"],
    )


def test_a_torch_that_is_too_old_is_told(monkeypatch):
    fake(monkeypatch, __version__="2.3.1")
    with pytest.raises(DeviceError, match=r"torch 2\.3\.1 is too old: 2\.4 or later is needed"):
        find("cpu")


def test_a_torch_without_cuda_is_told_from_one_that_sees_no_gpu(monkeypatch):
    fake(monkeypatch, __version__="2.9.0+cpu")
    with pytest.raises(DeviceError, match=r"cuda: torch 2\.9\.0\+cpu was built without cuda"):
        find("cuda")
    fake(monkeypatch, version=SimpleNamespace(cuda="13.0"))
    with pytest.raises(DeviceError, match="torch sees no cuda device"):
        find("cuda")


def test_several_gpus_are_found(monkeypatch):
    fake(monkeypatch, cuda=gpus(3))
    assert find("cuda") == (["cuda:0", "cuda:1", "cuda:2"], None)
    assert find("cuda:2,0") == (["cuda:2", "cuda:0"], None)
    with pytest.raises(DeviceError, match=r"there is no cuda:3; there are 3"):
        find("cuda:1,3")


def test_a_gpu_that_is_too_old_is_named(monkeypatch):
    fake(monkeypatch, cuda=gpus(1, (6, 1)))
    with pytest.raises(DeviceError, match=r"Some GPU \(compute capability 6\.1\) is too old"):
        find("cuda")


def test_mps_computes_on_the_cpu_and_says_so(monkeypatch):
    fake(monkeypatch, backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True)))
    devices, said = find("mps")
    assert devices == ["cpu"]
    assert said == "mps has no float64; what is computed is computed on the CPU"
    fake(monkeypatch)
    with pytest.raises(DeviceError, match="no device is called mps here"):
        find("mps")


def test_memory_is_a_share_of_what_is_free_unless_it_is_said():
    cpu = SimpleNamespace(type="cpu")
    assert budget(cpu, None) == HOST_MEMORY
    assert budget(cpu, LEAST_MEMORY) == LEAST_MEMORY
    with pytest.raises(DeviceError, match="16,777,216 bytes at least, not 5"):
        budget(cpu, 5)


@pytest.mark.torch
def test_memory_that_was_not_enough_is_told_from_other_errors():
    import torch

    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_nothing_imports_torch_before_it_is_asked_for():
    code = (
        "import sys; from parentage.stream import backend_of; backend_of(None);"
        "from parentage.stream.backends.torch import Torch; Torch('cpu');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
