"""What fetches ranges of one file."""

from __future__ import annotations

from typing import Protocol


class Place(Protocol):
    """A file somewhere, whose ranges can be fetched. Called from many threads at a time."""

    @property
    def name(self) -> str:
        """What messages call it; without credentials, queries and fragments."""

    @property
    def bytes(self) -> int:
        """Its length."""

    @property
    def identity(self) -> str:
        """What no other content has: a digest, or where it is with its ETag; empty if unknown."""

    def fetch(self, start: int, end: int, into: memoryview) -> None:
        """Write the bytes from ``start`` to ``end`` (exclusive) into ``into``, or raise.

        Raises
        ------
        ReadError
            If that fails for good, or the file is not the one that was opened.
        """
