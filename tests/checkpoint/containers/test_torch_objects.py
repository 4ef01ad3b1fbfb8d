"""What pickles of PyTorch describe: which part of it is the model."""

import numpy as np
import pytest
from common.containers import Call, Cut, refused, write_torch, write_torch_legacy
from parentage.checkpoint.containers.pickles import Storage, Strided
from parentage.checkpoint.containers.torch_objects import picked, tensors_of

PLACE = Strided(Storage("0", "F32", 2), 0, (2,), (1,), "F32")
ARRAY = np.arange(24, dtype=np.float32).reshape(4, 6)
WRITERS = pytest.mark.parametrize("write", [write_torch, write_torch_legacy])


@pytest.mark.parametrize(
    ("value", "names", "said"),
    [
        ({"a": PLACE, "b": {"c": [PLACE]}}, ["a", "b.c.0"], []),
        (
            {"state_dict": {"a": PLACE}, "epoch": 1},
            ["a"],
            ['the tensors of "state_dict" are read'],
        ),
        (
            {"ema": {"a": PLACE}, "model": {"b": PLACE}, "step": PLACE},
            ["b"],
            ['the tensors of "model" are read, and those of "ema" and "step" are not'],
        ),
        ({"params_ema": {"a": PLACE}}, ["a"], ['the tensors of "params_ema" are read']),
        (
            {"model": {"state_dict": {"a": PLACE}, "optimizer": {"b": PLACE}}},
            ["a"],
            ['the tensors of "model.state_dict" are read, and those of "optimizer" are not'],
        ),
        (
            {"encoder": {"a": PLACE}, "optimizer_states": [{"b": PLACE}], "epoch": 2},
            ["encoder.a"],
            ['those of "optimizer_states" are not'],
        ),
        ({"optimizer": {"b": PLACE}}, ["optimizer.b"], []),
        ({"model": PLACE, "state_dict": {}}, ["model"], []),
        (PLACE, ["tensor"], []),
        ([PLACE, {"a": PLACE}], ["0", "1.a"], []),
    ],
)
def test_the_model_is_picked_by_a_rule_that_is_told(value, names, said):
    chosen, clauses = picked(value)
    assert [name for name, _ in tensors_of(chosen)] == names
    assert len(clauses) == len(said)
    assert all(clause.endswith(end) for clause, end in zip(clauses, said, strict=True))


@WRITERS
def test_numpy_arrays_in_a_file_of_torch_are_named(tmp_path, write):
    array = Call("numpy.core.multiarray._reconstruct", (), state=(1, (2,), b"12345678"))
    write(tmp_path / "a.pt", {"x": array})
    refused(tmp_path / "a.pt", "describes no tensor, but NumPy arrays", "safetensors.numpy")


@WRITERS
def test_a_tensor_that_leaves_its_storage_is_refused(tmp_path, write):
    write(tmp_path / "a.pt", {"x": Cut(ARRAY, 20, (5,))})
    refused(tmp_path / "a.pt", 'tensor "x": at byte', "its storage at byte")
