"""Threads that fetch: few enough, what is wanted first, none left when idle."""

import threading
import time

from parentage.checkpoint.network import workers as module
from parentage.checkpoint.network.workers import Workers


def test_what_is_waited_for_comes_before_what_is_fetched_ahead():
    workers, order, go, done = Workers(1), [], threading.Event(), threading.Event()
    workers.submit(go.wait)
    for name in ("ahead 1", "ahead 2"):
        workers.submit(lambda name=name: order.append(name), ahead=True)
    workers.submit(lambda: order.append("wanted"))
    workers.submit(done.set, ahead=True)
    go.set()
    assert done.wait(5)
    assert order == ["wanted", "ahead 1", "ahead 2"]


def test_threads_are_few_and_end(monkeypatch):
    monkeypatch.setattr(module, "IDLE", 0.05)
    workers, lock, seen = Workers(3), threading.Lock(), set()
    left = threading.Semaphore(0)

    def work():
        with lock:
            seen.add(threading.get_ident())
        time.sleep(0.01)
        left.release()

    for _ in range(30):
        workers.submit(work)
    for _ in range(30):
        assert left.acquire(timeout=5)
    assert 1 <= len(seen) <= 3
    until = time.monotonic() + 5
    while workers._threads and time.monotonic() < until:
        time.sleep(0.01)
    assert workers._threads == 0
