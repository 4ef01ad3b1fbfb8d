"""What was received is counted, and is no more than was promised."""

import pytest
from parentage.checkpoint.network.traffic import Traffic
from parentage.support import ReadError


def test_an_answer_that_could_be_too_much_is_not_asked_for():
    traffic = Traffic(most=100)
    with traffic.answer(60) as received:
        received.add(10)
        with (
            pytest.raises(ReadError, match=r"50 more bytes .* the 100 that may"),
            traffic.answer(50),
        ):
            pass
        with traffic.answer(40):
            pass
    # What did not come is free again.
    with traffic.answer(90) as received:
        received.add(90)
    assert (traffic.bytes, traffic.requests) == (100, 3)
    with pytest.raises(ReadError), traffic.answer(1):
        pass


def test_it_is_said_in_a_few_words():
    traffic = Traffic()
    with traffic.answer(3_000_000) as received:
        received.add(3_000_000)
    traffic.request()
    traffic.found(500_000)
    assert str(traffic) == "2 requests, 3.0 MB received, 0.5 MB from the cache"
