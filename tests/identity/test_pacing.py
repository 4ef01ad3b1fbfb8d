"""How long is waited, and at whose word."""

import asyncio
import email.utils
import time

import pytest
from parentage.identity.pacing import MOST_ASKED_FOR, Gate, Pace, asked_wait


def test_waits_grow_are_drawn_and_have_a_limit():
    pace = Pace(first=1.0, most=4.0)
    draws = {failures: [pace.wait(failures) for _ in range(200)] for failures in (1, 2, 3, 9, 5000)}
    for failures, most in ((1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0), (5000, 4.0)):
        assert 0.0 <= min(draws[failures]) < max(draws[failures]) <= most
        assert max(draws[failures]) > most / 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "-7"}, 0.0),
        ({"Retry-After": "1e12"}, MOST_ASKED_FOR),
        ({"Retry-After": "inf"}, MOST_ASKED_FOR),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Fri, 99 Nov 2026 99:99:99 GMT"}, None),
        ({"RateLimit": '"resolvers";r=0;t=113'}, 113.0),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    ],
)
def test_what_a_server_asks_is_read(headers, seconds):
    assert asked_wait(headers) == seconds


def test_a_date_is_read():
    when = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert asked_wait({"Retry-After": when}) == pytest.approx(30, abs=3)


def test_a_gate_lets_nobody_pass_for_a_while():
    async def passed(gate):
        begun = time.monotonic()
        await gate.passed()
        return time.monotonic() - begun

    async def both():
        gate = Gate()
        assert await passed(gate) < 0.1
        gate.close_for(0.2)
        gate.close_for(0.05)
        return await asyncio.gather(passed(gate), passed(gate))

    assert min(asyncio.run(both())) >= 0.19
