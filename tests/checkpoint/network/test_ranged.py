"""Ranges of files that the core asks for: joined, fetched once, handed over."""

import pickle
import threading

import numpy as np
import pytest
from common.networks import quick
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.network.ranged import RangedFile, join
from parentage.support import ReadError

CONTENT = np.random.default_rng(5).integers(0, 256, 3_000_000, dtype=np.uint8)


class Made:
    """A place in memory, which remembers what it was asked for."""

    name = "made"
    identity = "content"

    def __init__(self, fails=0):
        self.asked = []
        self._fails = fails
        self._lock = threading.Lock()

    def __reduce__(self):
        return Made, ()

    @property
    def bytes(self):
        return len(CONTENT)

    def fetch(self, start, end, into):
        with self._lock:
            self.asked.append((start, end))
            self._fails -= 1
            if self._fails >= 0:
                raise ReadError("the line is dead")
        into[:] = CONTENT[start:end].data


spans = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(1, 200)).map(lambda x: (x[0], x[0] + x[1])),
    min_size=1,
    max_size=30,
).map(sorted)


@given(spans, st.integers(0, 50), st.integers(10, 300), st.integers(0, 100))
def test_joined_ranges_hold_all_that_was_given_and_overlap_nowhere(given_, gap, most, least):
    size = 1300
    found = join(given_, size, gap, most, least)
    covered = np.zeros(size, dtype=int)
    for start, end in found:
        assert 0 <= start < end <= size
        assert end - start <= max(most, least)
        covered[start:end] += 1
    assert covered.max() == 1
    for start, end in given_:
        assert covered[start:end].all()


def test_what_was_planned_is_fetched_in_few_requests_and_once():
    place = Made()
    file = RangedFile(place, quick())
    wanted = [(start, start + 1000) for start in range(0, 1_000_000, 20_000)]
    file.plan(wanted)
    for start, end in wanted * 2:
        assert file.bytes_of(start, end) == CONTENT[start:end].tobytes()
    assert len(place.asked) == 1


@pytest.mark.parametrize(("start", "end"), [(0, 1), (262_143, 262_146), (2_999_999, 3_000_000)])
def test_what_nobody_planned_is_fetched_in_blocks(start, end):
    place = Made()
    file = RangedFile(place, quick())
    for _ in range(3):
        assert file.bytes_of(start, end) == CONTENT[start:end].tobytes()
    assert all(begin % (256 << 10) == 0 for begin, _ in place.asked)
    assert len(place.asked) == len(set(place.asked))


@given(spans)
def test_any_range_has_its_bytes(asked):
    file = RangedFile(Made(), quick())
    file.plan(asked[::2])
    for start, end in asked:
        assert file.bytes_of(start, end) == CONTENT[start:end].tobytes()


def test_a_range_that_failed_is_asked_for_again():
    place = Made(fails=1)
    file = RangedFile(place, quick())
    with pytest.raises(ReadError, match="made: the line is dead"):
        file.bytes_of(0, 10)
    assert file.bytes_of(0, 10) == CONTENT[:10].tobytes()


def test_nothing_is_fetched_ahead_where_there_is_no_room(monkeypatch):
    place = Made()
    network = quick()
    file = RangedFile(place, network)
    monkeypatch.setattr(type(network.pieces), "is_full", property(lambda _self: True))
    file.expect(0, 10)
    assert place.asked == []


def test_what_was_kept_is_not_fetched(tmp_path):
    first = Made()
    RangedFile(first, quick(cache=tmp_path)).bytes_of(0, 500_000)
    second, network = Made(), quick(cache=tmp_path)
    assert RangedFile(second, network).bytes_of(10, 400_000) == CONTENT[10:400_000].tobytes()
    assert first.asked
    assert second.asked == []
    assert network.traffic.kept == 399_990


def test_whoever_waits_is_told_that_it_was_interrupted():
    network = quick()
    file = RangedFile(Made(), network)
    network.interrupt()
    with pytest.raises(ReadError, match="interrupted"):
        file.bytes_of(0, 10)


def test_it_travels_to_another_process():
    found = pickle.loads(pickle.dumps(RangedFile(Made(), quick())))
    assert found.bytes_of(5, 9) == CONTENT[5:9].tobytes()
