"""Which elements a scale is for follows from the shapes, or nothing is said."""

import numpy as np
import pytest
from parentage.align.layouts.scaled import block_of, spread


@pytest.mark.parametrize(
    ("shape", "scales", "block"),
    [
        ((120, 280), (1, 3), (128, 128)),
        ((256, 256), (2, 2), (128, 128)),
        ((7, 5), (), (7, 5)),
        ((7, 5), (1,), (7, 5)),
        ((7, 5), (1, 1), (7, 5)),
        ((7, 5), (7,), (1, 5)),
        ((7, 5), (7, 1), (1, 5)),
        ((256, 256), (4, 4), (64, 64)),
        ((7, 5), (5,), None),
        ((7, 5), (2, 3), None),
        ((7,), (1,), None),
        ((2, 7, 5), (2, 1, 1), None),
    ],
)
def test_blocks_follow_from_shapes(shape, scales, block):
    assert block_of(shape, scales) == block


def test_scales_are_spread_over_their_blocks():
    scales = np.arange(6.0).reshape(3, 2)
    found = spread(scales, (2, 3), 1, 6, 5)
    assert found.tolist() == [
        [0, 0, 0, 1, 1],
        [2, 2, 2, 3, 3],
        [2, 2, 2, 3, 3],
        [4, 4, 4, 5, 5],
        [4, 4, 4, 5, 5],
    ]
