"""Where a sample is read: seeded runs of elements in equal strata of every slice.

A slice is cut into *places* of ``length`` consecutive elements, whole pages of any dtype, and its
places into as many equal strata as it is to have runs. One place of each stratum is read, and which
one is drawn from a hash of the seed, so that every place of a stratum is as likely as any other and
no draw depends on another. A slice of one place is read whole.

A sample grows by cutting every stratum in halves: the half that holds a run keeps it, and a place
of the other half is drawn. What was read is thereby part of every larger sample, and a place is
still drawn independently, and uniformly, in each stratum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.support import listed, percent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from parentage.align import Alignment
    from parentage.support import Floats

    Index = NDArray[np.intp]

SHORTEST = 1 << 12
"""Elements of the shortest runs: whole pages of any dtype."""

SHORT = 1 << 14
"""Elements of runs where slices have few of them: 32 KiB in bf16, which disks still read well."""

FEW = 256
"""Runs below which they are made as short as can be instead: fewer bound and vary little."""

LONGEST = 1 << 18
"""Elements of the longest runs."""

CONFIDENCE = 0.95
"""Confidence of :attr:`Sampled.unseen`."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of consecutive elements, in the order of their slices."""

    owner: Index
    """(R,) the slice of each run."""
    starts: NDArray[np.uint64]
    """(R,) the first element of each run in its slice."""
    counts: NDArray[np.uint64]
    """(R,) elements of each run."""
    blocks: Index
    """(R,) the jackknife block that a run is added to as a whole; -1 for one that is a whole slice,
    which is cut into blocks of its own as in a full pass."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """How much of everything a verdict rests on."""

    bytes: int
    """Bytes read, over all checkpoints."""
    share: float
    """Their share of all that there is to read."""
    elements: int
    """Elements of the child."""
    runs: int
    run_elements: int
    """Elements of a run; runs that end with their slice are shorter."""
    slices: int
    """Slices that the runs are spread over."""
    unseen: float | None = None
    """If nothing was seen to differ, the most elements, as a share of all, that can lie in runs
    that hold a difference, at 95 % confidence; None for runs that were not drawn at random, or by
    a seed that was given: who made the child may have known it."""
    asked: int | str | None = None
    """The most that was to be read, as it was asked for."""
    seed: int = 0
    is_seed_given: bool = False
    """Whether the seed was asked for; else the system drew it when the trace began."""
    rounds: int = 1
    """How often the sample was doubled to get so large, and one."""
    of_slices: int | None = None
    """Slices that there are; None if that was not counted."""
    sure: bool | None = None
    """Whether more was thought to change nothing; None if that was not asked for."""
    sketches: tuple[str, ...] = ()
    """The checkpoints of which sketches were given: what is compared is what these hold."""
    has_other_names: bool = False
    """Of sketches, whether some checkpoint has tensors whose names another lacks."""
    differing: tuple[tuple[str, int, str], ...] = ()
    """Of sketches, per checkpoint, how many whole tensors have another sum of squares than the
    child's, and one of them: they differ, whatever is held of them."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in evidence; ``sketches`` where there are any."""
        said = {name: getattr(self, name) for name in self.__slots__}
        of_sketches = {
            "sketches": list(said.pop("sketches")),
            "has_other_names": said.pop("has_other_names"),
            "differing": [list(each) for each in said.pop("differing")],
        }
        return {**said, **of_sketches} if self.sketches else said

    def __str__(self) -> str:
        """Return a sentence."""
        if self.sketches:
            whose = "the sketch" if len(self.sketches) == 1 else "sketches"
            return (
                f"This rests on {whose} of {listed(self.sketches)}: {self.elements:,} elements, "
                f"{percent(self.share)} of what there is to read, in {self.runs:,} runs of "
                f"{self.slices:,} tensors."
            )
        over = f"all {self.slices:,} slices"
        if self.of_slices is not None and self.slices < self.of_slices:
            over = (
                f"{self.slices:,} of {self.of_slices:,} slices of every component; of the others "
                "nothing was read"
            )
        return (
            f"This rests on a sample: {self.elements:,} elements, {percent(self.share)} of what "
            f"there is to read, in {self.runs:,} runs spread over {over}."
        )

    @property
    def reservation(self) -> str:
        """What may be otherwise although nothing that was read differs, in a sentence."""
        if self.sketches and not self.is_seed_given:
            return (
                "What is in no sketch may differ, and how much of it is not bounded: that its "
                "places were drawn when it was made is what a sketch says of itself."
            )
        if self.sketches:
            return (
                "What is in no sketch may differ, and how much of it is not bounded: which places "
                "a sketch holds is known to everybody."
            )
        if self.is_seed_given:
            return (
                "What was not read may differ, and how much of it is not bounded: whoever knew the "
                "seed that was given knew what would be read."
            )
        if self.unseen is None:
            return ""
        if self.unseen == 0.0:
            return "Nothing is left that was not read."
        return (
            f"With {CONFIDENCE:.0%} confidence, the runs of {self.run_elements:,} elements that "
            f"hold any difference are less than {percent(self.unseen)} of the child."
        )


@dataclass(frozen=True, slots=True)
class Strata:
    """Ranges of places, in the order of slices and places, and the place that is read of each."""

    owner: Index
    """(T,) the slice."""
    first: NDArray[np.uint64]
    """(T,) the first place."""
    last: NDArray[np.uint64]
    """(T,) past the last place."""
    place: NDArray[np.uint64]
    """(T,) the place that is read."""

    @classmethod
    def draw(cls, places: NDArray[np.uint64], wanted: NDArray[np.uint64], seed: int) -> Strata:
        """Cut (S,) ``places`` of slices into so many strata as are ``wanted``, and draw of each."""
        owner = np.repeat(np.arange(len(places)), wanted.astype(np.intp))
        begin = np.concatenate([[0], np.cumsum(wanted)])[:-1].astype(np.uint64)
        number = np.arange(len(owner), dtype=np.uint64) - begin[owner]
        first = number * places[owner] // wanted[owner]
        last = (number + np.uint64(1)) * places[owner] // wanted[owner]
        return cls(owner, first, last, drawn(seed, owner, first, last))

    def split(self, seed: int) -> tuple[Strata, NDArray[np.bool_]]:
        """Return halves of all strata, and which of those have a new run."""
        middle = (self.first + self.last) // np.uint64(2)
        lower = self.place < middle
        both = self.last - self.first > 1
        owner = np.repeat(self.owner, 2)
        first = np.stack([self.first, middle], axis=1).ravel()
        last = np.stack([middle, self.last], axis=1).ravel()
        keeps = np.stack([lower, ~lower], axis=1).ravel()
        place = np.where(keeps, np.repeat(self.place, 2), drawn(seed, owner, first, last))
        exists = keeps | np.repeat(both, 2)
        whole = Strata(owner, first, last, place)
        kept = Strata(*(getattr(whole, name)[exists] for name in Strata.__slots__))
        return kept, ~keeps[exists]


def drawn(
    seed: int, owner: Index, first: NDArray[np.uint64], last: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Return a place from ``first`` to ``last`` (exclusive) of each stratum.

    A hash (the finaliser of SplitMix64, Steele et al. 2014) and no generator: a draw depends on the
    stratum and the seed alone, on every machine and with every version of numpy.
    """
    state = np.full(len(owner), seed, dtype=np.uint64)
    for part in (owner.astype(np.uint64), first, last):
        state = (state ^ part) + _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    out: NDArray[np.uint64] = first + ((state >> np.uint64(32)) * (last - first) >> np.uint64(32))
    return out


class Growing:
    """A sample of runs, one of each stratum, that doubles."""

    length: int
    """Elements of a run."""
    fresh: Runs
    """The runs that are not in the sample it grew from."""

    def __init__(
        self, elements: NDArray[np.uint64], length: int, strata: Strata, seed: int, total: float
    ) -> None:
        """``elements`` (S,) are those of slices; ``total`` is how many the sample is of."""
        self.length = length
        self._elements, self._strata, self._seed, self._total = elements, strata, seed, total
        self._given = 0
        self.fresh = self._runs(np.ones(len(strata.owner), dtype=bool))

    def grow(self) -> None:
        """Double the sample, as far as there is more; ``fresh`` is what that adds."""
        self._strata, fresh = self._strata.split(self._seed)
        self.fresh = self._runs(fresh)

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing that is not read."""
        return bool(np.all(self._strata.last - self._strata.first == 1))

    @property
    def unseen(self) -> float:
        """See :attr:`Sampled.unseen`."""
        sizes = (self._strata.last - self._strata.first).astype(np.float64)
        return min(1.0, most_unseen(sizes) * self.length / self._total) if self._total else 0.0

    def _read(self, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """Return the slices and places in them that are read of chosen strata, in order."""
        return self._strata.owner[chosen], self._strata.place[chosen]

    def _runs(self, chosen: NDArray[np.bool_]) -> Runs:
        owner, place = self._read(chosen)
        starts = place * np.uint64(self.length)
        counts = np.minimum(self._elements[owner] - starts, np.uint64(self.length))
        blocks = (self._given + np.arange(len(owner))) % _core.BLOCKS
        self._given += len(owner)
        return Runs(owner, starts, counts, np.where(counts == self._elements[owner], -1, blocks))


class Sampling(Growing):
    """A growing sample of all slices of an alignment."""

    def __init__(
        self, alignment: Alignment, budget: int, seed: int, longest: int = LONGEST
    ) -> None:
        """Spread about ``budget`` bytes, over all checkpoints, evenly; a run per slice at least.

        Runs are as long as they can be, up to ``longest`` elements, with sixteen of them, or the
        whole, in slices that hold half of the elements; and are short rather than few, or more
        than asked for.
        """
        self._elements = np.array([each.elements for each in alignment.slices], dtype=np.uint64)
        plan = alignment.plan
        widths = np.array([plan.bytes(i, i + 1) for i in range(plan.slices)], dtype=np.float64)
        widths /= np.maximum(self._elements, 1)
        self.length = SHORTEST
        length, wanted = longest, None
        while length >= SHORTEST:
            found = _wanted(self._elements, widths, length, budget)
            if found is not None:
                self.length, wanted = length, found
                is_long_enough = length <= SHORT and float(found.sum()) >= FEW
                if is_long_enough or self._is_ample(found, length):
                    break
            length //= 2
        places = self._places(self.length)
        if wanted is None:
            wanted = np.minimum(places, 1.0)
        # Parts of runs are carried over, so that slices alike have the same number but for one.
        edges = np.floor(np.concatenate([[0.0], np.cumsum(wanted)]) + 1e-6)
        runs = np.minimum(np.diff(edges).astype(np.uint64), places)
        strata = Strata.draw(places, np.maximum(runs, np.minimum(places, 1)), seed)
        total = float(self._elements.sum())
        super().__init__(self._elements, self.length, strata, seed, total)

    def _places(self, length: int) -> NDArray[np.uint64]:
        return -(-self._elements.astype(np.int64) // length).astype(np.uint64)

    def _is_ample(self, wanted: Floats, length: int) -> bool:
        has = (wanted >= _core.BLOCKS) | (self._places(length) <= wanted)
        return int(self._elements[has].sum()) * 2 >= int(self._elements.sum())


def least(alignment: Alignment) -> int:
    """Return the bytes of the smallest sample: one of the shortest runs of every slice."""
    plan = alignment.plan
    return sum(
        plan.bytes(i, i + 1) * min(each.elements, SHORTEST) // max(each.elements, 1)
        for i, each in enumerate(alignment.slices)
    )


def _wanted(
    elements: NDArray[np.uint64], widths: Floats, length: int, budget: int
) -> Floats | None:
    """Return (S,) runs of each slice, not rounded; None if a run of each is more than ``budget``.

    ``widths`` are bytes per element, over all checkpoints.
    """
    sizes = elements.astype(np.float64)
    places = np.ceil(sizes / length)
    cost = np.where(places > 0, sizes / np.maximum(places, 1.0), 0.0) * widths
    least = np.minimum(places, 1.0)
    if float((least * cost).sum()) > budget:
        return None
    low, high = 0.0, 1.0
    for _ in range(32):
        share = (low + high) / 2
        if float((np.clip(share * places, least, places) * cost).sum()) > budget:
            high = share
        else:
            low = share
    return np.clip(low * places, least, places)


def most_unseen(sizes: Sequence[float] | Floats) -> float:
    """Return how many places can differ without one of those being drawn, at 95 % confidence.

    ``sizes`` are those of strata of which one place each is drawn. Were ``d_j`` places of stratum
    j different, none would be drawn with probability ``prod_j (1 - d_j / m_j)``. For a given sum of
    ``d_j`` that is largest where ``m_j - d_j`` is the same, c, in all strata larger than c
    (Lagrange), which makes it ``prod_j min(1, c / m_j)``: c is where that is 5 %. For strata of one
    size it is the bound of Clopper and Pearson (1934) for nothing seen, some 3 in the number drawn.

    >>> round(most_unseen([100.0] * 1000) / 100_000, 5), 1 - 0.05 ** (1 / 1000) < 3 / 1000
    (0.00299, True)
    """
    m = np.asarray(sizes, dtype=np.float64)
    m = m[m > 1]
    if not len(m):
        return 0.0
    goal = math.log(1.0 - CONFIDENCE)
    low, high = 1.0, float(m.max())
    for _ in range(60):
        c = (low + high) / 2
        if float(np.log(np.minimum(1.0, c / m)).sum()) < goal:
            low = c
        else:
            high = c
    return float(np.maximum(m - low, 0.0).sum())
