"""Checkpoints are compared under the child's names, and adapters as what they make of a base."""

import numpy as np
import pytest
from common.adapters import adapter, base, write
from conftest import BF16, write_checkpoint
from parentage.checkpoint import open_all
from parentage.pipeline import view_inputs
from parentage.stream import Options
from parentage.support import PlanError

OPTIONS = Options(2, None, "mmap")


def test_names_that_begin_otherwise_are_the_childs(tmp_path):
    tensors = {f"model.layers.{i}.mlp.up_proj.weight": np.ones((64, 64), BF16) for i in range(3)}
    wrapped = {f"language_model.{name}": each for name, each in tensors.items()}
    child = write_checkpoint(tmp_path / "child", tensors)
    inputs = open_all(child, write_checkpoint(tmp_path / "base", wrapped), (), ())
    viewed = view_inputs(inputs, OPTIONS)
    assert list(viewed.inputs.base.tensors) == list(tensors)
    assert viewed.stored == {"base": (3, 3 * 64 * 64)}
    assert viewed.added == {}
    assert viewed.seen.remarks


def test_an_adapter_is_its_base_with_its_product_added(tmp_path):
    model = base()
    write(tmp_path / "base", model)
    write(tmp_path / "lora", adapter(model, 2), lora_alpha=16)
    write(tmp_path / "child", model)
    inputs = open_all(tmp_path / "child", tmp_path / "base", [tmp_path / "lora"], ())
    viewed = view_inputs(inputs, OPTIONS)
    assert viewed.added.keys() == {"lora"}
    assert viewed.added["lora"].base == "base"
    (lora,) = viewed.inputs.parents
    assert set(lora.tensors) == set(model)


def test_a_base_that_is_an_adapter_is_refused(tmp_path):
    model = base()
    write(tmp_path / "child", model)
    write(tmp_path / "lora", adapter(model, 2), lora_alpha=16)
    with pytest.raises(PlanError, match="a base has all weights"):
        view_inputs(open_all(tmp_path / "child", tmp_path / "lora", (), ()), OPTIONS)
