"""One pass over everything, range after range; what is finished can be kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from parentage import _core
from parentage.stream.backend import How, Spreading
from parentage.stream.cuts import pieces
from parentage.stream.gram import Gram
from parentage.stream.progress import SILENT, Progress
from parentage.support import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from parentage.stream.backend import ReplayedSums, ReplaysOf, SliceSums
    from parentage.stream.options import Options
    from parentage.stream.program import Program, Value
    from parentage.support import Floats

RangeSums = tuple[int, int, Gram, dict[str, NDArray[Any]]]
"""A range of slices, first and past the last, their sums, and what replays count of them."""

COUNTED = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "first")
"""What replays count, by slice."""

_SUMMED = (
    "gram", "energy", "bias", "precision", "excluded", "moved", "stray", "equal", "nan", "inf",
    "histogram",
)  # fmt: skip


class Work(Protocol):
    """What a pass goes over: an alignment, as far as streaming knows it."""

    @property
    def plan(self) -> _core.Plan:
        """The plan of all slices."""

    @property
    def elements(self) -> NDArray[np.uint64]:
        """(S,) elements of each slice."""

    @property
    def applies(self) -> NDArray[np.bool_]:
        """(S,) whether each slice holds numbers that a replay can round to."""

    @property
    def digest(self) -> str:
        """SHA-256 of which elements are compared."""


class KeptRecord(Protocol):
    """One record of what was kept: what its line of JSON says, and arrays by name."""

    @property
    def values(self) -> Mapping[str, Any]:
        """What was said of it."""

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Its numbers."""


class Kept(Protocol):
    """Where finished ranges are kept, so that an interrupted pass can go on."""

    path: Path

    def expect(self, kind: str, values: Mapping[str, Any], what: str) -> None:
        """Write a record once, and refuse to go on if the one that is kept says otherwise."""

    def records(self, kind: str) -> Iterator[KeptRecord]:
        """Yield the records of a kind, in the order they were written."""

    def append(
        self,
        kind: str,
        values: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        """Write a record."""

    def progress(self, done: int, total: int) -> None:
        """Remember that ``done`` of ``total`` bytes are kept."""

    def resumed(self, done: int, total: int) -> None:
        """Say that a pass goes on where an interrupted one was stopped."""


def read_ranges(
    work: Work,
    options: Options,
    progress: Progress,
    replays: Sequence[tuple[Program, Sequence[Value]]],
    journal: Kept | None,
    within: tuple[int, int] | None = None,
) -> Iterator[RangeSums]:
    """Yield what ranges of slices give, in order; of those ``within`` the first and past the last.

    How slices are cut into ranges changes no result, so a journal may have been cut otherwise.
    """
    plan, elements, applies = work.plan, work.elements, work.applies
    begin, end = within or (0, plan.slices)
    total = plan.bytes(begin, end)
    done, start = 0, begin
    complete: set[tuple[int, int]] = set()
    if options.digests is not None:
        # Those that were there before are not of this pass.
        complete = {(checkpoint, shard) for checkpoint, shard, _ in options.digests.complete()}
    if journal is not None:
        programs = [program.digest(results) for program, results in replays]
        expect = {"slices": work.digest, "recipes": programs}
        journal.expect("work", expect, "what is compared")
        for record in journal.records("slices"):
            # Records follow each other; anything else was written by no pass.
            if record.values["first"] != start:
                raise JournalError(f"{journal.path}: slices after {start} are missing")
            start = record.values["last"]
        done = plan.bytes(begin, start)
        journal.resumed(done, total)
        if options.digests is not None:
            complete |= {_restored(options.digests, each) for each in journal.records("digest")}
    progress.start(total)
    if done:
        progress.update(done)
    for record in () if journal is None else journal.records("slices"):
        first, last = record.values["first"], record.values["last"]
        core = cast("SliceSums", SimpleNamespace(**record.arrays))
        part = Gram.from_core(elements[first:last], core)
        yield first, last, part, {name: record.arrays[name] for name in COUNTED}

    def replays_of(first: int, last: int) -> list[_core.Replay]:
        owner = np.arange(first, last)
        return [program.replay(results, owner, applies=applies) for program, results in replays]

    for first, last, found in _streamed(plan, (start, end), replays_of, options, progress, done):
        counted = {name: getattr(found.replayed, name) for name in COUNTED}
        done += plan.bytes(first, last)
        if journal is not None:
            summed = {name: getattr(found, name) for name in _SUMMED}
            if options.digests is not None:
                _keep_digests(options.digests, journal, complete)
            journal.append("slices", {"first": first, "last": last}, summed | counted)
            journal.progress(done, total)
        yield first, last, Gram.from_core(elements[first:last], found), counted


def _streamed(
    plan: _core.Plan,
    slices: tuple[int, int],
    replays_of: ReplaysOf,
    options: Options,
    progress: Progress,
    done: int,
) -> Iterator[tuple[int, int, ReplayedSums]]:
    """Yield what a backend gives of ranges of ``slices``, from the first and past the last.

    ``done`` are the bytes that were read before.
    """
    if isinstance(options.backend, Spreading):
        how = How(
            threads=options.threads,
            tile_bytes=options.tile_bytes,
            io=options.io,
            level=options.level,
            digests=options.digests,
        )
        yield from options.backend.spread(
            plan, *slices, replays_of, how, lambda bytes_: progress.update(done + bytes_)
        )
        return
    for first, last in pieces(plan, *slices):
        yield (
            first,
            last,
            one_pass(plan, first, last, options, progress, done, replays_of(first, last)),
        )
        done += plan.bytes(first, last)


def _restored(digests: _core.Digests, record: KeptRecord) -> tuple[int, int]:
    """Take over a digest that was kept, and return whose it is."""
    place = record.values["checkpoint"], record.values["shard"]
    digests.restore(*place, record.values["sha256"])
    return place


def _keep_digests(digests: _core.Digests, journal: Kept, complete: set[tuple[int, int]]) -> None:
    """Keep the digests that have become complete."""
    for checkpoint, shard, digest in digests.complete():
        if (checkpoint, shard) not in complete:
            values = {"checkpoint": checkpoint, "shard": shard, "sha256": digest}
            journal.append("digest", values, {})
            complete.add((checkpoint, shard))


def one_pass(
    plan: _core.Plan,
    first: int,
    last: int,
    options: Options,
    progress: Progress = SILENT,
    done: int = 0,
    replays: Sequence[_core.Replay] = (),
) -> ReplayedSums:
    """Stream slices through a backend, and carry out replays in the same pass.

    ``done`` are the bytes that ``progress`` has been told of before.
    """
    return options.backend.gram(
        plan,
        first,
        last,
        threads=options.threads,
        tile_bytes=options.tile_bytes,
        io=options.io,
        level=options.level,
        replays=list(replays),
        digests=options.digests,
        progress=lambda bytes_: progress.update(done + bytes_),
    )


def read_elements(
    checkpoints: Sequence[_core.Checkpoint],
    tensors: Sequence[Sequence[int]],
    first: int,
    count: int,
    options: Options,
) -> Floats:
    """Return (rows * count, checkpoints) elements of tensors, from ``first`` on, row by row.

    ``tensors`` are (rows, checkpoints) positions of tensors. Nothing is paired: they only have to
    hold so many elements.
    """
    # A plan is of two checkpoints at least.
    twice = list(checkpoints) * (2 if len(checkpoints) == 1 else 1)
    index = np.array([list(row) * (len(twice) // len(row)) for row in tensors], dtype=np.uint64)
    counts = np.full(len(index), count, dtype=np.uint64)
    plan = _core.Plan(twice, counts, index, np.full_like(index, first))
    runs = options.for_runs()
    found = runs.backend.elements(plan, 0, plan.slices, threads=runs.threads, io=runs.io)
    return found[:, : len(checkpoints)]
