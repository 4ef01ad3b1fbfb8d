import pickle

import pytest
from parentage.stream import CORE, Options, backend_of
from parentage.stream.backends.choice import COMPILE
from parentage.support import DeviceError, ParentageError


def test_without_a_device_it_is_the_core():
    assert backend_of(None) == (CORE, None, None)


def test_memory_is_of_a_device():
    with pytest.raises(ValueError, match="none is given"):
        backend_of(None, 1 << 30)


def test_a_name_that_is_none_is_one_line():
    with pytest.raises(
        DeviceError, match=r"'tpu' is no device; devices are cpu, cuda, mps"
    ) as error:
        backend_of("tpu")
    assert isinstance(error.value, ParentageError)
    assert "\n" not in str(error.value)


@pytest.mark.torch
def test_a_cpu_says_what_it_is():
    import torch

    chosen, told, remark = backend_of("cpu")
    assert remark is None
    assert told["backend"] == "torch"
    assert told["torch"] == torch.__version__
    assert told["device"] == "cpu"
    assert told["fma"].startswith("float32 ")
    again = pickle.loads(pickle.dumps(Options(1, backend=chosen))).backend
    assert again.describe() == told


@pytest.mark.torch
def test_a_variable_has_torch_compile(monkeypatch):
    monkeypatch.setenv(COMPILE, "1")
    assert backend_of("cpu")[0]._compiled
    monkeypatch.delenv(COMPILE)
    assert not backend_of("cpu")[0]._compiled
