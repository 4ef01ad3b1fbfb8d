"""Where a plan is cut into ranges: by memory for one machine, by files and time for many.

How a plan is cut changes no result.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from parentage import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.support import Floats

    Matrix = tuple[Floats, Floats, int]

RANGE_CHUNKS = 1 << 15
"""Chunks whose partial results are held at once: some tens of MB, and gigabytes of input."""

RANGE_BYTES = 1 << 30
"""Bytes of all checkpoints together, of two bytes an element, that an interruption may cost."""

SLACK = 0.5
"""How far a range may be from the size that is wanted, as a share of it, to end where files do."""

MOST_OF_WHOLE = 4
"""How many times as large as is wanted a range may be so that no file is in two."""

PART_SLACK = 0.05
"""How far a part may end from where equal ones would, as a share of one, to end where files do."""


def pieces(plan: _core.Plan, first: int, last: int) -> list[tuple[int, int]]:
    """Return the pieces of a range of slices that are streamed one after the other."""
    chunks = max(1, min(RANGE_CHUNKS, RANGE_BYTES // (2 * _core.CHUNK * plan.columns)))
    return [
        (max(begin, first), min(end, last))
        for begin, end in plan.ranges(chunks)
        if begin < last and first < end
    ]


_Contents = TypeVar("_Contents", bound="ReplayContents")


class Contents(NamedTuple):
    """What a plan of S slices over C columns was made from."""

    checkpoints: list[_core.Checkpoint]
    """In the order of the columns."""
    elements: NDArray[np.uint64]
    """(S,) elements of each slice."""
    tensors: NDArray[np.uint64]
    """(S, C) positions of tensors in their checkpoints."""
    starts: NDArray[np.uint64]
    """(S, C) the first element of each in its tensor."""


class ReplayContents(NamedTuple):
    """A replay taken apart: what is computed, and of what."""

    operations: list[tuple[str, list[int], str | None]]
    results: list[int]
    scalars: NDArray[np.float32]
    """(S, scalars)"""
    matrices: list[list[Matrix | None]] | None
    """By slice, then by number."""
    applies: NDArray[np.bool_] | None
    """(S,) whether it says anything about the slice."""

    @classmethod
    def of(cls: type[_Contents], replay: _core.Replay) -> _Contents:
        """Take a replay apart."""
        _, made_of = replay.__reduce__()
        return cls(*made_of)  # type: ignore[arg-type]

    def part(self, rows: NDArray[np.intp]) -> _core.Replay:
        """Return the replay of some of its slices."""
        return _core.Replay(
            self.operations,
            self.results,
            self.scalars[rows],
            None if self.matrices is None else [self.matrices[row] for row in rows.tolist()],
            None if self.applies is None else self.applies[rows],
        )


def contents_of(plan: _core.Plan) -> Contents:
    """Return what a plan was made from."""
    _, made_of = plan.__reduce__()
    return Contents(*made_of)  # type: ignore[arg-type]


class Cuts:
    """The files and bytes of a plan's slices, and where it is well cut.

    Parameters
    ----------
    plan
        Of S slices over C columns.
    """

    def __init__(self, plan: _core.Plan) -> None:
        made_of = contents_of(plan)
        sizes = [plan.bytes(each, each + 1) for each in range(plan.slices)]
        self.ends: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        """(S + 1,) bytes of all slices before each."""
        self._shards = np.stack(
            [
                _shards(each)[made_of.tensors[:, column]]
                for column, each in enumerate(made_of.checkpoints)
            ],
            axis=1,
        )

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return len(self.ends) - 1

    def bytes(self, first: int, last: int) -> int:
        """Return the bytes of slices ``first`` to ``last`` (exclusive), over all checkpoints."""
        return int(self.ends[last] - self.ends[first])

    @cached_property
    def files(self) -> list[tuple[int, int, int, int]]:
        """The files that slices lie in: column, shard, its first slice and its last."""
        found = []
        for column, shards in enumerate(self._shards.T):
            numbers, firsts = np.unique(shards, return_index=True)
            lasts = len(shards) - 1 - np.unique(shards[::-1], return_index=True)[1]
            found += [
                (column, *row)
                for row in zip(numbers.tolist(), firsts.tolist(), lasts.tolist(), strict=True)
            ]
        return found

    @cached_property
    def parted(self) -> NDArray[np.int64]:
        """(S + 1,) files that have slices both before each slice and from it on."""
        steps = np.zeros(self.slices + 2, dtype=np.int64)
        for _, _, first, last in self.files:
            steps[first + 1] += 1
            steps[last + 1] -= 1
        return np.cumsum(steps)[: self.slices + 1]

    def in_range(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the files that slices ``first`` to ``last`` (exclusive) lie in: column, shard."""
        return [
            (column, int(shard))
            for column, shards in enumerate(self._shards[first:last].T)
            for shard in np.unique(shards)
        ]

    def begun(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the files whose first slice is in a range: each is in one range of several."""
        return [(column, shard) for column, shard, begin, _ in self.files if first <= begin < last]

    def end(self, first: int, wanted: float, *, whole: bool = False) -> int:
        """Return where a range from slice ``first`` on ends that has about ``wanted`` bytes.

        Of the ends within :data:`SLACK` of that, it is one that parts the fewest files, and of
        those the nearest. A slice is never cut; nor is a file, if they are to be ``whole`` and a
        range of whole files is not :data:`MOST_OF_WHOLE` times as large.
        """
        if whole:
            places = first + 1 + np.flatnonzero(self.parted[first + 1 :] == 0)
            sizes = self.ends[places] - self.ends[first]
            nearest = int(np.argmin(np.abs(sizes - wanted)))
            if sizes[nearest] <= MOST_OF_WHOLE * wanted:
                return int(places[nearest])
        return self._place(first + 1, self.ends[first] + wanted, SLACK * wanted)

    def parts(self, count: int) -> list[tuple[int, int]]:
        """Return ``count`` ranges that follow each other, are about as large, and hold every slice.

        Some are empty where slices are few or large.
        """
        share = self.ends[-1] / count
        edges = [0]
        for number in range(1, count):
            edges.append(self._place(edges[-1], share * number, PART_SLACK * share))
        return list(pairwise([*edges, self.slices]))

    def _place(self, least: int, target: float, room: float) -> int:
        """Return a place to cut from slice ``least`` on, ``room`` bytes from ``target`` at most.

        Where there is none so near, it is the nearest.
        """
        low, high = np.searchsorted(self.ends, [target - room, np.nextafter(target + room, np.inf)])
        places = np.arange(max(least, low), min(high, self.slices + 1))
        costs = self.parted[places]
        if not len(places):
            near = np.searchsorted(self.ends, target)
            places = np.clip([near - 1, near], least, self.slices)
            costs = np.zeros(2, dtype=np.int64)
        far = np.abs(self.ends[places] - target)
        return int(places[np.lexsort((far, costs))[0]])


def _shards(checkpoint: _core.Checkpoint) -> NDArray[np.int64]:
    """Return the file of each tensor; of a computed one, the first that it is computed from."""
    shards = np.array([each[4] for each in checkpoint.tensors()], dtype=np.int64)
    files = len(checkpoint.shards())
    of_coding = [windows[0][0] if windows else 0 for _, _, _, windows, *_ in checkpoint.codings()]
    # What is computed may be computed from what is computed, a few times over.
    for _ in of_coding:
        computed = shards >= files
        shards[computed] = np.array(of_coding, dtype=np.int64)[shards[computed] - files]
    return shards
