"""Where a sample is read: strata of every slice, and a place of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage import _core
from parentage.sample import LONGEST, SHORTEST, Sampled, Sampling, Strata, least, most_unseen

WIDTH = 6
"""Bytes of an element of three checkpoints in bf16."""


@dataclass
class Slice:
    elements: int


class Plan:
    def __init__(self, sizes):
        self.sizes, self.slices = sizes, len(sizes)

    def bytes(self, first, last):
        return WIDTH * sum(self.sizes[first:last])


class Sizes:
    """What a sampling looks at of an alignment."""

    def __init__(self, sizes):
        self.slices = [Slice(each) for each in sizes]
        self.plan = Plan(sizes)


SIZES = st.lists(
    st.one_of(st.integers(1, 3 * SHORTEST), st.integers(1, 1 << 25)), min_size=1, max_size=30
)
SHARES = st.floats(1e-4, 0.9)
SEEDS = st.integers(0, (1 << 64) - 1)


def sampling(sizes, share, seed=0):
    return Sampling(Sizes(sizes), int(share * WIDTH * sum(sizes)), seed)


def spans(found, rounds=1):
    """Runs of a sampling that is grown, as (slice, first element, past the last)."""
    out = []
    for number in range(rounds):
        if number:
            found.grow()
        runs = found.fresh
        out += zip(
            runs.owner.tolist(),
            runs.starts.tolist(),
            (runs.starts + runs.counts).tolist(),
            strict=True,
        )
    return out


@given(SIZES, SHARES, SEEDS, st.integers(1, 4))
def test_runs_lie_in_their_slices_and_apart(sizes, share, seed, rounds):
    found = sampling(sizes, share, seed)
    ordered = sorted(spans(found, rounds))
    for owner, start, end in ordered:
        assert 0 <= start < end <= sizes[owner]
        assert start % SHORTEST == 0
        assert end - start <= found.length
        assert end - start == found.length or end == sizes[owner]
    for (owner, _, end), (other, start, _) in pairwise(ordered):
        assert owner != other or end <= start


@given(SIZES, SHARES, SEEDS)
def test_every_slice_is_in_the_sample_and_those_of_one_place_are_whole(sizes, share, seed):
    found = sampling(sizes, share, seed)
    runs = found.fresh
    assert set(runs.owner.tolist()) == set(range(len(sizes)))
    read = np.bincount(runs.owner, runs.counts.astype(float), len(sizes))
    for each, size in enumerate(sizes):
        assert read[each] == size or size > found.length
    assert ((runs.blocks < 0) == (runs.counts == np.array(sizes)[runs.owner])).all()


@given(SIZES, SHARES, SEEDS)
def test_no_more_is_read_than_was_asked_for_or_than_a_run_of_each(sizes, share, seed):
    read = WIDTH * int(sampling(sizes, share, seed).fresh.counts.sum())
    budget = int(share * WIDTH * sum(sizes))
    # One run more or less is what is carried over at the end.
    assert read <= max(budget + WIDTH * LONGEST, least(Sizes(sizes)))
    assert least(Sizes(sizes)) <= WIDTH * sum(sizes)


def test_a_share_is_read_of_every_large_slice():
    sizes = [1 << 24, 1 << 22, 1 << 23]
    runs = sampling(sizes, 0.05).fresh
    read = np.bincount(runs.owner, runs.counts.astype(float))
    assert np.allclose(read / sizes, 0.05, rtol=0.1)


def test_runs_are_spread_over_the_whole_of_a_slice():
    found = sampling([1 << 24], 0.02, 3)
    strata = len(found.fresh.starts)
    where = found.fresh.starts // np.uint64((1 << 24) // strata)
    assert strata >= 16
    assert (np.abs(where.astype(int) - np.arange(strata)) <= 1).all()


def test_large_samples_have_longer_runs():
    assert sampling([1 << 20] * 50, 0.01).length < sampling([1 << 28] * 50, 0.05).length == LONGEST


@given(SIZES, SHARES, SEEDS)
def test_a_sample_that_grows_ends_with_everything(sizes, share, seed):
    found = sampling(sizes, share, seed)
    read, runs = int(found.fresh.counts.sum()), len(found.fresh.owner)
    for _ in range(40):
        if found.is_whole:
            break
        found.grow()
        assert 0 < len(found.fresh.owner) <= runs
        read, runs = read + int(found.fresh.counts.sum()), runs + len(found.fresh.owner)
    assert read == sum(sizes)
    assert found.unseen == 0.0


@given(SIZES, SHARES, SEEDS)
def test_a_seed_says_which_places_are_read(sizes, share, seed):
    assert spans(sampling(sizes, share, seed), 3) == spans(sampling(sizes, share, seed), 3)


def test_another_seed_reads_other_places():
    one, other = spans(sampling([1 << 24], 0.01, 1)), spans(sampling([1 << 24], 0.01, 2))
    assert len(one) == len(other)
    assert len(set(one) & set(other)) < len(one) / 4


@pytest.mark.parametrize("grown", [0, 2])
def test_every_place_is_as_likely(grown):
    places, seeds = 40, 2000
    drawn = np.zeros(places)
    for seed in range(seeds):
        strata = Strata.draw(np.array([places], np.uint64), np.array([2], np.uint64), seed)
        for _ in range(grown):
            strata, _ = strata.split(seed)
        drawn[strata.place] += 1
    share = 2 * 2**grown / places
    deviation = np.abs(drawn / seeds - share) / np.sqrt(share * (1 - share) / seeds)
    # Forty numbers: none is five standard errors off.
    assert deviation.max() < 5
    assert drawn.sum() == seeds * 2 * 2**grown


@given(SIZES, SHARES)
def test_blocks_take_runs_in_turn(sizes, share):
    blocks = sampling(sizes, share).fresh.blocks
    expected = np.arange(len(blocks)) % _core.BLOCKS
    assert np.array_equal(blocks, np.where(blocks < 0, -1, expected))


@given(st.integers(1, 2000), st.integers(2, 1000))
def test_the_bound_is_that_of_clopper_and_pearson_for_equal_strata(count, size):
    share = most_unseen([float(size)] * count) / (count * size)
    expected = 1 - 0.05 ** (1 / count)
    assert abs(share - min(expected, 1 - 1 / size)) < 1e-6


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.data())
def test_no_way_to_differ_in_more_places_stays_unseen_more_often(sizes, data):
    bound = most_unseen([float(each) for each in sizes])
    different = [data.draw(st.integers(0, each - 1)) for each in sizes]
    if sum(different) > bound + 1e-6:
        chance = np.prod([1 - d / m for d, m in zip(different, sizes, strict=True)])
        assert chance <= 0.05 + 1e-9


def test_a_sample_says_what_it_is():
    found = Sampled(10, 0.00234, 5_000, 12, 4096, 3, unseen=0.034)
    assert "5,000 elements, 0.23% of what there is to read, in 12 runs" in str(found)
    assert "95% confidence" in found.reservation
    assert "less than 3.4% of the child" in found.reservation
    assert found.as_dict()["run_elements"] == 4096
