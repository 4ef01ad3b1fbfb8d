"""Threads that fetch: as many as requests may be under way, gone when nothing is left to do."""

from __future__ import annotations

import heapq
import threading
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE = 2.0
"""Seconds after which a thread without work ends."""


class Workers:
    """Carries out calls, what is waited for before what is fetched ahead.

    The threads are daemons: a process that ends waits for none of their requests.
    """

    def __init__(self, most: int) -> None:
        """Have ``most`` threads at a time."""
        self._most = most
        self._tasks: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._threads = self._waiting = 0
        self._changed = threading.Condition()

    def submit(self, task: Callable[[], None], *, ahead: bool = False) -> None:
        """Have a call carried out, which raises nothing."""
        with self._changed:
            heapq.heappush(self._tasks, (int(ahead), next(self._order), task))
            if self._waiting >= len(self._tasks) or self._threads >= self._most:
                self._changed.notify()
                return
            self._threads += 1
        threading.Thread(target=self._run, name="parentage-fetch", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._tasks:
                    self._waiting += 1
                    has_work = self._changed.wait(IDLE)
                    self._waiting -= 1
                    if not has_work and not self._tasks:
                        self._threads -= 1
                        return
                _, _, task = heapq.heappop(self._tasks)
            task()
