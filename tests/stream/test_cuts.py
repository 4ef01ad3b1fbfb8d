"""Where plans are cut: every slice once, at the ends of files where that is near enough."""

import numpy as np
import pytest
from conftest import BF16, opened
from hypothesis import given
from hypothesis import strategies as st
from parentage.align import align, seen_by
from parentage.stream import Options, Program
from parentage.stream.cuts import PART_SLACK, SLACK, Cuts, ReplayContents, contents_of, pieces


class Made(Cuts):
    """Cuts of slices of such sizes in such files, without a plan."""

    def __init__(self, sizes, files):
        self.ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._shards = np.array(files, dtype=np.int64).reshape(len(sizes), -1)


def covers(ranges, slices):
    """Ranges begin with the first slice, follow each other, and end with the last."""
    assert ranges[0][0] == 0
    assert ranges[-1][1] == slices
    assert all(first <= last for first, last in ranges)
    assert [last for _, last in ranges[:-1]] == [first for first, _ in ranges[1:]]


@st.composite
def made(draw):
    sizes = draw(st.lists(st.integers(1, 1000), min_size=1, max_size=60))
    columns = draw(st.integers(1, 3))
    numbers = st.integers(0, 5)
    rows = [[draw(numbers) for _ in range(columns)] for _ in sizes]
    return Made(sizes, sorted(rows) if draw(st.booleans()) else rows)


@given(made(), st.integers(1, 80))
def test_parts_hold_every_slice_once_and_in_order(cuts, count):
    parts = cuts.parts(count)
    assert len(parts) == count
    covers(parts, cuts.slices)


@given(made(), st.integers(1, 80))
def test_parts_are_as_even_as_slices_allow(cuts, count):
    share = cuts.ends[-1] / count
    largest = np.diff(cuts.ends).max()
    for first, last in cuts.parts(count):
        assert cuts.bytes(first, last) <= share * (1 + 2 * PART_SLACK) + 2 * largest


@given(made(), st.integers(1, 5000))
def test_ranges_go_on_to_the_end(cuts, wanted):
    at, largest = 0, np.diff(cuts.ends).max()
    while at < cuts.slices:
        end = cuts.end(at, wanted)
        assert at < end <= cuts.slices
        assert cuts.bytes(at, end) <= wanted * (1 + SLACK) + largest
        at = end


@given(made())
def test_what_is_parted_is_counted_as_defined(cuts):
    for place in range(cuts.slices + 1):
        parted = sum(
            len(set(column[:place].tolist()) & set(column[place:].tolist()))
            for column in cuts._shards.T
        )
        assert cuts.parted[place] == parted


@given(made(), st.integers(1, 9))
def test_every_file_begins_in_one_part(cuts, count):
    begun = [each for part in cuts.parts(count) for each in cuts.begun(*part)]
    assert sorted(begun) == sorted({(column, shard) for column, shard, *_ in cuts.files})
    assert sorted(set(begun)) == sorted(cuts.in_range(0, cuts.slices))


def test_ranges_end_where_files_do():
    cuts = Made([10] * 9, [0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert cuts.end(0, 50) == 4
    assert cuts.end(0, 30) == 4
    assert cuts.end(0, 20) == 2
    assert cuts.end(4, 20) == 6


def test_no_file_is_cut_that_is_to_be_whole_unless_it_is_far_too_large():
    cuts = Made([10] * 9, [0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert cuts.end(0, 20, whole=True) == 4
    assert cuts.end(4, 20, whole=True) == 9
    assert cuts.end(0, 90, whole=True) == 9
    assert cuts.end(0, 5, whole=True) == cuts.end(0, 5) == 1


def test_parts_end_where_files_do_if_that_is_near():
    cuts = Made([10] * 99, [0] * 50 + [1] * 49)
    assert cuts.parts(2) == [(0, 50), (50, 99)]
    assert Made([10] * 10, [0] * 8 + [1] * 2).parts(2) == [(0, 5), (5, 10)]


def test_a_slice_is_never_cut():
    cuts = Made([1, 1000, 1], [0, 0, 0])
    assert cuts.end(0, 10) == 1
    assert cuts.end(1, 10) == 2
    parts = cuts.parts(4)
    assert [cuts.bytes(*each) for each in parts].count(0) >= 1


@pytest.mark.parametrize("chunks", [1, 7])
def test_pieces_of_a_range_are_those_of_the_plan(varied, monkeypatch, chunks):
    monkeypatch.setattr("parentage.stream.cuts.RANGE_CHUNKS", chunks)
    plan = varied.plan
    found = pieces(plan, 2, plan.slices - 1)
    assert found[0][0] == 2
    assert found[-1][1] == plan.slices - 1
    assert [b for _, b in found[:-1]] == [a for a, _ in found[1:]]
    assert pieces(plan, 3, 3) == []


def test_bytes_and_files_are_those_of_the_plan(varied):
    plan = varied.plan
    cuts = Cuts(plan)
    assert cuts.slices == plan.slices
    assert [cuts.bytes(0, each) for each in range(plan.slices + 1)] == [
        plan.bytes(0, each) for each in range(plan.slices + 1)
    ]
    for column, checkpoint in enumerate(contents_of(plan).checkpoints):
        used = {shard for at, shard in cuts.in_range(0, plan.slices) if at == column}
        assert used <= set(range(len(checkpoint.shards())))
        assert len(used) == len(checkpoint.shards())


def test_computed_tensors_are_of_the_file_that_they_are_computed_from(tmp_path):
    values = np.arange(32, dtype=np.float32).reshape(4, 8)
    plain = {"a.weight": values.astype(BF16), "b.weight": values.astype(BF16)}
    turned = {name: np.ascontiguousarray(x.T) for name, x in plain.items()}
    base = opened(tmp_path, "base", turned, shards=2)
    child = opened(tmp_path, "child", plain, shards=2)
    seen = seen_by(child, [base], Options(1))
    alignment = align(seen.child, seen.others)
    assert alignment.checkpoints[0].codings()
    files = Cuts(alignment.plan).in_range(0, alignment.plan.slices)
    assert set(files) <= {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_rows_of_a_replay_are_of_their_slices():
    program = Program(6)
    scaled = program.column(1) * program.scalar(np.arange(6.0))
    results = [scaled.round("BF16")]
    applies = np.array([True, False, True, True, False, True])
    part = ReplayContents.of(program.replay(results, applies=applies)).part(np.arange(2, 5))
    expected = program.replay(results, np.arange(2, 5), applies=applies)
    assert repr(part.__reduce__()) == repr(expected.__reduce__())
