"""Blends that most cells admit."""

import numpy as np
import pytest
from common.points import made, noise, rounded
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.descent.admitted import most_admitted, most_admitting

MOVES = st.floats(-4, 4).filter(lambda move: move == 0.0 or abs(move) > 1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(MOVES, *[st.floats(-4, 4)] * 2), min_size=1, max_size=12))
def test_no_factor_is_admitted_by_more(rows):
    moves, one, other = np.array(rows).T
    low, high = np.minimum(one, other), np.maximum(one, other)
    factor, count = most_admitted(moves, low, high)
    assert np.isfinite(factor)

    def admitted(value):
        product = value * moves
        return int(((product >= low - 1e-9) & (product <= high + 1e-9)).sum())

    assert admitted(factor) >= count
    ends = [x / m for x, m in zip([*low, *high], [*moves, *moves], strict=True) if m]
    ends = [end for end in ends if abs(end) < 1e6]
    strictly = [
        int(((value * moves >= low) & (value * moves <= high)).sum()) for value in [0.0, *ends]
    ]
    assert count >= max(strictly) - 1


def test_weights_of_a_blend_are_found_and_what_weighs_nothing_is_left_out():
    base, parent, other = noise("BF16", 1), noise("BF16", 2, of=1), noise("BF16", 3, of=1)
    child = rounded(0.7 * parent + 0.3 * base, "BF16")
    points = made([base, parent, other, child], ("BF16",) * 4)
    share, weights = most_admitting(points, 3, [0, 1, 2])
    assert share > 0.999
    assert weights == pytest.approx([0.3, 0.7, 0.0], abs=1e-3)
