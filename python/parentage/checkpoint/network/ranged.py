"""A file whose ranges the core asks for: they are joined, fetched ahead, and handed over."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint.network.network import Network, shared
from parentage.support import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from parentage.checkpoint.network.pieces import Piece
    from parentage.checkpoint.network.place import Place

GAP = 64 << 10
"""Bytes between two ranges up to which they are fetched in one: a request costs as much."""

MOST = 2 << 20
"""Bytes of a request, at most: with many under way, none is faster for being larger."""

LEAST = 128 << 10
"""Bytes of a request, at least: one for less takes as long."""

BLOCK = 256 << 10
"""Bytes that are fetched around a smaller range that nobody planned."""

MOMENT = 0.05
"""Seconds that bytes are waited for before it is looked whether that is still wanted."""

_PLANS = 4
"""Plans that are remembered, of passes that go on at the same time or look again."""

_NUMBERS = itertools.count()


def join(
    ranges: Sequence[tuple[int, int]],
    size: int,
    gap: int = GAP,
    most: int = MOST,
    least: int = LEAST,
) -> list[tuple[int, int]]:
    """Return ranges that hold all of those given, which ascend, in fewer pieces.

    A range that is longer than ``most`` is cut; one that is shorter than ``least`` reaches farther,
    up to the next one, or the end of a file of ``size`` bytes.

    >>> join([(0, 10), (20, 30), (100, 120)], 200, gap=15, most=50, least=0)
    [(0, 30), (100, 120)]
    >>> join([(0, 10)], 200, most=4, least=0), join([(0, 10), (50, 60)], 60, gap=0, least=20)
    ([(0, 4), (4, 8), (8, 10)], [(0, 20), (50, 60)])
    """
    found: list[tuple[int, int]] = []
    for start, end in ranges:
        if found:
            first, last = found[-1]
            if start <= last + gap and max(last, end) - first <= most:
                found[-1] = first, max(last, end)
                continue
            # What overlaps is not fetched twice.
            start = max(start, last) if start < last else start
        while end - start > most:
            found.append((start, start + most))
            start += most
        if start < end:
            found.append((start, end))
    ends = [start for start, _ in found[1:]] + [size]
    return [
        (start, max(end, min(start + least, following)))
        for (start, end), following in zip(found, ends, strict=True)
    ]


class RangedFile:
    """What the core reads a file by that is on no disk (``Fetch`` in Rust).

    Parameters
    ----------
    place
        What fetches ranges of it.
    network
        What it shares with others.
    """

    def __init__(self, place: Place, network: Network) -> None:
        self.place, self._network = place, network
        self._number = next(_NUMBERS)
        self._plans: tuple[list[tuple[int, int]], ...] = ()

    def __reduce__(self) -> tuple[Callable[[Place], RangedFile], tuple[Place]]:
        """Pickle the place: another process has a network of its own."""
        return _restored, (self.place,)

    def plan(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Be told which ranges will be asked for; they ascend."""
        plan = join(ranges, self.place.bytes)
        if plan not in self._plans:
            self._plans = (plan, *self._plans[: _PLANS - 1])

    def expect(self, start: int, end: int) -> None:
        """Begin to fetch a range, if there is room for it."""
        for span in self._spans(start, end):
            if self._network.pieces.is_full:
                return
            self._begin(*span, ahead=True)

    def read(self, start: int, end: int) -> NDArray[np.uint8] | None:
        """Return a range as an array of bytes; ``None`` if it has not come within a moment.

        Raises
        ------
        ReadError
            If it can not be fetched.
        """
        self._network.check()
        pieces = self._network.pieces.held(self._number, start, end)
        if not pieces:
            for span in self._spans(start, end):
                pieces += self._begin(*span, ahead=False)
        pieces = [each for each in pieces if each.start < end and start < each.end]
        until = time.monotonic() + MOMENT
        for piece in pieces:
            if not piece.done.wait(max(0.0, until - time.monotonic())):
                return None
        for piece in pieces:
            if piece.error is not None:
                self._network.pieces.drop(piece)
                raise piece.error
        for piece in pieces:
            piece.served += min(end, piece.end) - max(start, piece.start)
        parts = [
            piece.data[max(start - piece.start, 0) : end - piece.start]
            for piece in pieces
            if piece.data is not None
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def bytes_of(self, start: int, end: int) -> bytes:
        """Return a range, however long it takes.

        Raises
        ------
        ReadError
            If it can not be fetched; names the file.
        """
        if start == end:
            return b""
        try:
            while (found := self.read(start, end)) is None:
                pass
        except ReadError as error:
            raise ReadError(f"{self.place.name}: {error}") from error
        return found.tobytes()

    def _spans(self, start: int, end: int) -> list[tuple[int, int]]:
        """Return what is fetched for a range: planned pieces that hold it, or blocks around it."""
        for plan in self._plans:
            if found := _planned(plan, start, end):
                return found
        if end - start < BLOCK:
            start -= start % BLOCK
            end = min(end + -end % BLOCK, self.place.bytes)
            return [(at, min(at + BLOCK, end)) for at in range(start, end, BLOCK)]
        return join([(start, end)], self.place.bytes)

    def _begin(self, start: int, end: int, *, ahead: bool) -> list[Piece]:
        """Return the pieces that a range is in, those under way that were not there."""
        pieces, fresh = self._network.pieces.covering(self._number, start, end)
        for piece in fresh:
            self._network.workers.submit(partial(self._fetch, piece), ahead=ahead)
        return pieces

    def _fetch(self, piece: Piece) -> None:
        try:
            piece.data = self._fetched(piece.start, piece.end)
        except BaseException as error:
            piece.error = error
        finally:
            piece.done.set()

    def _fetched(self, start: int, end: int) -> NDArray[np.uint8]:
        network, identity = self._network, self.place.identity
        if network.kept is not None and identity:
            found = network.kept.find(identity, start, end)
            if found is not None:
                network.traffic.found(end - start)
                return found
        data = np.empty(end - start, dtype=np.uint8)
        self.place.fetch(start, end, data.data)
        data.flags.writeable = False
        identity = self.place.identity
        if network.kept is not None and identity:
            network.kept.add(identity, start, data)
        return data


def _planned(plan: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Return the pieces of a plan that hold a range together; none if they do not."""
    found = []
    at = bisect_right(plan, start, key=lambda piece: piece[0]) - 1
    while 0 <= at < len(plan) and plan[at][0] <= start < plan[at][1]:
        found.append(plan[at])
        if end <= plan[at][1]:
            return found
        start = plan[at][1]
        at += 1
    return []


def _restored(place: Place) -> RangedFile:
    return RangedFile(place, shared())
