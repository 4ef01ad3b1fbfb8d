"""Sums over the runs of a sample, and the statistics that they are estimates of.

Estimates of a slice stand for all of it: its sums are multiplied by its elements over those that
were read, so that layers, components and the model weigh their slices as a full pass does. Counts
are of what was read.

The jackknife leaves out whole runs, since neighbouring elements are alike: every run is added to
one of the sixteen blocks of its slice, in turn, and blocks of a group of slices hold the same share
of the runs of all. A slice with fewer than sixteen runs has as many blocks, one with a single run
no standard error of its own; in the rows of layers, components and the model the runs of different
slices provide the variation. What differs between slices and strata is in it too, and that a
sample without repetition errs less than one with (the finite population's factor) is left out:
errors are rather too large than too small. A slice that was read whole has the blocks of a full
pass.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import is_replayed
from parentage.statistics import scatter, tabulate
from parentage.stream import (
    COUNTED,
    SILENT,
    Gram,
    Progress,
    one_pass,
    squares_of,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Alignment
    from parentage.checkpoint import Columns
    from parentage.sample.strata import Runs
    from parentage.statistics import Scattered, Statistics
    from parentage.stream import Options, Program, RangeSums, ReplayedSums, Value
    from parentage.support import Floats

GROUPS = 8
"""Groups of runs that can be left out: two blocks each."""

RANGE_CHUNKS = 1 << 12
"""Chunks whose partial results are held at once. Those of runs are as many and as large as those of
long slices, and are of fewer bytes."""

ROWS = 1 << 10
"""Slices whose blocks are unpacked at a time."""

_TALLIED = ("n", "excluded", "moved", "stray", "equal", "reproduced", "explained", "mismatched")

_TOTAL = ("nan", "inf", "histogram", "precision", "zero_signs", "ulps", "first")


class SampledSums:
    """Sums over runs, by slice and block. Memory depends on the number of slices alone."""

    def __init__(
        self,
        alignment: Alignment,
        columns: Columns,
        options: Options,
        replays: Sequence[tuple[Program, Sequence[Value]]] = (),
        groups: int = GROUPS,
    ) -> None:
        """Collect what :func:`parentage.statistics.full_pass` does, with the same arguments.

        ``groups`` of runs can be left out, :data:`GROUPS` or none: 0.
        """
        self._alignment, self._columns = alignment, columns
        # Runs are read again by a full pass, which is the one that digests are carried on by.
        self._options = options.for_runs()
        self._replays = replays
        self._applies = np.array([is_replayed(each) for each in alignment.slices])
        slices, width, replayed = len(alignment.slices), alignment.plan.columns, len(replays)
        self._blocks = np.zeros((slices, _core.BLOCKS, width * (width + 1) // 2))
        self._whole = np.zeros(slices, dtype=bool)
        shapes = {"equal": (width - 1,), "n": (), "excluded": (), "moved": (), "stray": ()}
        # The last group is of slices that were read whole, and is never left out.
        self._groups = groups
        self._tallies = {
            name: np.zeros((slices, groups + 1, *shapes.get(name, (replayed,))), np.uint64)
            for name in _TALLIED
        }
        self._energy = np.zeros((slices, groups + 1))
        self._bias = np.zeros((slices, width - 2, _core.WEIGHTS + 1))
        totals = {
            "nan": (width,),
            "inf": (width,),
            "histogram": (width - 2, _core.BINS),
            "precision": (),
            "zero_signs": (replayed,),
            "ulps": (replayed, _core.ULPS),
        }
        self._totals: dict[str, NDArray[Any]] = {
            name: np.zeros((slices, *shape), np.uint32 if name == "histogram" else np.uint64)
            for name, shape in totals.items()
        }
        self._totals["first"] = np.full((slices, replayed), -1, dtype=np.int64)
        self.stands_for: Floats | None = None
        """(S,) elements that the runs of each slice stand for; ``None`` if that is all of it."""
        self._places: list[tuple[int, int, int]] = []
        self.bytes = 0
        """Bytes read, over all checkpoints."""
        self.runs = 0

    @property
    def elements(self) -> int:
        """Elements of the child that were read."""
        return int(self._tallies["n"].sum())

    @property
    def share(self) -> float:
        """Share of all bytes that was read."""
        plan = self._alignment.plan
        return self.bytes / max(plan.bytes(0, plan.slices), 1)

    @property
    def slices(self) -> int:
        """Slices of which something was read."""
        return int(self._tallies["n"].any(axis=1).sum())

    @property
    def of_slices(self) -> int:
        """Slices in all."""
        return len(self._alignment.slices)

    def add(self, runs: Runs, progress: Progress = SILENT) -> None:
        """Read ``runs``, none of which was read before."""
        if not len(runs.owner):
            return
        if self._options.is_far:
            self._places += zip(
                runs.owner.tolist(), runs.starts.tolist(), runs.counts.tolist(), strict=True
            )
        plan = self._alignment.part(runs.owner, runs.starts, runs.counts)
        progress.start(plan.bytes(0, plan.slices))
        done = 0
        for first, last in plan.ranges(RANGE_CHUNKS):
            owner = runs.owner[first:last]
            starts = runs.starts[first:last]
            replays = [
                program.replay(results, owner, starts, applies=self._applies)
                for program, results in self._replays
            ]
            found = one_pass(plan, first, last, self._options, progress, done, replays)
            self._fold(found, owner, starts, runs.counts[first:last], runs.blocks[first:last])
            done += plan.bytes(first, last)
        self.bytes += done
        self.runs += len(runs.owner)

    def _fold(
        self,
        found: ReplayedSums,
        owner: NDArray[np.intp],
        starts: NDArray[np.uint64],
        counts: NDArray[np.uint64],
        blocks: NDArray[np.intp],
    ) -> None:
        whole = blocks < 0
        self._whole[owner[whole]] = True
        self._blocks[owner[whole]] = found.gram[whole]
        parts = ~whole
        np.add.at(self._blocks, (owner[parts], blocks[parts]), found.gram[parts].sum(axis=1))
        group = np.where(whole, self._groups, blocks % max(self._groups, 1))
        np.add.at(self._energy, (owner, group), found.energy)
        np.add.at(self._bias, owner, found.bias)
        for name, tally in self._tallies.items():
            source = found.replayed if name in COUNTED else found
            values = counts if name == "n" else getattr(source, name)
            np.add.at(tally, (owner, group), values)
        for name, total in self._totals.items():
            values = getattr(found.replayed if name in COUNTED else found, name)
            if name == "first":
                _earliest(total, owner, starts, values)
            else:
                ufunc = np.maximum if name == "precision" else np.add
                ufunc.at(total, owner, values.astype(total.dtype))

    def statistics(self, without: int | None = None) -> Statistics:
        """Return what :func:`parentage.statistics.full_pass` would, estimated from the runs.

        ``without`` leaves out one of the groups of runs. Slices that were read whole
        stay, and so do counts that no rule looks at.
        """
        return tabulate(
            self._alignment, self._columns, self._parts(without), lambda: self._scattered
        )

    @cached_property
    def _scattered(self) -> Scattered:
        """Elements of all slices, wherever the runs are."""
        where = self._places if self._options.is_far else None
        return scatter(self._alignment, self._options, where=where)

    def _parts(self, without: int | None) -> Iterator[RangeSums]:
        slices = self._alignment.slices
        kept = [group for group in range(self._groups + 1) if group != without]
        for first in range(0, len(slices), ROWS):
            rows = slice(first, min(first + ROWS, len(slices)))
            tally = {name: each[rows][:, kept].sum(axis=1) for name, each in self._tallies.items()}
            total = {name: each[rows] for name, each in self._totals.items()}
            blocks = self._blocks[rows]
            if without is not None:
                is_left = np.arange(_core.BLOCKS) % GROUPS == without
                blocks = blocks.copy()
                blocks[~self._whole[rows][:, None] & is_left] = 0.0
            size = (
                np.array([each.elements for each in slices[rows]], dtype=np.float64)
                if self.stands_for is None
                else self.stands_for[rows]
            )
            n = tally["n"]
            scale = np.where(n > 0, size / np.maximum(n, 1), 0.0)
            full = unpack(blocks) * scale[:, None, None, None]
            part = Gram(
                n=n,
                blocks=full,
                energy=self._energy[rows][:, kept].sum(axis=1) * scale,
                excluded=tally["excluded"],
                moved=tally["moved"],
                stray=tally["stray"],
                equal=tally["equal"],
                nan=total["nan"],
                inf=total["inf"],
                histogram=total["histogram"].astype(np.uint64),
                precision=total["precision"],
                bias=self._bias[rows] * scale[:, None, None],
                squares=squares_of(full),
                used=(n - tally["excluded"]).astype(np.float64) * scale,
            )
            counted = tally | total
            counts: dict[str, NDArray[Any]] = {name: counted[name] for name in COUNTED}
            yield rows.start, rows.stop, part, counts


def _earliest(
    first: NDArray[np.int64],
    owner: NDArray[np.intp],
    starts: NDArray[np.uint64],
    found: NDArray[np.int64],
) -> None:
    """Take over the first mismatches of runs, counted from the beginning of their slice."""
    far = np.iinfo(np.int64).max
    least = np.where(first < 0, far, first)
    np.minimum.at(least, owner, np.where(found < 0, far, found + starts[:, None].astype(np.int64)))
    first[:] = np.where(least == far, -1, least)
