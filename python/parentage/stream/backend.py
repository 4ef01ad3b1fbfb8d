"""The compute seam: what carries out a range of a plan.

A backend has the five calls below, with the arguments that the core's have, and nothing else: plans
go in, small arrays come out, no tensor crosses. The flow does not know which backend it has.
Whoever adds one puts it into ``backends/`` and holds it bit for bit to
:data:`parentage.stream.CORE`, by the tests in ``tests/stream/test_backend.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypedDict, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from parentage import _core
    from parentage.support import Counts, Floats

    Told = Callable[[int], object] | None

    ReplaysOf = Callable[[int, int], list[_core.Replay]]
    """What makes the replays of slices, from the first and past the last."""


class How(TypedDict):
    """How a pass streams; none of it changes a result."""

    threads: int
    tile_bytes: int | None
    io: str
    level: str | None
    digests: _core.Digests | None


class ReplayCounts(Protocol):
    """What R recipes reproduce of S slices."""

    @property
    def reproduced(self) -> Counts:
        """(S, R) elements of which every result has the child's bits."""

    @property
    def explained(self) -> Counts:
        """(S, R) elements of which some result has them, and some has not."""

    @property
    def mismatched(self) -> Counts:
        """(S, R) elements of which no result has them."""

    @property
    def zero_signs(self) -> Counts:
        """(S, R) of those, zeros of the other sign."""

    @property
    def ulps(self) -> Counts:
        """(S, R, ULPS) mismatched elements by distance in units of the last place."""

    @property
    def first(self) -> NDArray[np.int64]:
        """(S, R) the first mismatched element of the slice, -1 without one."""


class SliceSums(Protocol):
    """Sums over S slices of C columns, in the order and lanes that the core defines."""

    @property
    def gram(self) -> Floats:
        """(S, B, C (C + 1) / 2) upper triangles of Gram matrices of B blocks."""

    @property
    def energy(self) -> Floats:
        """(S,) rounding energy."""

    @property
    def bias(self) -> Floats:
        """(S, C - 2, WEIGHTS + 1) what rounding adds to inner products of simulated blends."""

    @property
    def precision(self) -> Counts:
        """(S,) most significand bits of a sampled value of the child."""

    @property
    def excluded(self) -> Counts:
        """(S,) elements not finite in some column."""

    @property
    def moved(self) -> Counts:
        """(S,) elements where a parent or control differs from the base."""

    @property
    def stray(self) -> Counts:
        """(S,) elements where none does, and the child differs from the base."""

    @property
    def equal(self) -> Counts:
        """(S, C - 1) elements whose value, cast to the child's dtype, has the child's bits."""

    @property
    def nan(self) -> Counts:
        """(S, C) NaN values."""

    @property
    def inf(self) -> Counts:
        """(S, C) infinite values."""

    @property
    def histogram(self) -> Counts:
        """(S, C - 2, BINS) sampled displacements in units of the child's last place."""


class ReplayedSums(SliceSums, Protocol):
    """Sums over slices, and what recipes reproduce of them, from one pass."""

    @property
    def replayed(self) -> ReplayCounts:
        """What the recipes reproduce."""


class CellSpectrum(Protocol):
    """How many rounding cells admit each weight, for G groups of slices.

    The second axis is (all intervals, narrow ones).
    """

    @property
    def coverage(self) -> NDArray[np.uint32]:
        """(G, 2, bins) intervals over each bin."""

    @property
    def intervals(self) -> Counts:
        """(G, 2) intervals in all."""

    @property
    def fixed(self) -> Counts:
        """(G,) elements that the weight does not change."""

    @property
    def fixed_admitted(self) -> Counts:
        """(G,) of those, the ones that the other weights put into their cell."""


class Backend(Protocol):
    """What carries out a range of a plan."""

    def gram(
        self,
        plan: _core.Plan,
        first: int,
        last: int,
        *,
        threads: int,
        tile_bytes: int | None = None,
        io: str = "mmap",
        level: str | None = None,
        replays: list[_core.Replay] = ...,
        digests: _core.Digests | None = None,
        progress: Told = None,
    ) -> ReplayedSums:
        """Stream slices ``first`` to ``last`` (exclusive) once: sums, counters and replays."""

    def elements(
        self, plan: _core.Plan, first: int, last: int, *, threads: int, io: str = "mmap"
    ) -> Floats:
        """Return (elements, columns) the decoded elements of a few slices."""

    def spectrum(
        self,
        plan: _core.Plan,
        first: int,
        last: int,
        *,
        weights: Floats,
        axis: int,
        groups: list[int],
        windows: Floats,
        bins: int,
        threads: int,
        widen: float = 0.0,
        dtype: str | None = None,
        io: str = "mmap",
    ) -> CellSpectrum:
        """Count which weights of column ``axis`` the rounding cells of slices admit."""

    def replay_slices(
        self,
        plan: _core.Plan,
        first: int,
        last: int,
        replays: list[_core.Replay],
        *,
        threads: int,
        tile_bytes: int | None = None,
        io: str = "mmap",
        level: str | None = None,
        progress: Told = None,
    ) -> ReplayCounts:
        """Carry recipes out on slices, and compare them with the child."""

    def replay_in_cells(
        self,
        plan: _core.Plan,
        replays: list[_core.Replay],
        dtypes: Sequence[str],
        room: Sequence[tuple[float, float]],
        *,
        threads: int,
        tile_bytes: int | None = None,
        io: str = "mmap",
        level: str | None = None,
        progress: Told = None,
    ) -> NDArray[np.uint64]:
        """Count (S, R, 3) results in the cells of codes, codes that tell, and results in middles.

        The plan ends with what codes stand for and the ends of their cells.
        """

    def write_replay(
        self,
        plan: _core.Plan,
        replay: _core.Replay,
        files: list[str] | list[Path],
        targets: list[tuple[int, int, str]],
        *,
        threads: int,
        tile_bytes: int | None = None,
        io: str = "mmap",
        level: str | None = None,
        progress: Told = None,
    ) -> None:
        """Write what a recipe gives of every slice into existing files."""


@runtime_checkable
class Spreading(Protocol):
    """What carries out many ranges of a plan at a time, besides the calls of a backend."""

    def spread(
        self,
        plan: _core.Plan,
        first: int,
        last: int,
        replays_of: ReplaysOf,
        how: How,
        progress: Told,
    ) -> Iterator[tuple[int, int, ReplayedSums]]:
        """Yield the sums of ranges of slices, in order, from ``first`` to ``last`` (exclusive).

        ``progress`` is told of the bytes that are read, from 0 on.
        """
