"""What a slice says of itself."""

import numpy as np
from common.alignments import aligned, full
from parentage.align import Extent


def test_a_slice_says_what_it_is(tmp_path):
    name = "model.layers.7.mlp.experts.3.up_proj.weight"
    each = aligned(tmp_path, {name: full((2, 3), np.float16)}, {name: full((2, 3))}).slices[0]
    assert (each.name, each.component, each.layer, each.expert) == (name, "experts", 7, 3)
    assert (each.shape, each.dtype, each.elements) == ((2, 3), "F16", 6)
    assert each.extents == (Extent(0, 0), Extent(0, 0))


def test_each_checkpoint_says_how_its_slices_are_stored(tmp_path):
    child = {"a.weight": full((2, 3)), "b.weight": full((4, 3), np.float32)}
    base = {"a.weight": full((2, 3), np.float16), "b.weight": full((4, 3))}
    found = aligned(tmp_path, child, base)
    assert found.dtypes == (("F16", "BF16"), ("BF16", "F32"))
    assert found.dtypes[-1] == tuple(each.dtype for each in found.slices)
