"""Pieces of files: none overlap, all of a range is there, and memory is bounded."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.network.pieces import Pieces


def come(pieces):
    """Have pieces come."""
    for each in pieces:
        each.data = np.zeros(each.bytes, dtype=np.uint8)
        each.done.set()


ranges = st.tuples(st.integers(0, 200), st.integers(1, 60)).map(lambda x: (x[0], x[0] + x[1]))


@given(st.lists(st.tuples(st.integers(0, 2), ranges), max_size=30), st.integers(1, 500))
def test_a_range_is_covered_once_whatever_was_asked_for_before(asked, most):
    pieces = Pieces(most)
    for file, (start, end) in asked:
        found, fresh = pieces.covering(file, start, end)
        assert set(fresh) <= set(found)
        assert found[0].start <= start
        assert found[-1].end >= end
        assert all(one.end == two.start for one, two in pairwise(found))
        assert all(start <= each.start and each.end <= end for each in fresh)
        come(fresh)
        assert pieces.held(file, start, end) == found
    held = [each for file in range(3) for each in pieces._files.get(file, [])]
    assert sum(each.bytes for each in held) == pieces._bytes


def test_what_has_come_goes_when_there_is_no_room_and_what_is_looked_at_again_goes_last():
    pieces = Pieces(30)
    for start in (0, 10, 20):
        come(pieces.covering(1, start, start + 10)[1])
    (first,) = pieces.held(1, 0, 10)
    first.served = 25
    come(pieces.covering(1, 30, 40)[1])
    assert pieces.held(1, 0, 10)
    assert not pieces.held(1, 10, 20)
    assert pieces.is_full


def test_what_is_under_way_stays():
    pieces = Pieces(5)
    (one,) = pieces.covering(1, 0, 10)[1]
    pieces.covering(1, 10, 20)
    assert pieces.held(1, 0, 20)[0] is one


def test_a_piece_that_failed_is_fetched_again():
    pieces = Pieces(100)
    (one,) = pieces.covering(1, 0, 10)[1]
    pieces.drop(one)
    pieces.drop(one)
    assert pieces.covering(1, 0, 10)[1][0] is not one


def test_what_is_on_its_way_pushes_out_no_more_than_half_of_what_is_looked_at_again():
    pieces = Pieces(100)
    come(pieces.covering(1, 0, 40)[1])
    pieces.held(1, 0, 40)[0].served = 100
    for start in range(1000, 3000, 20):
        come(pieces.covering(1, start, start + 20)[1])
    assert pieces.held(1, 0, 40)
    assert pieces._bytes <= 100
