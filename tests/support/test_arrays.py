"""Parts are joined to the whole."""

import numpy as np
import pytest
from parentage.stream import Gram
from parentage.support import joined

pytestmark = pytest.mark.levels


def test_joined_parts_are_the_whole():
    whole = Gram.zeros(5, 3)
    whole.blocks[:] = np.random.default_rng(0).normal(size=whole.blocks.shape)
    found = joined([whole.select(slice(0, 2)), whole.select(slice(2, 5))])
    assert np.array_equal(found.blocks, whole.blocks)
    assert found.n.shape == (5,)
