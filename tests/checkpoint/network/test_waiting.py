"""How long is waited, and what servers say of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint.network.waiting import Patience, exhausted, told


@given(st.integers(1, 200))
def test_no_pause_is_longer_than_the_longest(failures):
    assert 0.0 <= Patience(base=1.0, most=4.0).pause(failures) <= 4.0


def test_pauses_differ():
    assert len({Patience().pause(5) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"RateLimit": '"resolvers";r=0;t=55'}, 55.0),
        ({"RateLimit": "limit=3, r=0, t=5"}, 5.0),
        ({"RateLimit": "rubbish"}, None),
        ({"Retry-After": "soon", "RateLimit": '"api";r=0;t=3'}, 3.0),
        ({}, None),
    ],
)
def test_a_server_says_how_long_to_wait(headers, seconds):
    assert told(headers, now=60.0) == seconds


def test_a_limit_that_is_used_up_is_waited_for_before_it_is_broken():
    assert exhausted({"RateLimit": '"api";r=0;t=12'}) == 12.0
    assert exhausted({"RateLimit": '"api";r=1;t=12'}) is None
    assert exhausted({}) is None
