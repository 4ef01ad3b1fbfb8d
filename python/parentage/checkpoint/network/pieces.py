"""Ranges that were fetched, or are being, as far as memory goes."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_START = attrgetter("start")


class Piece:
    """A range of a file, which has come, has failed, or is on its way."""

    __slots__ = ("data", "done", "end", "error", "file", "served", "start")

    def __init__(self, file: int, start: int, end: int) -> None:
        self.file, self.start, self.end = file, start, end
        self.data: NDArray[np.uint8] | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()
        self.served = 0
        """Bytes of it that were asked for, again and again."""

    @property
    def is_looked_at_again(self) -> bool:
        """Whether some of it was asked for more than once."""
        return self.served > self.bytes

    @property
    def bytes(self) -> int:
        """How many it has."""
        return self.end - self.start


class Pieces:
    """Pieces by file, none of which overlap.

    Those that were looked at once go first, and of these the ones that were used least recently:
    a pass uses each once, and a search looks at the same ones many times.

    >>> pieces = Pieces(100)
    >>> [(each.start, each.end) for each in pieces.covering(1, 10, 20)[1]]
    [(10, 20)]
    >>> [(each.start, each.end) for each in pieces.covering(1, 0, 30)[1]]
    [(0, 10), (20, 30)]
    >>> [(each.start, each.end) for each in pieces.held(1, 5, 15)]
    [(0, 10), (10, 20)]
    """

    def __init__(self, most: int) -> None:
        """Hold ``most`` bytes, or what is under way."""
        self._most = most
        self._used: OrderedDict[Piece, None] = OrderedDict()
        self._files: dict[int, list[Piece]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether something would have to go."""
        return self._bytes >= self._most

    def held(self, file: int, start: int, end: int) -> list[Piece]:
        """Return the pieces that have all of a range together; none if a part is not there."""
        with self._lock:
            found = self._over(file, start, end)
            at = start
            for piece in found:
                if piece.start > at:
                    return []
                at = piece.end
            if at < end:
                return []
            for piece in found:
                self._used.move_to_end(piece)
            return found

    def covering(self, file: int, start: int, end: int) -> tuple[list[Piece], list[Piece]]:
        """Return the pieces that have all of a range, and those of them that are to be fetched."""
        with self._lock:
            found: list[Piece] = []
            fresh: list[Piece] = []
            at = start
            for piece in self._over(file, start, end):
                if piece.start > at:
                    fresh.append(Piece(file, at, piece.start))
                    found.append(fresh[-1])
                found.append(piece)
                at = piece.end
            if at < end:
                fresh.append(Piece(file, at, end))
                found.append(fresh[-1])
            for piece in fresh:
                insort(self._files.setdefault(file, []), piece, key=_START)
                self._bytes += piece.bytes
                self._used[piece] = None
            for piece in found:
                self._used.move_to_end(piece)
            if self._bytes > self._most:
                self._make_room(found)
            return found, fresh

    def drop(self, piece: Piece) -> None:
        """Forget a piece: it is fetched again when it is asked for."""
        with self._lock:
            if piece in self._used:
                self._drop(piece)

    def _over(self, file: int, start: int, end: int) -> list[Piece]:
        """Return the pieces that have some of a range, in order."""
        pieces = self._files.get(file, [])
        first = bisect_right(pieces, start, key=_START) - 1
        if first < 0 or pieces[first].end <= start:
            first += 1
        return pieces[first : bisect_left(pieces, end, key=_START)]

    def _make_room(self, wanted: list[Piece]) -> None:
        """Forget what has come, but not what is about to be used."""
        kept = set(wanted)
        pieces = [each for each in self._used if each.done.is_set() and each not in kept]
        again = sum(each.bytes for each in pieces if each.is_looked_at_again)
        for piece in sorted(pieces, key=attrgetter("is_looked_at_again")):
            if self._bytes <= self._most:
                return
            if piece.is_looked_at_again:
                # What is on its way is of one use, and may push out no more than half.
                if 2 * again <= self._most:
                    return
                again -= piece.bytes
            self._drop(piece)

    def _drop(self, piece: Piece) -> None:
        del self._used[piece]
        self._bytes -= piece.bytes
        pieces = self._files[piece.file]
        del pieces[bisect_left(pieces, piece.start, key=_START)]
