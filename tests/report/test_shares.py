"""Shares as text."""

from hypothesis import given
from hypothesis import strategies as st
from parentage.report.shares import share_of


@given(st.floats(0.0, 1.0))
def test_only_all_is_told_as_all_and_only_none_as_none(share):
    assert (share_of(share) == "100%") == (share == 1.0)
    assert (share_of(share) == "0%") == (share == 0.0)


@given(st.floats(1e-4, 0.9999))
def test_what_is_told_is_right_to_two_decimals(share):
    assert abs(float(share_of(share).rstrip("%")) - 100 * share) <= 0.0051
