"""Few, long runs over all slices: every component has some, and they stand for everything."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.sample.spread import Spread, search_runs, spread_sample

components = st.sampled_from(["experts", "attention", "norm", "embed"])
sizes = st.integers(1, 5000)
made = st.lists(st.tuples(components, sizes), min_size=1, max_size=40).map(
    lambda found: [SimpleNamespace(component=name, elements=size) for name, size in found]
)


def stood_for(spread, slices):
    """Return what runs stand for, by component."""
    out = {}
    for each, count in zip(slices, spread.stands_for, strict=True):
        out[each.component] = out.get(each.component, 0.0) + count
    return out


@given(made, st.integers(1, 500), st.integers(1, 60), st.integers(0, 2**64 - 1), st.integers(0, 3))
def test_runs_stand_for_all_elements_of_their_component(slices, length, count, seed, growth):
    spread = Spread(slices, range(len(slices)), length, count, seed)
    read = []
    for _ in range(growth + 1):
        runs = spread.fresh
        for index, start, number in zip(runs.owner, runs.starts, runs.counts, strict=True):
            assert 0 < number <= length
            assert start + number <= slices[index].elements
            read.append((int(index), int(start)))
        spread.grow()
    assert len(set(read)) == len(read), "nothing is read twice"
    total = {}
    for each in slices:
        total[each.component] = total.get(each.component, 0) + each.elements
    found = stood_for(spread, slices)
    for name, elements in total.items():
        assert found[name] == pytest.approx(elements)


def test_a_sample_that_grows_ends_whole():
    slices = [SimpleNamespace(component="a", elements=1000) for _ in range(10)]
    spread = Spread(slices, range(10), 100, 4, 5)
    seen = len(spread.fresh.owner)
    while not spread.is_whole:
        assert 0.0 < spread.unseen <= 1.0
        spread.grow()
        seen += len(spread.fresh.owner)
    assert seen == 100
    assert spread.unseen == 0.0


def test_every_component_has_some_however_small_it_is():
    slices = [SimpleNamespace(component="experts", elements=10**8) for _ in range(1000)]
    slices += [SimpleNamespace(component="norm", elements=4096) for _ in range(200)]
    spread = Spread(slices, range(1200), 1 << 18, 40, 9)
    owners = spread.fresh.owner
    assert (owners >= 1000).sum() == 2
    assert 36 <= len(owners) <= 42


def test_the_estimate_of_a_mean_is_not_that_of_the_largest_slices():
    random = np.random.default_rng(3)
    slices = [SimpleNamespace(component="a", elements=1 << 14) for _ in range(400)]
    slices += [SimpleNamespace(component="a", elements=1 << 20)]
    means = [*random.normal(1.0, 0.1, 400).tolist(), 5.0]
    weights = np.array([each.elements for each in slices], dtype=float)
    true = float(np.average(means, weights=weights))
    found = []
    for seed in range(200):
        spread = Spread(slices, range(401), 1 << 12, 40, seed)
        stands = spread.stands_for
        found.append(float((stands * means).sum() / stands.sum()))
    assert np.mean(found) == pytest.approx(true, abs=4 * np.std(found) / 200**0.5)


def test_a_smaller_search_reads_the_beginnings_of_the_same_runs():
    slices = [SimpleNamespace(component="a", elements=1 << 20) for _ in range(90)]
    large = search_runs(slices, range(90), 1 << 21, 7)
    small = search_runs(slices, range(90), 1 << 12, 7)
    assert [each[:2] for each in large] == [each[:2] for each in small]
    assert all(one[2] <= other[2] for one, other in zip(small, large, strict=True))
    assert search_runs(slices, range(90), 1 << 21, 8) != large


def test_a_budget_is_of_all_checkpoints():
    slices = tuple(SimpleNamespace(component="a", elements=1 << 22) for _ in range(50))
    plan = SimpleNamespace(slices=50, bytes=lambda first, last: (last - first) * 6 << 22)
    found = spread_sample(SimpleNamespace(slices=slices, plan=plan), 60 << 20, 1)
    assert int(found.fresh.counts.sum()) * 6 == pytest.approx(60 << 20, rel=0.05)
