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

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.evidence import conclude
from parentage.sample import (
    GROUPS,
    LONGEST,
    SHORT,
    Runs,
    Sampled,
    SampledSums,
    Sampling,
    Spread,
    least,
    spread_sample,
)
from parentage.stream import SILENT, Preview, Progress
from parentage.support import Portion
from parentage.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from typing import Any

    from parentage.evidence import Trace
    from parentage.recipe import Recipe
    from parentage.sample import SearchSample
    from parentage.verdict import TraceInputs, Verdict


@dataclass(frozen=True, slots=True)
class Seed:
    """What draws the places of samples, and who chose it.

    Who makes a child and knows the places can leave those alone and change all others. A number
    that the system draws when the trace begins is known to nobody before.
    """

    number: int
    is_given: bool

    @classmethod
    def of(cls, given: int | None) -> Seed:
        """Return the seed that was given, or one from the system's randomness.

        Raises
        ------
        ValueError
            If what was given is out of its range.

        Examples
        --------
        >>> Seed.of(7), Seed.of(None) == Seed.of(None)
        (Seed(number=7, is_given=True), False)
        """
        if given is None:
            return cls(secrets.randbits(SEED_BITS), is_given=False)
        if not 0 <= given < 1 << 64:
            raise ValueError(f"a seed is a number from 0 to 2^64 - 1, not {given}")
        return cls(given, is_given=True)


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What a user asks for: how much is read at most, at which places, and until when."""

    portion: Portion | None = None
    """The most that is read; ``None`` for everything."""
    seed: Seed = field(default_factory=lambda: Seed.of(None))
    until_sure: bool = False

    @classmethod
    def parse(
        cls, sample: int | str | Portion | None, seed: Seed, *, until_sure: bool
    ) -> SampleRequest | None:
        """Return what is asked for, ``None`` if that is a full pass.

        Raises
        ------
        ValueError
            If ``sample`` is no portion of anything.
        """
        if sample is None and not until_sure:
            return None
        return cls(None if sample is None else Portion.parse(sample), seed, until_sure)

    @classmethod
    def of_network(cls, seed: Seed) -> SampleRequest:
        """Return what is read where nobody says how much, and it has to be fetched."""
        return cls(Portion.parse(NETWORK_SAMPLE), seed, until_sure=True)

    def most(self, total: int) -> int | None:
        """Return the most bytes to read of ``total``; ``None`` if that is everything."""
        if self.portion is None:
            return None
        most = self.portion.bytes_of(total)
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
        first = FIRST if smallest else FIRST_OF_NETWORK
        while size // 2 >= max(first, smallest):
            size //= 2
            steps.insert(0, size)
        return steps if most is not None else [each for each in steps if each <= MOST * total]


def collected_sums(case: TraceInputs, groups: int = 0) -> SampledSums:
    """Return sums over no runs yet, ``groups`` of which can be left out."""
    columns = case.inputs.columns
    return SampledSums(case.alignment, columns, case.options, case.replays, groups)


@contextmanager
def with_preview(case: TraceInputs, progress: Progress) -> Iterator[Progress]:
    """Give a progress that passes on to ``progress``, and tells it of a verdict on a sample, too.

    It is that of the sample that recipes were looked for in, is found while the pass goes on, and
    is told between two updates. Not if that sample is everything, if slices are so small that it
    would take as long as the pass and as much memory again, or if nobody listens.
    """
    is_wanted = type(progress).look is not Progress.look
    slices = case.alignment.slices
    is_small = int(case.alignment.elements.sum()) < SMALL * len(slices)
    if not is_wanted or is_small or case.estimates is None or case.estimates.sample.is_whole:
        yield progress
        return
    with ThreadPoolExecutor(1, "parentage-look") as pool:
        passing_on = _Looking(progress, pool.submit(_first_look, case, case.estimates.sample))
        yield passing_on
        passing_on.tell()


def _conclusion(verdict: Verdict, recipe: Recipe | None) -> tuple[str, object, object]:
    """Return what must not change: the kind, the checkpoint that is named, and the recipe."""
    made = None if recipe is None else recipe.as_dict()
    return verdict.kind, verdict.numbers.get("parent"), made


def _is_stable(
    case: TraceInputs,
    collected: SampledSums,
    sampled: Sampled,
    verdict: Verdict,
    said: tuple[str, object, object],
    unseen: float,
) -> bool:
    """Return whether the verdict is one to stop at, with all runs and without any group of them.

    ``unseen`` is the share of the child that runs with a difference may be, if none was seen.
    """
    if verdict.kind == "undetermined" or ("unseen" in verdict.numbers and unseen > UNSEEN):
        return False
    return all(
        _conclusion(*judge(case, collected.statistics(without=group), sampled)) == said
        for group in range(GROUPS)
    )


NETWORK_SAMPLE = 500_000_000
"""Bytes of the largest sample that is fetched over a network if nobody says how much; 500 MB."""

SEED_BITS = 53
"""Bits of a seed that the system draws: as many as any reader of JSON keeps."""

FIRST = 64 << 20
"""Bytes from which on a sample is the first to be judged: fewer are not worth stopping for."""

FIRST_OF_NETWORK = 48 << 20
"""The same where runs are long, and none is drawn of every slice."""

SMALL = 1024
"""Elements of a slice, on average, below which there is no first look: tables of slices are most of
what a pass takes then, and a sample has as many."""

MOST = 0.25
"""Share of everything up to which a sample is doubled; after that, everything is read."""

UNSEEN = 0.01
"""Most of the child that can lie in runs with a difference, where none was seen."""


def trace_sample(
    case: TraceInputs, request: SampleRequest, progress: Progress = SILENT
) -> Trace | None:
    """Return what a sample says; ``None`` if everything has to be read."""
    plan = case.alignment.plan
    total = plan.bytes(0, plan.slices)
    is_spread = case.options.is_spread(int(case.alignment.elements.sum()))
    steps = request.steps(total, 0 if is_spread else least(case.alignment))
    if not steps:
        return None
    # Many short runs settle more than a few long ones, and while a sample is small cost no more.
    longest = SHORT if request.until_sure else LONGEST
    sampling: Sampling | Spread
    if is_spread:
        sampling = spread_sample(case.alignment, steps[0], request.seed.number)
    else:
        sampling = Sampling(case.alignment, steps[0], request.seed.number, longest)
    collected = collected_sums(case, GROUPS if request.until_sure else 0)
    before: Any = None
    for step in range(len(steps)):
        if step > 0:
            sampling.grow()
        if sampling.is_whole:
            return None
        collected.add(sampling.fresh, progress)
        if isinstance(sampling, Spread):
            collected.stands_for = sampling.stands_for
        statistics = collected.statistics()
        found = replace(
            _sampled(collected, sampling.length),
            unseen=None if request.seed.is_given else sampling.unseen,
            asked=None if request.portion is None else request.portion.asked,
            seed=request.seed.number,
            is_seed_given=request.seed.is_given,
            rounds=step + 1,
        )
        if request.until_sure:
            verdict, recipe = judge(case, statistics, found)
            progress.look(preview(verdict, found))
            now = _conclusion(verdict, recipe)
            sure = now == before and _is_stable(
                case, collected, found, verdict, now, sampling.unseen
            )
            found, before = replace(found, sure=sure), now
        if found.sure:
            break
    if request.until_sure and not found.sure and request.most(total) is None:
        return None
    progress.stage("making tables")
    # The sums of a large model are as large as what is made of them.
    del collected, sampling
    return conclude(case, statistics, found)


def preview(verdict: Verdict, sampled: Sampled) -> Preview:
    """Return what is told of a verdict on a sample before more is read."""
    return Preview(
        verdict.kind, verdict.level, verdict.rule, verdict.text, sampled.share, sampled.rounds
    )


class _Looking(Progress):
    """Passes on, and tells of a verdict as soon as there is one."""

    def __init__(self, progress: Progress, found: Future[tuple[Verdict, Sampled] | None]) -> None:
        self._progress = progress
        self._found: Future[tuple[Verdict, Sampled] | None] | None = found

    def start(self, total: int) -> None:
        self._progress.start(total)

    def update(self, done: int) -> None:
        if self._found is not None and self._found.done():
            self.tell()
        self._progress.update(done)

    def tell(self) -> None:
        """Tell of the verdict, once."""
        found, self._found = self._found, None
        look = None if found is None else found.result()
        if look is not None:
            self._progress.look(preview(*look))


def _first_look(case: TraceInputs, sample: SearchSample) -> tuple[Verdict, Sampled] | None:
    """Return what the sample says that recipes were looked for in; ``None`` if it is empty."""
    collected = collected_sums(case)
    collected.add(_runs(sample))
    if not collected.elements:
        return None
    found = _sampled(collected, int(sample.counts.max()))
    return judge(case, collected.statistics(), found)[0], found


def _runs(sample: SearchSample) -> Runs:
    sizes = np.array([each.elements for each in sample.slices], dtype=np.uint64)
    blocks = np.arange(len(sample.owner)) % _core.BLOCKS
    blocks = np.where(sample.counts == sizes[sample.owner], -1, blocks)
    return Runs(sample.owner, sample.starts, sample.counts, blocks)


def _sampled(collected: SampledSums, length: int) -> Sampled:
    return Sampled(
        collected.bytes,
        collected.share,
        collected.elements,
        collected.runs,
        length,
        collected.slices,
        of_slices=collected.of_slices,
    )
