"""PyTorch's tensors, as they lie in memory, and those that do not."""

import subprocess
import sys

import numpy as np
import pytest
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.live.torch_tensors import is_torch_tensor
from parentage.support import CheckpointError

NUMBERS = [
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "int16",
    "int32", "int64", "uint8", "bool",
]  # fmt: skip


def test_no_other_value_is_one():
    assert not any(map(is_torch_tensor, (np.ones(2), None, 1.0, object())))


def test_torch_is_not_imported_for_it():
    code = (
        "import sys, numpy, parentage; "
        "parentage.Checkpoint.open({'a': numpy.ones(3, numpy.float32)}); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def refused(tensor):
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open({"layer.weight": tensor})
    said = str(caught.value)
    assert said.startswith('in memory: tensor "layer.weight": it ')
    return said


@pytest.mark.torch
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_the_cpu_are_read_in_place_whatever_their_strides(torch, name):
    tensor = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, name))
    views = {
        "a": tensor,
        "b": tensor.transpose(0, 2),
        "c": tensor[:, 1:, ::2],
        "d": tensor[0, 0, 1],
    }
    opened = Checkpoint.open(views)
    for key, view in views.items():
        found = opened.tensors[key]
        raw = opened.core.copied(0, found.begin, found.end)
        assert found.shape == tuple(view.shape)
        assert raw == bytes(view.contiguous().flatten().view(torch.uint8).tolist())
    # What is written later shows.
    tensor.zero_()
    found = opened.tensors["b"]
    assert opened.core.copied(0, found.begin, found.end) == bytes(found.end - found.begin)


@pytest.mark.torch
def test_a_file_of_the_same_tensors_has_the_digest(torch, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.LayerNorm(4)).to(torch.bfloat16)
    state = dict(model.state_dict()) | {"steps": torch.tensor(7), "half": torch.ones(3).half()}
    save_file(state, tmp_path / "model.safetensors")
    opened = Checkpoint.open(state)
    assert opened.core.copied(0, 0, opened.bytes) == (tmp_path / "model.safetensors").read_bytes()


@pytest.mark.torch
def test_parameters_and_tied_tensors_are_tensors(torch):
    weight = torch.nn.Parameter(torch.ones(4, 3))
    opened = Checkpoint.open({"embed": weight, "head": weight})
    assert [each.elements for each in opened.tensors.values()] == [12, 12]


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning")
def test_what_does_not_lie_in_memory_is_refused_with_what_to_do(torch):
    assert "on the meta device" in refused(torch.empty(3, device="meta"))
    assert "sparse (torch.sparse_coo): give .to_dense()" in refused(torch.eye(3).to_sparse())
    assert "sparse" in refused(torch.eye(3).to_sparse_csr())
    assert "negates: give .resolve_conj()" in refused(torch.ones(2, dtype=torch.complex64).conj())
    assert "torch.complex128, which no checkpoint has" in refused(
        torch.ones(2, dtype=torch.cdouble)
    )
    freed = torch.ones(5)
    freed.untyped_storage().resize_(0)
    assert "its storage was freed" in refused(freed)
    assert "can not be read in place" in refused(torch.nn.LazyLinear(3).weight)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:torch.quantize:UserWarning")
def test_quantised_tensors_are_refused(torch):
    try:
        quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8)
    except (AttributeError, NotImplementedError, RuntimeError):
        pytest.skip("this build of PyTorch quantises nothing")
    assert "quantised (torch.quint8): give .dequantize()" in refused(quantised)


@pytest.mark.torch
def test_kinds_of_tensors_with_storage_of_their_own_are_refused_by_name(torch):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(3)
    assert "FakeTensor, which keeps its numbers in a way of its own" in refused(fake)


@pytest.mark.torch
def test_sharded_tensors_are_refused_with_what_to_do(torch):
    if not torch.distributed.is_available():
        pytest.skip("this build of PyTorch has no torch.distributed")
    from torch.distributed.tensor import DTensor, Replicate, init_device_mesh

    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        mesh = init_device_mesh("cpu", (1,))
        sharded = DTensor.from_local(torch.ones(3), mesh, [Replicate()])
        assert "sharded (DTensor): give .full_tensor()" in refused(sharded)
        assert Checkpoint.open({"a": sharded.full_tensor()}).elements == 3
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.torch
def test_a_storage_that_is_lent_stays_what_it_is(torch):
    tensor = torch.ones(1000)
    opened = Checkpoint.open({"a": tensor})
    with pytest.raises(RuntimeError, match="resiz"):
        tensor.untyped_storage().resize_(0)
    # The tensor may get another storage: the one that was lent stays until it is let go of.
    tensor.set_(torch.zeros(2))
    found = opened.tensors["a"]
    assert opened.core.copied(0, found.begin, found.begin + 4) == np.float32(1.0).tobytes()
