"""Tensors that pair by name, shape and class of dtype, and why others do not."""

import numpy as np
import pytest
from common.alignments import COMMON, aligned, full, reasons
from conftest import opened
from parentage.align.layouts.by_name import is_readable
from parentage.checkpoint import dtype_class


@pytest.mark.parametrize(
    ("mine", "theirs", "reason"),
    [
        (full(4), None, "not in base"),
        (full((2, 3)), full((3, 2)), "shape [2, 3] in the child, [3, 2] in base"),
        (full(4), full(4, np.int8), "dtype BF16 in the child, I8 in base"),
        (full(4, np.uint8), full(4, np.float32), "dtype U8 in the child, F32 in base"),
        (full(4, bool), full(4, bool), "dtype BOOL has no arithmetic"),
        (("F8_E4M3FNUZ", [4], bytes(4)), full(4), "dtype F8_E4M3FNUZ has no arithmetic"),
        (("F4", [4], bytes(2)), ("F4", [4], bytes(2)), "dtype F4 has no arithmetic"),
        (("C64", [1], bytes(8)), ("C64", [1], bytes(8)), "dtype C64 has no arithmetic"),
        (full((0, 3)), full((0, 3)), "no elements"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tensor_that_does_not_pair_is_listed_with_the_reason(tmp_path, mine, theirs, reason):
    other = {COMMON: full(9)} | ({} if theirs is None else {"x": theirs})
    alignment = aligned(tmp_path, {COMMON: full(9), "x": mine}, other)
    assert [each.name for each in alignment.slices] == [COMMON]
    assert reasons(alignment) == {"x": reason}
    assert ("x" in reasons(alignment, "base")) == (theirs is not None)


@pytest.mark.parametrize("suffix", ["_scale_inv", "_scale", "_scales"])
def test_codes_with_scales_are_no_weights(tmp_path, suffix):
    scaled = {COMMON: full(9), "x": full(4, np.int8), f"x{suffix}": full(1, np.float32)}
    plain = {COMMON: full(9), "x": full(4)}
    alignment = aligned(tmp_path, scaled, plain)
    assert reasons(alignment)["x"] == f"quantised with x{suffix}, and not decoded"
    alignment = aligned(tmp_path / "other", plain, scaled)
    assert reasons(alignment)["x"] == f"quantised in base with x{suffix}, and not decoded"


def test_numbers_are_read_that_have_a_fraction_and_no_scales(tmp_path):
    tensors = {"x": full(4), "y": full(4, np.int8), "z": full(4), "z_scale": full(1)}
    one = opened(tmp_path, "one", tensors)
    readable = [name for name, each in one.tensors.items() if is_readable(each, one)]
    assert readable == ["x", "z_scale"]


def test_floats_of_other_widths_pair(tmp_path):
    dtypes = [np.float64, np.float32, np.float16]
    for i, dtype in enumerate(dtypes):
        alignment = aligned(tmp_path / str(i), {"x": full(4, dtype)}, {"x": full(4)})
        assert len(alignment.slices) == 1
    assert dtype_class("F8_E5M2") == "float"
    assert dtype_class("U64") == "integer"
    assert dtype_class("BOOL") is None
