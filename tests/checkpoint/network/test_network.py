"""What all that is fetched shares, and how it is left."""

import logging
import threading
import time

import pytest
from common.networks import quick
from parentage.checkpoint import Network
from parentage.checkpoint.network.network import shared
from parentage.support import ReadError


def test_a_call_returns_and_raises_as_it_would_here():
    network = quick()
    assert network.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        network.call(lambda: 1 // 0)


def test_a_call_that_never_ends_can_be_left():
    network = quick()
    threading.Timer(0.1, network.interrupt).start()
    start = time.monotonic()
    with pytest.raises(ReadError, match="interrupted"):
        network.call(lambda: time.sleep(10))
    assert time.monotonic() - start < 2
    with pytest.raises(ReadError, match="interrupted"):
        network.wait(10)


def test_there_is_one_for_all_that_have_none():
    assert shared() is shared()


def test_what_a_user_should_know_is_logged(caplog):
    with caplog.at_level(logging.WARNING, "parentage"):
        Network().note("it is said")
    assert caplog.messages == ["it is said"]
