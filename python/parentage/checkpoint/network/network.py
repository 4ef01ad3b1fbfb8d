"""What all files that are fetched share: limits, counters, memory, a cache on disk."""

from __future__ import annotations

import logging
import threading
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from parentage.checkpoint.network.client import Client
from parentage.checkpoint.network.hosts import Hosts
from parentage.checkpoint.network.kept import Kept
from parentage.checkpoint.network.pieces import Pieces
from parentage.checkpoint.network.traffic import Traffic
from parentage.checkpoint.network.waiting import Patience
from parentage.checkpoint.network.workers import Workers
from parentage.support import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    _T = TypeVar("_T")

CONNECTIONS = 32
"""Requests that are under way at a time, to all hosts and to each."""

MEMORY = 96 << 20
"""Bytes of ranges that are held, those under way included."""


class Network:
    """How checkpoints that are on no disk are read, and what that has cost so far.

    Parameters
    ----------
    cache
        A folder that keeps what was fetched, by the content of files. It is made if need be; what
        goes wrong with it is told, and does not stop anything.
    max_bytes
        The most bytes that are received, of whatever kind: an answer that could be more is not
        asked for, and the reading fails.
    note
        Told, in sentences, what a user should know and did not ask for; by default they are logged
        as warnings, which go to stderr.
    patience
        How often and how long failures are borne.

    Examples
    --------
    >>> network = Network(max_bytes=1 << 20)
    >>> network.traffic.requests, network.traffic.bytes
    (0, 0)
    """

    def __init__(
        self,
        *,
        cache: str | PathLike[str] | None = None,
        max_bytes: int | None = None,
        note: Callable[[str], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.note = logging.getLogger("parentage").warning if note is None else note
        self.patience = Patience() if patience is None else patience
        self.traffic = Traffic(max_bytes)
        self.pieces = Pieces(MEMORY)
        self.workers = Workers(CONNECTIONS)
        self.hosts = Hosts(CONNECTIONS, self.wait)
        self.kept = None if cache is None else Kept(cache, self.note)
        self._interrupted = threading.Event()

    @cached_property
    def client(self) -> Client:
        """What makes requests of http and https, as the environment says."""
        return Client(CONNECTIONS, self.patience)

    def interrupt(self) -> None:
        """Have everything fail that waits, or will."""
        self._interrupted.set()

    def check(self) -> None:
        """Fail after :meth:`interrupt`.

        Raises
        ------
        ReadError
        """
        if self._interrupted.is_set():
            raise ReadError("the reading was interrupted")

    def wait(self, seconds: float) -> None:
        """Wait, but not after :meth:`interrupt`.

        Raises
        ------
        ReadError
        """
        self._interrupted.wait(seconds)
        self.check()

    def call(self, function: Callable[[], _T]) -> _T:
        """Return what a call returns or raises that is made by another thread, which can be left.

        Raises
        ------
        ReadError
            After :meth:`interrupt`, while the call goes on.
        """
        found: list[_T] = []
        raised: list[BaseException] = []
        done = threading.Event()

        def task() -> None:
            try:
                found.append(function())
            except BaseException as error:
                raised.append(error)
            done.set()

        self.workers.submit(task)
        while not done.wait(0.1):
            self.check()
        if raised:
            raise raised[0]
        return found[0]


_SHARED: list[Network] = []
_LOCK = threading.Lock()


def shared() -> Network:
    """Return the network of checkpoints that are opened without one of their own."""
    with _LOCK:
        if not _SHARED:
            _SHARED.append(Network())
        return _SHARED[0]
