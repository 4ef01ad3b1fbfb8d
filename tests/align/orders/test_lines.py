"""The order of rows and columns is found by values, and blocks are told from it."""

import numpy as np
import pytest
from conftest import BF16, opened
from parentage.align.orders.lines import Lines, block_of_order, blocks_of, lines_of
from parentage.stream import Options

OPTIONS = Options(2)


def normal(seed, shape):
    return np.random.default_rng(seed).normal(0, 0.05, shape)


def order_of(folder, mine, theirs):
    one = opened(folder, "one", {"a.weight": mine.astype(np.float32).astype(BF16)})
    two = opened(folder, "two", {"a.weight": theirs.astype(np.float32).astype(BF16)})
    return lines_of(one, two, one.tensors["a.weight"], two.tensors["a.weight"], OPTIONS)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_rows_and_columns_are_found(tmp_path, axis, noise):
    theirs = normal(1, (64, 80))
    order = np.random.default_rng(2).permutation(theirs.shape[axis])
    mine = np.take(theirs, order, axis=axis) + noise * normal(3, (64, 80)) / 0.05
    found = order_of(tmp_path, mine, theirs)
    assert found == Lines(axis == 0, tuple(order.tolist()), theirs.shape[axis])
    assert found.filled == found.sources


def test_what_is_in_place_has_no_order(tmp_path):
    theirs = normal(1, (64, 80))
    assert order_of(tmp_path, theirs + 0.1 * normal(2, (64, 80)), theirs) is None


def test_strangers_have_none(tmp_path):
    assert order_of(tmp_path, normal(1, (300, 96)), normal(2, (300, 96))) is None


def test_signs_are_no_order(tmp_path):
    theirs = normal(1, (64, 80))
    signs = np.random.default_rng(2).choice([-1.0, 1.0], 80)
    mine = (theirs * signs)[:, np.random.default_rng(3).permutation(80)]
    assert order_of(tmp_path, mine, theirs) is None


def test_what_is_too_narrow_has_none(tmp_path):
    theirs = normal(1, (64, 4))
    assert order_of(tmp_path, theirs[::-1], theirs) is None


def test_gaps_are_filled_with_what_nobody_is():
    assert Lines(True, (2, None, None, 0), 4).filled == (2, 1, 3, 0)
    assert Lines(True, (1, None), 2).filled == (1, 0)
    assert Lines(True, (0, 0, None), 2).filled == (0, 0, 1)


def test_blocks_are_the_largest_that_stay_together():
    heads = (2, 3, 0, 1)
    order = tuple(4 * head + i for head in heads for i in range(4))
    assert block_of_order(order) == 8
    assert blocks_of(order, 4) == heads
    assert block_of_order((0, 1, 2, 5, 4, 3)) == 1
    assert blocks_of((2, 3, None, None), 2) == (1, None)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_row_that_is_like_another_s_is_no_order(tmp_path, axis):
    """As in blends that go against the other, whose rows may be like any."""
    theirs = normal(1, (64, 64))
    mine = theirs + 0.1 * normal(2, (64, 64))
    mine[5] = 0.4 * normal(3, (64,)) + 1.5 * theirs[17]
    assert order_of(tmp_path, *(x if axis == 0 else x.T for x in (mine, theirs))) is None
