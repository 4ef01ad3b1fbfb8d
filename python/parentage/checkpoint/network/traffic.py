"""What was asked for and received, and the promise that it is no more than so much."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from parentage.support import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Received:
    """Counts what an answer brings, of what was promised for it."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self.bytes = 0

    def add(self, count: int) -> None:
        """Count bytes that have come."""
        self.bytes += count
        with self._traffic.lock:
            self._traffic.bytes += count
            self._traffic.promised -= count


class Traffic:
    """Requests and bytes of all files together, from any thread.

    >>> traffic = Traffic(most=100)
    >>> with traffic.answer(80) as received:
    ...     received.add(50)
    >>> traffic.requests, traffic.bytes
    (1, 50)
    """

    def __init__(self, most: int | None = None) -> None:
        """Count; ``most`` bytes may be received, of whatever kind."""
        self.most = most
        self.requests = 0
        """Requests that were made, those for addresses and those that failed included."""
        self.bytes = 0
        """Bytes received in bodies of answers."""
        self.kept = 0
        """Bytes that came from a cache instead."""
        self.promised = 0
        """Bytes of answers that are under way, and have not come."""
        self.lock = threading.Lock()

    def __str__(self) -> str:
        """Return it in a few words.

        >>> str(Traffic())
        '0 requests, 0.0 MB received'
        """
        kept = f", {self.kept / 1e6:,.1f} MB from the cache" if self.kept else ""
        return f"{self.requests:,} requests, {self.bytes / 1e6:,.1f} MB received{kept}"

    def request(self) -> None:
        """Count a request that someone else makes."""
        with self.lock:
            self.requests += 1

    def found(self, count: int) -> None:
        """Count bytes that need not be fetched."""
        with self.lock:
            self.kept += count

    @contextmanager
    def answer(self, count: int) -> Iterator[Received]:
        """Count a request, and what comes of the ``count`` bytes that it asks for.

        Raises
        ------
        ReadError
            If so many are more than may be received.
        """
        with self.lock:
            if self.most is not None and self.bytes + self.promised + count > self.most:
                raise ReadError(
                    f"{count:,} more bytes would be more than the {self.most:,} that may be "
                    f"received: {self.bytes:,} were"
                )
            self.promised += count
            self.requests += 1
        received = Received(self)
        try:
            yield received
        finally:
            with self.lock:
                self.promised -= count - received.bytes
