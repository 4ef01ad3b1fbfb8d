"""What values decide clearly is paired, and nothing else."""

import numpy as np
import pytest
from parentage.align.orders.matching import NONE, exchanged, least_alike, likest, matched, units


def vectors(seed, count=20, width=256):
    return np.random.default_rng(seed).normal(size=(count, width))


def test_a_permutation_with_noise_is_found():
    order = np.random.default_rng(3).permutation(20)
    theirs = vectors(1)
    mine = theirs[order] + 0.3 * vectors(2)
    assert matched(mine, theirs, least_alike(256)).tolist() == order.tolist()


def test_strangers_are_paired_with_nothing():
    found = matched(vectors(1, 300, 96), vectors(2, 300, 96), least_alike(96), np.arange(300))
    assert set(found.tolist()) == {NONE}


def test_what_is_at_home_stays_there_among_twins():
    theirs = np.repeat(vectors(1, 2), 3, axis=0)
    assert matched(theirs, theirs, 0.5, np.arange(6)).tolist() == list(range(6))
    # Without numbers, twins are taken in turn.
    assert sorted(matched(theirs, theirs, 0.5).tolist()) == list(range(6))


def test_a_copy_may_be_taken_twice():
    theirs = vectors(1)
    assert matched(theirs[[4, 4, 0]], theirs, 0.5, np.arange(3)).tolist() == [4, 4, 0]


def test_what_is_about_as_like_as_the_next_is_not_decided():
    one = vectors(1, 1)
    near = one + 0.30 * vectors(2, 1), one + 0.31 * vectors(3, 1)
    assert matched(one, np.concatenate(near), 0.5).tolist() == [NONE]


@pytest.mark.parametrize("bad", [0.0, np.inf, np.nan])
def test_rows_that_are_no_numbers_have_no_partner(bad):
    theirs = vectors(1, 3)
    mine = np.nan_to_num(np.full((1, 256), bad), posinf=0.0)
    assert matched(mine, theirs, 0.5).tolist() == [NONE]


def test_nothing_is_paired_with_nothing():
    assert matched(np.zeros((0, 8)), vectors(1, 3, 8), 0.5).tolist() == []
    assert matched(vectors(1, 2, 8), np.zeros((0, 8)), 0.5).tolist() == [NONE, NONE]


def test_rows_of_huge_numbers_have_length_one():
    assert np.allclose(np.linalg.norm(units(1e300 * vectors(1, 3)), axis=1), 1.0)


def test_the_next_is_no_twin_of_the_best():
    theirs = np.concatenate([vectors(1, 1), vectors(1, 1), vectors(2, 1)])
    found = likest(units(vectors(1, 1)), units(theirs), 0.5)
    assert found.twins[0].tolist() == [0, 1]
    assert found.following[0] < 0.5 < found.best[0]


def test_one_partner_is_had_by_several_only_if_they_are_equal():
    theirs = vectors(1, 4)
    alike = theirs[1] + 0.5 * vectors(2, 1)[0]
    found = np.array([1, 1, 2, 3])
    assert exchanged(found, np.vstack([alike, theirs[1:]]), theirs).tolist() == [NONE, 1, 2, 3]
    assert exchanged(found, theirs[[1, 1, 2, 3]], theirs).tolist() == [1, 1, 2, 3]
    assert exchanged(found, 0.0 * theirs, 0.0 * theirs).tolist() == [1, 1, 2, 3]


def test_a_few_that_moved_have_to_have_changed_places():
    rows = vectors(1, 40)
    home = np.arange(40)
    swapped = home.copy()
    swapped[[3, 9]] = [9, 3]
    assert exchanged(swapped, rows, rows).tolist() == swapped.tolist()
    # What took the place of one that is nowhere is where it was; so is what came before it.
    lost = home.copy()
    lost[[3, 9, 20]] = [9, 20, NONE]
    expected = np.where((home == 3) | (home == 9) | (home == 20), NONE, home)
    assert exchanged(lost, rows, rows).tolist() == expected.tolist()
    # Of many, some may not be decided.
    order = np.random.default_rng(5).permutation(40)
    order[7] = NONE
    assert exchanged(order, rows, rows).tolist() == order.tolist()
