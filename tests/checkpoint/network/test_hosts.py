"""Requests to one host: so many at a time, and none before it wants them."""

import threading
import time

from parentage.checkpoint.network.hosts import Hosts


def test_so_many_requests_go_to_a_host_at_a_time():
    hosts = Hosts(2, time.sleep)
    now, most, lock = [0], [0], threading.Lock()

    def work():
        with hosts.request("a"):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with lock:
                now[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    with hosts.request("another"):
        pass
    for each in threads:
        each.join()
    assert most[0] == 2


def test_a_host_is_left_alone_for_as_long_as_it_says():
    waited = []

    def wait(seconds):
        waited.append(seconds)
        time.sleep(seconds)

    hosts = Hosts(1, wait)
    hosts.leave_alone("a", 0.05)
    hosts.leave_alone("a", 0.01)
    with hosts.request("b"):
        assert not waited
    start = time.monotonic()
    with hosts.request("a"):
        assert time.monotonic() - start >= 0.04
    assert waited
