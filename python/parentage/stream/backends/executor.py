"""Many workers as a backend: any executor carries out ranges of a plan, and their sums are joined.

An executor is whatever has the interface of ``concurrent.futures``. It decides which worker does
what and when; here it is decided where a plan is cut, what a worker is sent, and what becomes of a
range whose worker was lost. Sums come in any order, and are handed on in that of the slices.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import PicklingError
from typing import TYPE_CHECKING

from parentage.stream.backends.core import CORE
from parentage.stream.backends.worker import (
    KINDS,
    Answer,
    Job,
    carry_out,
    headers_of,
    packed,
    unpacked,
    versions,
)
from parentage.stream.cuts import Cuts, pieces
from parentage.support import WRITING, ExecutorError, held

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future

    from parentage import _core
    from parentage.stream.backend import Backend, How, ReplayedSums, ReplaysOf, Told

LEAST = 256 << 20
"""Bytes of a range, at least, over all checkpoints. A plan that has fewer is streamed here."""

FIRST = 32 << 30
"""Bytes of a range, at most, as long as nobody knows how fast workers are."""

SECONDS = 120.0
"""How long a range takes, at most, once it is known how fast workers are."""

LEAST_SECONDS = 3.0
"""How long it takes, at least."""

SHARE = 2
"""Ranges for each worker that what is left is cut into: the more, the more even is the end."""

MANY = 64
"""Workers that are taken to be there if an executor does not tell."""

TRIES = 3
"""How often a range is given to a worker, if workers are lost with it."""

BACKLOG = 16
"""Ranges for each worker that may be done before the first that is not."""

POLL_SECONDS = 0.2
"""How often it is looked how far workers are."""


class Spread:
    """A backend whose passes are carried out by the workers of an executor.

    What is small, samples among it, stays in this process.

    Parameters
    ----------
    executor
        Has the workers; or what makes one, which is asked again if it breaks.
    inner
        What carries ranges out on a worker, and here what is small.
    workers
        Ranges that are carried out at a time.
    at_once
        How many of them on one machine.
    threads
        Threads of each; by default those of its machine by ``at_once``.
    beside
        A folder that workers may see as well, for notes on how far they are.
    note
        Told in a sentence if workers are lost.
    """

    def __init__(
        self,
        executor: Executor | Callable[[], Executor],
        *,
        inner: Backend = CORE,
        workers: int | None = None,
        at_once: int = 1,
        threads: int | None = None,
        beside: Path | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self._executor = executor
        self.inner = inner
        self.workers, self.at_once, self.threads = workers or MANY, at_once, threads
        self._beside = beside
        self.note = note or (lambda _: None)
        self.elements = inner.elements
        self.spectrum = inner.spectrum
        self.gram = inner.gram
        self.replay_slices = inner.replay_slices
        self.replay_in_cells = inner.replay_in_cells
        self.write_replay = inner.write_replay

    def __reduce__(self) -> tuple[Callable[[Backend], Backend], tuple[Backend]]:
        """Travel as what carries ranges out: workers stay where they are."""
        return _itself, (self.inner,)

    def executor(self) -> Executor:
        """Return the executor, or make one."""
        return self._executor if isinstance(self._executor, Executor) else self._executor()

    @property
    def can_renew(self) -> bool:
        """Whether another executor can be made if one breaks."""
        return not isinstance(self._executor, Executor)

    def spread(
        self,
        plan: _core.Plan,
        first: int,
        last: int,
        replays_of: ReplaysOf,
        how: How,
        progress: Told,
    ) -> Iterator[tuple[int, int, ReplayedSums]]:
        """Yield the sums of ranges of slices, in order, from ``first`` to ``last`` (exclusive)."""
        told = progress or (lambda _: None)
        if plan.bytes(first, last) < LEAST:
            yield from self.here(plan, first, last, replays_of, how, told)
            return
        with ExitStack() as stack:
            room = stack.enter_context(_room(self._beside))
            yield from stack.enter_context(
                _Passing(self, plan, (first, last), replays_of, how, told, room)
            ).results()

    def here(
        self,
        plan: _core.Plan,
        first: int,
        last: int,
        replays_of: ReplaysOf,
        how: How,
        told: Callable[[int], object],
        done: int = 0,
    ) -> Iterator[tuple[int, int, ReplayedSums]]:
        """Yield the sums of a range that is streamed by this process; ``done`` bytes are."""
        for begin, end in pieces(plan, first, last):
            yield begin, end, self.inner.gram(
                plan, begin, end, replays=replays_of(begin, end), **how,
                progress=partial(_added, told, done),
            )  # fmt: skip
            done += plan.bytes(begin, end)


def range_bytes(left: int, workers: int, rate: float | None) -> int:
    """Return how large the next range is to be, of ``left`` bytes that nobody was given yet.

    ``rate`` are the bytes per second of a worker; ``None`` as long as nobody knows.

    >>> range_bytes(1 << 40, 8, None) >> 30, range_bytes(1 << 30, 8, None) >> 20
    (32, 256)
    >>> range_bytes(10**12, 8, 1e9), range_bytes(10**9, 8, 1e9)
    (62500000000, 3000000000)
    """
    most = FIRST if rate is None else SECONDS * rate
    least = LEAST if rate is None else LEAST_SECONDS * rate
    return int(max(LEAST, least, min(most, left / (SHARE * workers))))


def in_hand(workers: int) -> int:
    """Return how many ranges workers are given at a time: some wait, so that no worker does."""
    return workers + -(-workers // 4)


def _added(told: Callable[[int], object], before: int, bytes_: int) -> None:
    told(before + bytes_)


def _itself(backend: Backend) -> Backend:
    return backend


@contextlib.contextmanager
def _room(beside: Path | None) -> Iterator[Path]:
    """Make a folder that tells workers that their work is wanted, and remove it in the end."""
    try:
        room = Path(tempfile.mkdtemp(prefix=WRITING, dir=beside))
    except OSError:
        room = Path(tempfile.mkdtemp(prefix=WRITING))
    try:
        with held(room):
            yield room
    finally:
        for _ in range(16):  # a worker may be writing its first note into it
            shutil.rmtree(room, ignore_errors=True)
            if not room.exists():
                break


@dataclass(slots=True)
class _Range:
    """A range of slices that a worker is given."""

    first: int
    last: int
    bytes: int
    tries: int = 0
    needs_job: bool = False

    def __str__(self) -> str:
        last = self.last - 1
        return f"slice {last}" if self.first == last else f"slices {self.first} to {last}"


class _Passing:
    """One pass over a plan by the workers of an executor."""

    def __init__(
        self,
        backend: Spread,
        plan: _core.Plan,
        slices: tuple[int, int],
        replays_of: ReplaysOf,
        how: How,
        told: Callable[[int], object],
        room: Path,
    ) -> None:
        self._backend, self._plan, self._how = backend, plan, how
        self._replays_of, self._told, self._room = replays_of, told, room
        self._cuts = Cuts(plan)
        self._start, self._end = slices
        self._cut = self._start
        job = Job(
            plan, backend.inner, backend.threads, backend.at_once, how["tile_bytes"], how["io"],
            how["level"], headers_of(plan), str(room),
        )  # fmt: skip
        try:
            self._job = packed(job)
        except (TypeError, AttributeError, PicklingError) as error:
            raise ExecutorError(
                f"what is read can not be sent to workers: {_told(error)}"
            ) from error
        self._name = hashlib.sha256(self._job).hexdigest()
        self._submitted = 0
        self._executor: Executor | None = None
        self._pending: dict[Future[Answer], _Range] = {}
        self._again: deque[_Range] = deque()
        self._done: dict[int, tuple[_Range, Answer]] = {}
        self._read = self._most = 0
        self._seconds = 0.0
        self._breaks = 0
        digests = how["digests"]
        self._hashed = set() if digests is None else {each[:2] for each in digests.complete()}

    def __enter__(self) -> _Passing:
        self._executor = self._backend.executor()
        return self

    def __exit__(self, *_: object) -> None:
        for future in self._pending:
            future.cancel()
        self._give_up()

    def _give_up(self) -> None:
        """Let go of an executor that was made for this pass alone."""
        if self._backend.can_renew and self._executor is not None:
            # What workers have under way they stop by themselves.
            self._executor.shutdown(wait=False)

    def results(self) -> Iterator[tuple[int, int, ReplayedSums]]:
        """Yield the sums of all ranges, in order."""
        at = self._start
        while at < self._end:
            while at in self._done:
                each, answer = self._done.pop(at)
                self._restore(answer)
                yield from unpacked(answer.sums)
                at = each.last
            if self._executor is None:
                at = yield from self._next_here(at)
            elif at < self._end:
                self._submit()
                self._collect()

    def _next_here(self, at: int) -> Generator[tuple[int, int, ReplayedSums], None, int]:
        """Yield the sums of what no worker is left to do, and return where a worker's begin."""
        last = min(self._done, default=self._end)
        if at < last:
            yield from self._backend.here(
                self._plan, at, last, self._replays_of, self._how, self._tell_of, self._read
            )
            self._read += self._cuts.bytes(at, last)
        return last

    def _submit(self) -> None:
        """Give workers what they can take."""
        workers = self._backend.workers
        while len(self._pending) < in_hand(workers):
            if self._again:
                each = self._again.popleft()
            elif self._cut < self._end and len(self._done) < BACKLOG * workers:
                # Whoever hashes a file reads all of it.
                whole = self._how["digests"] is not None
                last = self._cuts.end(self._cut, self._wanted(), whole=whole)
                last = min(last, self._end)
                each = _Range(self._cut, last, self._cuts.bytes(self._cut, last))
                self._cut = last
            else:
                return
            if not self._give(each):
                return

    def _give(self, each: _Range) -> bool:
        """Give a range to a worker; return whether there may be one for more."""
        assert self._executor is not None
        # Workers remember the job. Those that do not have it say so.
        needs_job = each.needs_job or self._submitted < self._backend.workers
        digested = None
        if self._how["digests"] is not None:
            begun = self._cuts.begun(each.first, each.last)
            digested = tuple(place for place in begun if place not in self._hashed)
        replays = packed(self._replays_of(each.first, each.last))
        try:
            future = self._executor.submit(
                carry_out, versions(), self._name, self._job if needs_job else None,
                each.first, each.last, replays, digested,
            )  # fmt: skip
        except BrokenExecutor as error:
            self._again.appendleft(each)
            self._broken(error)
            return False
        except Exception as error:
            raise ExecutorError(f"the executor takes no work: {_told(error)}") from error
        self._submitted += 1
        self._pending[future] = each
        return True

    def _wanted(self) -> int:
        """Return the bytes of the next range."""
        rate = self._read / self._seconds if self._seconds else None
        return range_bytes(self._cuts.bytes(self._cut, self._end), self._backend.workers, rate)

    def _collect(self) -> None:
        """Wait a moment, and take what is done."""
        done, _ = wait(self._pending, POLL_SECONDS, FIRST_COMPLETED)
        for future in done:
            if future in self._pending:
                self._take(self._pending.pop(future), future)
        self._tell()

    def _take(self, each: _Range, future: Future[Answer]) -> None:
        try:
            answer = future.result()
        except BrokenExecutor as error:
            self._again.appendleft(each)
            self._broken(error)
            return
        except CancelledError as error:
            raise ExecutorError(
                "the executor has cancelled the work: it was shut down, or what gives its workers "
                "work is gone"
            ) from error
        except (ImportError, AttributeError) as error:
            raise ExecutorError(
                f"a worker can not load parentage as it is here: {_told(error)}"
            ) from error
        except Exception as error:
            self._lost(each, _told(error), error)
            return
        if answer.kind == "lacks":
            each.needs_job = True
            self._again.appendleft(each)
        elif answer.kind == "stopped":
            self._lost(each, f"it was interrupted ({answer.who})")
        elif answer.kind == "failed":
            raise _error(answer)
        else:
            self._read += each.bytes
            self._seconds += answer.seconds
            self._done[each.first] = each, answer

    def _lost(self, each: _Range, why: str, error: BaseException | None = None) -> None:
        """Have a range whose worker was lost done again, if that has not happened too often."""
        each.tries += 1
        if each.tries >= TRIES:
            raise ExecutorError(f"{each}: lost with {TRIES} workers; the last: {why}") from error
        self._backend.note(f"the worker of {each} was lost, and another does them: {why}")
        each.needs_job = True
        self._again.append(each)

    def _broken(self, error: BaseException) -> None:
        """Make another executor in place of one that takes no more work, or do without."""
        self._again.extend(self._pending.values())
        self._again = deque(sorted(self._again, key=lambda each: each.first))
        self._pending.clear()
        self._breaks += 1
        why = _told(error)
        if self._backend.can_renew and self._breaks < TRIES:
            self._backend.note(f"workers were lost, and others are started: {why}")
            self._give_up()
            self._executor, self._submitted = self._backend.executor(), 0
        elif self._backend.can_renew:
            raise ExecutorError(f"workers were lost {TRIES} times; the last: {why}") from error
        else:
            self._executor = None
            self._backend.note(
                f"the executor is broken, and takes no more work; the rest is done here: {why}"
            )

    def _restore(self, answer: Answer) -> None:
        """Take over the digests of files that a worker has hashed."""
        digests = self._how["digests"]
        for column, shard, digest in answer.digests:
            assert digests is not None
            digests.restore(column, shard, digest)

    def _tell(self) -> None:
        """Tell how many bytes are read, by all workers."""
        under_way = 0
        for each in self._pending.values():
            with suppress(OSError):
                note = (self._room / str(each.first)).read_bytes()
                under_way += min(int.from_bytes(note[:8], "little"), each.bytes)
        self._tell_of(self._read + under_way)

    def _tell_of(self, bytes_: int) -> None:
        # What a lost worker had read is read again.
        self._most = max(self._most, bytes_)
        self._told(self._most)


def _error(answer: Answer) -> Exception:
    """Return the error that a worker has answered, with the worker's name."""
    name, _, text = answer.said.partition(" ")
    if name in ("Version", "MemoryError", "OSError"):
        told = {"Version": text, "MemoryError": "out of memory"}.get(name, text)
        return ExecutorError(f"a worker ({answer.who}) is not fit for the work: {told}")
    return KINDS[name](f"{text} (on a worker: {answer.who})")


def _told(error: BaseException) -> str:
    """Return what an error says, in a line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
