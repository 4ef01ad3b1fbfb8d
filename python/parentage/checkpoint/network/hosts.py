"""Limits by host: so many requests at a time, and none before a host wants one."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _Host:
    def __init__(self, at_once: int) -> None:
        self.slots = threading.BoundedSemaphore(at_once)
        self.not_before = 0.0


class Hosts:
    """Lets so many requests go to one host at a time, and none while it is to be left alone."""

    def __init__(self, at_once: int, wait: Callable[[float], None]) -> None:
        """Let ``at_once`` go to each; ``wait`` waits so many seconds, or raises."""
        self._at_once, self._wait = at_once, wait
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def _of(self, name: str) -> _Host:
        with self._lock:
            return self._hosts.setdefault(name, _Host(self._at_once))

    def leave_alone(self, name: str, seconds: float) -> None:
        """Make no request of a host for so many seconds."""
        host = self._of(name)
        with self._lock:
            host.not_before = max(host.not_before, time.monotonic() + seconds)

    @contextmanager
    def request(self, name: str) -> Iterator[None]:
        """Make a request of a host when it may be made."""
        host = self._of(name)
        with host.slots:
            while (seconds := host.not_before - time.monotonic()) > 0:
                self._wait(seconds)
            yield
