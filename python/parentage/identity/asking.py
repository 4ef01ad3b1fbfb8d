"""Asks all questions of all arms: several at once, again where an attempt failed, in any order."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from parentage.identity.errors import ServerError
from parentage.identity.pacing import Gate, Pace
from parentage.identity.progress import AskingProgress, Tally
from parentage.identity.records import Answers, Failure, Skipped
from parentage.identity.server import PassingError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from parentage.identity.questions import Question
    from parentage.identity.records import Answer, Arm, Record

_FORBIDDEN = (401, 403)
"""Statuses that hold for every question."""

_FIRST_TRIES = 3
"""Attempts to reach a server that has never answered."""

_GIVEN_UP = 5
"""Questions in a row that no answer came to, at least, before all is given up."""


class Keeper(Protocol):
    """Where answers go."""

    @property
    def answers(self) -> Answers:
        """All that is kept."""

    def append(self, record: Record) -> None:
        """Keep a record."""


class Asked(Protocol):
    """Who is asked."""

    async def ask(self, arm: Arm, question: Question, sample: int, seed: int) -> Answer:
        """Return the answer to a question.

        Raises
        ------
        PassingError
            If another attempt may succeed.
        RefusedError
            If none will.
        """

    async def puts_template(self) -> bool:
        """Return whether raw prompts are put into a template after all."""

    async def close(self) -> None:
        """Close what is open."""


@dataclass(frozen=True, slots=True)
class Task:
    """One answer that is wanted."""

    arm: Arm
    question: Question
    sample: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is kept under."""
        return self.arm.name, self.question.id, self.sample


def seed_of(seed: int, question: str, sample: int) -> int:
    """Return the seed of an answer: the same in every arm, another for each sample.

    >>> seed_of(0, "en-who", 0) != seed_of(0, "en-who", 1) < 2**31
    True
    """
    digest = hashlib.sha256(f"{seed}/{question}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class Asking:
    """One run over what is still to be asked.

    Parameters
    ----------
    connect
        Returns who is asked; called in the loop that asks.
    keeper
        Has the answers so far, and takes the ones that come.
    concurrency
        Questions that wait for an answer at once.
    """

    def __init__(
        self,
        connect: Callable[[], Asked],
        keeper: Keeper,
        *,
        concurrency: int = 4,
        pace: Pace | None = None,
        progress: AskingProgress | None = None,
    ) -> None:
        self._connect, self._keeper = connect, keeper
        self._concurrency, self._pace = concurrency, pace or Pace()
        self._progress = progress or AskingProgress()
        self._gate = Gate()
        self._lost = 0
        """Questions in a row that no answer came to."""
        self._has_answered = False
        self.tally = Tally()

    async def run(self) -> None:
        """Ask what has no answer yet.

        Raises
        ------
        ServerError
            If nobody answers, or the server refuses whatever it is asked.
        """
        tasks = self._tasks()
        self._progress.start(self.tally)
        if not tasks:
            return
        server = self._connect()
        try:
            left = await self._first_of_each(server, tasks)
            lost = await self._all(server, left)
            # What failed by chance gets another round when all else is done.
            await self._all(server, lost)
        finally:
            await server.close()

    def _tasks(self) -> list[Task]:
        head = self._keeper.answers.head
        wanted = [
            Task(arm, question, sample)
            for sample in range(head.parameters.samples)
            for question in head.questions
            for arm in head.arms
        ]
        left = [each for each in wanted if each.key not in self._keeper.answers.answers]
        self.tally = Tally(total=len(wanted), kept=len(wanted) - len(left))
        return left

    async def _first_of_each(self, server: Asked, tasks: list[Task]) -> list[Task]:
        """Ask the first question of every arm, and return the others of those that may be asked."""
        skipped: dict[str, str] = {}
        done = set()
        for arm in self._keeper.answers.head.arms:
            first = next((each for each in tasks if each.arm.name == arm.name), None)
            if first is None:
                continue
            done.add(first.key)
            if arm.endpoint == "completions" and await server.puts_template():
                skipped[arm.name] = (
                    "this server puts its own template around raw prompts (Ollama does), and so "
                    "nothing would be removed"
                )
                continue
            try:
                lost = await self._one(server, first, is_first=True)
            except RefusedError as error:
                if error.status in _FORBIDDEN:
                    raise ServerError(f"the server refuses: {error}") from None
                skipped[arm.name] = f"the server refuses it: {error}"
                continue
            if lost and not self._has_answered:
                reason = self._keeper.answers.failures[first.key].error
                raise ServerError(f"the server gives no answer: {reason}")
        if skipped and len(skipped) == len(self._keeper.answers.head.arms):
            name, why = next(iter(skipped.items()))
            raise ServerError(f"no arm can be asked; {name}: {why}")
        for name, reason in skipped.items():
            self._keeper.append(Skipped(name, reason))
            self.tally.total -= sum(each.arm.name == name for each in tasks)
            self._progress.note(f"arm {name} is skipped: {reason}")
        left = [each for each in tasks if each.arm.name not in skipped]
        return [each for each in left if each.key not in done]

    async def _all(self, server: Asked, tasks: Iterable[Task]) -> list[Task]:
        """Ask tasks, and return those that no answer came to."""
        queue, lost = deque(tasks), []

        async def work() -> None:
            while queue:
                task = queue.popleft()
                try:
                    if await self._one(server, task):
                        lost.append(task)
                except RefusedError as error:
                    if error.status in _FORBIDDEN:
                        raise ServerError(f"the server refuses: {error}") from None
                    self._fail(task, str(error))
                if self._lost >= max(_GIVEN_UP, self._concurrency + 1):
                    reason = (
                        self._keeper.answers.failures[task.key].error
                        if (task.key in self._keeper.answers.failures)
                        else "no answer"
                    )
                    raise ServerError(
                        f"no answer to {self._lost} questions in a row, the last one: {reason}"
                    )

        workers = [asyncio.ensure_future(work()) for _ in range(min(self._concurrency, len(queue)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for each in workers:
                each.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return lost

    async def _one(self, server: Asked, task: Task, *, is_first: bool = False) -> bool:
        """Ask until there is an answer; return whether there is none."""
        seed = seed_of(self._keeper.answers.head.parameters.seed, task.question.id, task.sample)
        failures, unreached = 0, 0
        while True:
            await self._gate.passed()
            try:
                answer = await server.ask(task.arm, task.question, task.sample, seed)
            except PassingError as error:
                failures += 1
                unreached += error.is_unreachable
                self.tally.errors += 1
                self._progress.update(self.tally)
                is_absent = is_first and not self._has_answered and unreached >= _FIRST_TRIES
                if failures > self._pace.retries or is_absent:
                    self._fail(task, str(error))
                    return True
                if error.after is not None:
                    self._gate.close_for(error.after)
                    if error.after >= 10.0:
                        self._progress.note(f"the server asks to wait {error.after:.0f} seconds")
                await asyncio.sleep(self._pace.wait(failures))
                continue
            self._has_answered = True
            self._lost = 0
            was_lost = task.key in self._keeper.answers.failures
            self._keeper.append(answer)
            self.tally.answered += 1
            self.tally.failed -= was_lost
            self._progress.update(self.tally)
            return False

    def _fail(self, task: Task, reason: str) -> None:
        self._lost += 1
        self.tally.failed += task.key not in self._keeper.answers.failures
        self._keeper.append(Failure(task.arm.name, task.question.id, task.sample, reason))
        self._progress.update(self.tally)


def run_beside(work: Coroutine[object, object, None]) -> None:
    """Run a coroutine in a thread of its own, and end it on Ctrl-C.

    A notebook has a loop in the main thread already; and an interrupt that is raised within a loop
    may hit any line of it. Here it hits the waiting thread, which has the work cancelled.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    raised: list[BaseException] = []
    done = threading.Event()

    def carry_out() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            raised.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            done.set()

    thread = threading.Thread(target=carry_out, name="parentage-identify")
    thread.start()
    # Not join(): a thread whose join is interrupted is taken to have ended (CPython issue 90882).
    try:
        while not done.wait(0.2):
            pass
    except BaseException:
        if not done.is_set():
            loop.call_soon_threadsafe(task.cancel)
        done.wait()
        raise
    thread.join()
    if raised:
        raise raised[0]
