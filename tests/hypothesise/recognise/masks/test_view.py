"""Sampled elements as an arithmetic sees them, and where intervals meet."""

import math

import numpy as np
import pytest
from common.families import F64
from common.masked import FAMILY, NOT_MASKED, Case, findings, merged
from hypothesis import given
from hypothesis import strategies as st
from parentage.hypothesise.recognise.masks.view import (
    View,
    cell,
    deepest_overlap,
    prominent_coefficient,
    ranks,
    rows_of,
)

NAMES = ("base", "one", "two")


@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    case = Case("dare_linear", (0.6,), 0.5, parameters={"rescale": False})
    return findings(tmp_path_factory.mktemp("view"), merged(case), NAMES)


def test_cells_of_a_subnormal_and_a_power_of_two():
    low, high = cell(np.array([0.0, 1.0, -1.0]), "BF16")
    assert high[0] == -low[0] == math.ldexp(1.0, -134)
    assert (low[1], high[1]) == (1 - 2**-9, 1 + 2**-8)
    assert (low[2], high[2]) == (-1 - 2**-8, -1 + 2**-9)


def test_it_holds_displacements_and_cells_of_what_was_added(estimates):
    view = View(estimates, estimates.sample, "float32")
    name = estimates.slices[1].name
    here = view.owner == 1
    base = FAMILY["base"][name].astype(F64).ravel()
    for delta, parent in zip(view.deltas, NAMES[1:], strict=True):
        assert delta[here] == pytest.approx(FAMILY[parent][name].ravel() - base, abs=1e-7)
    assert view.size == sum(x.size for x in FAMILY["base"].values())
    # What was added is in its cell; with a whole unit more, it is not.
    assert view.admits(view.change).all()
    assert not view.admits(view.change + 2.0 * (view.high - view.low)).any()
    assert (view.change[view.moved] != 0.0).all()
    assert 0.3 < view.moved.mean() < 0.6


def test_arithmetic_in_bf16_leaves_more_room(estimates):
    plain = View(estimates, estimates.sample, "float32")
    coarse = View(estimates, estimates.sample, "bfloat16")
    moved = plain.moved
    assert ((coarse.high - coarse.low) > (plain.high - plain.low))[moved].all()


def test_the_coefficient_of_a_parent_stands_out_and_that_of_another_does_not(estimates, tmp_path):
    view = View(estimates, estimates.sample, "float32")
    assert prominent_coefficient(view, 0) == pytest.approx(0.6, rel=0.006)
    assert prominent_coefficient(view, 1) is None
    low, high, owner = view.intervals(0)
    assert (low < high).all()
    assert len(low) == len(owner) > 100
    tuned = findings(tmp_path, NOT_MASKED["another fine-tune"](), NAMES)
    assert prominent_coefficient(View(tuned, tuned.sample, "float32"), 0) is None


def test_rows_are_counted_through_all_slices(estimates):
    rows = rows_of(estimates.sample)
    assert len(rows) == estimates.sample.elements.shape[0]
    assert rows.max() + 1 == sum(x.shape[0] if x.ndim > 1 else 1 for x in FAMILY["base"].values())
    assert (np.diff(rows) >= 0).all()


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=30
    )
)
def test_most_intervals_meet_where_it_says(intervals):
    low = np.array([float(start) for start, _, _ in intervals])
    high = low + np.array([float(length) for _, length, _ in intervals])
    owner = np.array([who for *_, who in intervals])
    middle, half, depth = deepest_overlap(low, high, owner, 4)
    for who in range(4):
        mine = owner == who
        if not mine.any():
            assert np.isnan(middle[who])
            assert depth[who] == 0
            continue
        inside = (low[mine] <= middle[who]) & (middle[who] <= high[mine])
        assert inside.sum() == depth[who]
        most = max(((low[mine] <= x) & (x <= high[mine])).sum() for x in low[mine])
        assert depth[who] == most
        assert half[who] >= 0.0


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40, unique=True), st.integers(1, 4))
def test_ranks_go_from_0_to_1_within_an_owner(sizes, owners):
    sizes = np.array(sizes)
    owner = np.arange(len(sizes)) % owners
    found = ranks(sizes, owner)
    for each in range(min(owners, len(sizes))):
        mine = sizes[owner == each]
        place = found[owner == each]
        assert np.array_equal(np.argsort(place), np.argsort(mine))
        assert place.min() == 0.0
        assert place.max() == (1.0 if len(mine) > 1 else 0.0)
