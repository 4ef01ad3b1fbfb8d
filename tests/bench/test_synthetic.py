"""Checkpoints that are made to measure on."""

import ml_dtypes
import numpy as np
import pytest
from conftest import DTYPES, load
from parentage.bench import synthetic as made

SMALL = 1 << 20


@pytest.mark.parametrize("dtype", made.DTYPES)
def test_a_made_child_is_six_tenths_of_its_parent(tmp_path, dtype):
    paths = made.make_family(tmp_path, dtype, 2, SMALL, 2)
    base, parent, other, child = (load(path) for path in paths)
    for name, values in child.items():
        b, p = (each[name].astype(np.float64) for each in (base, parent))
        first = (p * np.float64(np.float32(0.6))).astype(np.float32)
        total = b * np.float64(np.float32(0.4)) + first
        expected = total.astype(np.float32).astype(DTYPES[dtype])
        # Float64 rounds a second time where base and weight fill it: in F32, once in 10^8.
        assert np.array_equal(values, expected)
        assert 0.0005 < np.std(p - b) < 0.0007
        assert not np.array_equal(other[name], parent[name])


def test_bf16_is_rounded_to_nearest_even():
    bits = np.arange(0, 1 << 31, 40009, dtype=np.uint32)
    values = bits[bits < 0x7F7F0000].view(np.float32)
    assert made.encode(values, "BF16") == values.astype(ml_dtypes.bfloat16).tobytes()
