"""A verdict from a sample: as large as asked for, or as large as it takes, or a first look.

*Until sure* reads a sample, doubles it, and stops as soon as more would not change the verdict.
That is taken to be so if the kind of verdict, the checkpoint it names and the recipe are

- the same as half the sample gave, and
- the same with each of eight groups of runs left out in turn, so that none of it hangs on an eighth
  of what was read;
- and are not *undetermined*, which more may well decide;
- and if not more than one hundredth of the child can lie in runs that hold a difference, where the
  verdict is that nothing that was read differs.

Small samples agree by luck more easily than large ones, but here twice in a row, and a replicate
has seven eighths of a sample. Recipes are looked for once, in the sample that is read before any
other; what grows is what they are tried on. When a quarter of everything was read and it is not
sure, all of it is read, and the result is that of a full pass.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.evidence import report
from parentage.sample import GROUPS, LONGEST, SHORT, Collected, Runs, Sampled, Sampling, least
from parentage.stream import begin, tell
from parentage.support import portion
from parentage.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from typing import Any

    from parentage.align import Alignment
    from parentage.checkpoint import Inputs
    from parentage.evidence import Trace
    from parentage.hypothesise import Findings, Hypothesis
    from parentage.recipe import Recipe
    from parentage.sample import Sample
    from parentage.statistics import Statistics
    from parentage.stream import Options, Program, Value, Watcher
    from parentage.verdict import Verdict


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What a user asks for."""

    sample: int | str | None = None
    """The most that is read, as given; ``None`` for everything."""
    seed: int = 0
    until_sure: bool = False

    @classmethod
    def check(
        cls, sample: int | str | None, seed: int, *, until_sure: bool
    ) -> SampleRequest | None:
        """Return what is asked for, ``None`` if that is a full pass.

        Raises
        ------
        ValueError
            If ``sample`` is no portion of anything, or ``seed`` is out of its range.
        """
        if sample is not None:
            portion(sample)
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"a seed is a number from 0 to 2^64 - 1, not {seed}")
        return cls(sample, seed, until_sure) if sample is not None or until_sure else None

    def most(self, total: int) -> int | None:
        """Return the most bytes to read of ``total``; ``None`` if that is everything."""
        if self.sample is None:
            return None
        asked = portion(self.sample)
        most = asked if isinstance(asked, int) else int(asked * total)
        return most if most < total else None

    def steps(self, total: int, smallest: int) -> list[int]:
        """Return the bytes of each sample that is judged, none smaller than ``smallest``.

        If none of them is enough, everything is read.
        """
        most = self.most(total)
        if not self.until_sure:
            return [] if most is None else [most]
        size = total if most is None else most
        steps = [size]
        while size // 2 >= max(FIRST, smallest):
            size //= 2
            steps.insert(0, size)
        return steps if most is not None else [each for each in steps if each <= MOST * total]


@dataclass(frozen=True, slots=True)
class TraceInputs:
    """What is judged: everything but the statistics."""

    inputs: Inputs
    alignment: Alignment
    options: Options
    findings: Findings | None
    hypotheses: Sequence[Hypothesis]
    replays: Sequence[tuple[Program, Sequence[Value]]]

    def collected(self, groups: int = 0) -> Collected:
        """Return sums over no runs yet, ``groups`` of which can be left out."""
        parents = len(self.inputs.parents)
        return Collected(self.alignment, parents, self.options, self.replays, groups)

    def judge(self, statistics: Statistics, sampled: Sampled) -> tuple[Verdict, Recipe | None]:
        """Return the verdict on statistics of a sample, and the recipe."""
        return judge(
            self.inputs,
            self.alignment,
            statistics,
            self.options,
            self.findings,
            self.hypotheses,
            sampled,
        )


@contextmanager
def with_preview(case: TraceInputs, watcher: Watcher | None) -> Iterator[Watcher | None]:
    """Give a watcher for a pass that ``watcher`` is told by of the verdict on a sample, too.

    It is that of the sample that recipes were looked for in, is found while the pass goes on, and
    is told between two updates. Not if that sample is everything, or if nobody listens.
    """
    if (
        watcher is None
        or case.findings is None
        or not hasattr(watcher, "look")
        or case.findings.sample.is_whole
    ):
        yield watcher
        return
    with ThreadPoolExecutor(1, "parentage-look") as pool:
        passing_on = _Looking(watcher, pool.submit(_first_look, case, case.findings.sample))
        yield passing_on
        passing_on.tell()


def _conclusion(verdict: Verdict, recipe: Recipe | None) -> tuple[str, object, object]:
    """Return what must not change: the kind, the checkpoint that is named, and the recipe."""
    made = None if recipe is None else recipe.as_dict()
    return verdict.kind, verdict.numbers.get("parent"), made


def _is_stable(
    case: TraceInputs,
    collected: Collected,
    sampled: Sampled,
    verdict: Verdict,
    said: tuple[str, object, object],
) -> bool:
    """Return whether the verdict is one to stop at, with all runs and without any group of them."""
    unseen = verdict.numbers.get("unseen")
    if verdict.kind == "undetermined" or (isinstance(unseen, float) and unseen > UNSEEN):
        return False
    return all(
        _conclusion(*case.judge(collected.statistics(without=group), sampled)) == said
        for group in range(GROUPS)
    )


FIRST = 64 << 20
"""Bytes from which on a sample is the first to be judged: fewer are not worth stopping for."""

MOST = 0.25
"""Share of everything up to which a sample is doubled; after that, everything is read."""

UNSEEN = 0.01
"""Most of the child that can lie in runs with a difference, where none was seen."""


def trace_sample(
    case: TraceInputs, request: SampleRequest, watcher: Watcher | None = None
) -> Trace | None:
    """Return what a sample says; ``None`` if everything has to be read."""
    plan = case.alignment.plan
    total = plan.bytes(0, plan.slices)
    steps = request.steps(total, least(case.alignment))
    if not steps:
        return None
    # Many short runs settle more than a few long ones, and while a sample is small cost no more.
    longest = SHORT if request.until_sure else LONGEST
    sampling = Sampling(case.alignment, steps[0], request.seed, longest)
    collected = case.collected(GROUPS if request.until_sure else 0)
    before: Any = None
    for step in range(len(steps)):
        if step > 0:
            sampling.grow()
        if sampling.is_whole:
            return None
        collected.add(sampling.fresh, watcher)
        statistics = collected.statistics()
        found = replace(
            _sampled(collected, sampling.length),
            unseen=sampling.unseen,
            asked=request.sample,
            seed=request.seed,
            rounds=step + 1,
        )
        if request.until_sure:
            verdict, recipe = case.judge(statistics, found)
            tell(watcher, verdict, found)
            now = _conclusion(verdict, recipe)
            sure = now == before and _is_stable(case, collected, found, verdict, now)
            found, before = replace(found, sure=sure), now
        if found.sure:
            break
    if request.until_sure and not found.sure and request.most(total) is None:
        return None
    begin(watcher, "making tables")
    # The sums of a large model are as large as what is made of them.
    del collected, sampling
    return report(
        case.inputs,
        case.alignment,
        statistics,
        case.options,
        case.findings,
        case.hypotheses,
        found,
    )


class _Looking:
    """Passes on to a watcher, and tells it of a verdict as soon as there is one."""

    def __init__(self, watcher: Watcher, found: Future[tuple[Verdict, Sampled] | None]) -> None:
        self._watcher = watcher
        self._found: Future[tuple[Verdict, Sampled] | None] | None = found

    def start(self, total: int) -> None:
        self._watcher.start(total)

    def update(self, done: int) -> None:
        if self._found is not None and self._found.done():
            self.tell()
        self._watcher.update(done)

    def tell(self) -> None:
        """Tell of the verdict, once."""
        found, self._found = self._found, None
        look = None if found is None else found.result()
        if look is not None:
            tell(self._watcher, *look)


def _first_look(case: TraceInputs, sample: Sample) -> tuple[Verdict, Sampled] | None:
    """Return what the sample says that recipes were looked for in; ``None`` if it is empty."""
    collected = case.collected()
    collected.add(_runs(sample))
    if not collected.elements:
        return None
    found = _sampled(collected, int(sample.counts.max()))
    return case.judge(collected.statistics(), found)[0], found


def _runs(sample: Sample) -> Runs:
    sizes = np.array([each.elements for each in sample.slices], dtype=np.uint64)
    blocks = np.arange(len(sample.owner)) % _core.BLOCKS
    blocks = np.where(sample.counts == sizes[sample.owner], -1, blocks)
    return Runs(sample.owner, sample.starts, sample.counts, blocks)


def _sampled(collected: Collected, length: int) -> Sampled:
    return Sampled(
        collected.bytes,
        collected.share,
        collected.elements,
        collected.runs,
        length,
        collected.slices,
    )
