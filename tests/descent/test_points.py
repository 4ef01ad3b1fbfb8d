"""Sampled values with the rounding that they have."""

import numpy as np
import pytest
from common.points import made, noise, rounded
from conftest import write_checkpoint
from parentage.align import pair
from parentage.checkpoint import half_cells, open_all
from parentage.descent import points_of
from parentage.hypothesise import SampleEstimates
from parentage.stream import Options


def points(tmp_path, **tensors):
    folders = {
        name: write_checkpoint(tmp_path / name, {"model.layers.0.mlp.up_proj.weight": values})
        for name, values in tensors.items()
    }
    inputs = open_all(folders["child"], folders["base"], [], [])
    options = Options(1, None, "mmap", None)
    return points_of(SampleEstimates(pair(inputs, options).main.alignment, inputs.columns, options))


@pytest.mark.parametrize(("dtype", "digits"), [("BF16", 7), ("F16", 10), ("F32", 23)])
def test_what_was_rounded_before_it_was_stored_is_seen(tmp_path, dtype, digits):
    wide = noise("F32", 1).reshape(100, 200).astype(np.float32)
    child = rounded(wide, dtype).astype(np.float32)
    found = points(tmp_path, child=child, base=wide)
    assert found.digits(0) == 23
    assert found.digits(1) == digits


def test_what_is_not_finite_is_left_out(tmp_path):
    base = noise("F32", 1).reshape(100, 200).astype(np.float32)
    child = base.copy()
    child[3] = np.nan
    found = points(tmp_path, child=child, base=base)
    assert len(found.values) == 99 * 200
    assert np.isfinite(found.values).all()


def test_cells_are_those_of_each_slice():
    found = made([noise("BF16", 1), noise("F16", 2)], ("BF16", "F16"))
    rows = np.arange(len(found.values)) < 10
    assert np.array_equal(found.cells(1, rows), half_cells(found.values[:10, 1], "F16"))
    assert np.array_equal(found.cells(0)[0], half_cells(found.values[:, 0], "BF16")[0])
