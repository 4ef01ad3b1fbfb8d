"""What a child and a checkpoint share, in numbers and in prose."""

from types import SimpleNamespace

import numpy as np
import parentage
import pytest
from common.alignments import full
from conftest import write_checkpoint
from parentage.verdict import Whole
from parentage.verdict.wholes import _equal_as_far_as_read


def test_a_checkpoint_is_whole_only_if_nothing_is_missing_added_or_moved():
    whole = Whole("a", elements=9, tensors=1, held=9, compared=9, same=9, cast=0)
    assert whole.is_whole and whole.is_equal
    for change in ({"own": ("x",)}, {"missing": ("x",)}, {"is_in_place": False}, {"held": 8}):
        values = {name: getattr(whole, name) for name in Whole.__slots__} | change
        assert not Whole(**values).is_whole


@pytest.mark.parametrize("layers", [2, 3])
def test_both_ways_are_counted(tmp_path, layers):
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(3)]
    whole = {name: full((8, 8)) for name in names}
    child = write_checkpoint(tmp_path / "child", {name: whole[name] for name in names[:layers]})
    base = write_checkpoint(tmp_path / "base", whole)
    numbers = parentage.trace(child, base=base, recipes=False).verdict.numbers
    assert numbers["coverage"] == 1.0
    assert numbers["share_base"] == pytest.approx(layers / 3)
    # All of them are ones.
    assert numbers["constants"] == layers * 64


def test_a_slice_of_which_nothing_was_read_is_taken_to_be_as_its_component():
    names = ["mlp", "mlp", "mlp", "norm", "norm", "head"]
    slices = [SimpleNamespace(component=name) for name in names]
    n = np.array([10, 10, 0, 5, 0, 0], dtype=np.uint64)
    equal = np.array([[10], [3], [0], [5], [0], [0]], dtype=np.uint64)
    statistics = SimpleNamespace(slices=SimpleNamespace(n=n, equal=equal))
    found = _equal_as_far_as_read(slices, statistics, 0)
    assert found.tolist() == [True, False, False, True, True, False]
