"""The calls of a backend, carried out with torch.

Results of chunks come to the host and are added up there, in the order of the plan. Slices that a
device does not decode are the core's: those of integers and codes, of views that are computed, and
of what is fetched over a network. So are calls that a device is of no use for: the elements of a
few slices, cells of codes, which are computed views, and writing.
"""

from __future__ import annotations

import threading
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from parentage import _core
from parentage.stream.backends.torch.device import load, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from parentage.stream.backends.torch.engine import Engine
    from parentage.stream.backends.torch.exact import Arithmetic
    from parentage.stream.backends.torch.layout import Batch
    from parentage.stream.backends.torch.replays import Program
    from parentage.stream.backends.torch.source import Source
    from parentage.stream.backends.torch.sums import Columns
    from parentage.support import Floats

    Told = Callable[[int], object] | None
    Rows = NDArray[np.intp]

LEAST = 1 << 16
"""Elements of a column below which a call is not worth a device's while."""


class Torch:
    """Devices of one kind, by name; they are looked for when they are first needed.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"`` for all there are, ``"cuda:1"``, ``"cuda:0,1"``, ``"xpu"``; ``"mps"``
        computes on the CPU.
    memory
        Bytes of each device's memory that may be used; by default, half of what is free.
    compiled
        Whether fused multiply-adds that a device has not are compiled with ``torch.compile``.
    least
        Elements of a column from which on a device is used; the core is quicker with fewer.

    Raises
    ------
    DeviceError
        If the name is none of a device.

    Examples
    --------
    >>> Torch("cpu")
    Torch('cpu')
    """

    def __init__(
        self,
        device: str,
        memory: int | None = None,
        *,
        compiled: bool = False,
        least: int = LEAST,
    ) -> None:
        parse(device)
        self._device, self._memory, self._compiled, self._least = device, memory, compiled, least
        self._engine: Engine | None = None
        self._source: Source | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Torch({self._device!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Travel by name: devices are those of where it arrives."""
        kept = "_device", "_memory", "_compiled", "_least"
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _engine=None, _source=None, _lock=threading.Lock())

    def open(self) -> Engine:
        """Return what computes, after its devices have been tested.

        Raises
        ------
        DeviceError
            If torch or the device is not there, or is too old.
        """
        with self._lock:
            if self._engine is None:
                # All that follows imports torch, and this says so if it can not.
                load()
                from parentage.stream.backends.torch.engine import Engine

                self._engine = Engine(self._device, self._memory, compiled=self._compiled)
            return self._engine

    @property
    def remark(self) -> str | None:
        """What is to be said of the devices, if what was asked for is not what computes."""
        return self.open().remark

    def describe(self) -> dict[str, str]:
        """Return the devices, and the releases of what computes on them."""
        return dict(self.open().described)

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
        replays: list[_core.Replay] = [],  # noqa: B006
        digests: _core.Digests | None = None,
        progress: Told = None,
    ) -> _core.Statistics:
        """Stream slices once: sums, counters and replays.

        Digests are not carried on: what finishes them reads the files again.
        """
        how = {"threads": threads, "tile_bytes": tile_bytes, "io": io, "level": level}
        # The core says what is wrong with arguments.
        _core.gram(plan, first, first, digests=digests, **how)  # type: ignore[arg-type]
        work = self._work(plan, first, last, replays)
        if work is None:
            return _core.gram(plan, first, last, replays=replays, digests=digests,
                              progress=progress, **how)  # type: ignore[arg-type]  # fmt: skip
        from parentage.stream.backends.torch.engine import apart
        from parentage.stream.backends.torch.statistics import Totals

        totals = Totals(last - first, plan.columns, work.programs)
        told = _Told(progress)
        for begin, end in work.core_s:
            rows = np.arange(begin, end)
            found = _core.gram(plan, first + begin, first + end, progress=told.part,
                               replays=[each.part(rows) for each in work.programs],
                               **how)  # type: ignore[arg-type]  # fmt: skip
            totals.put(begin, end, found)
            told.add(plan.bytes(first + begin, first + end))
        work.stream(totals.compute, totals.take, threads, told)
        return apart(totals.statistics)

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
    ) -> _core.Replayed:
        """Carry recipes out on slices, and compare them with the child."""
        how = {"threads": threads, "tile_bytes": tile_bytes, "io": io, "level": level}
        _core.replay_slices(plan, first, first, [], **how)  # type: ignore[arg-type]
        work = self._work(plan, first, last, replays)
        if work is None:
            return _core.replay_slices(plan, first, last, replays, progress=progress,
                                       **how)  # type: ignore[arg-type]  # fmt: skip
        from parentage.stream.backends.torch.statistics import Matches

        totals = Matches(last - first, work.programs)
        told = _Told(progress)
        for begin, end in work.core_s:
            rows = np.arange(begin, end)
            found = _core.replay_slices(plan, first + begin, first + end,
                                        [each.part(rows) for each in work.programs],
                                        progress=told.part, **how)  # type: ignore[arg-type]  # fmt: skip
            totals.put(begin, end, found)
            told.add(plan.bytes(first + begin, first + end))
        work.stream(totals.compute, totals.take, threads, told)
        return totals.replayed()

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
    ) -> _core.Spectrum:
        """Count which weights of column ``axis`` the rounding cells of slices admit."""

        def of_core(begin: int, end: int) -> _core.Spectrum:
            rows = slice(begin, end)
            return _core.spectrum(
                plan, first + begin, first + end, weights=weights[rows], axis=axis,
                groups=groups[rows], windows=windows, bins=bins, threads=threads, widen=widen,
                dtype=dtype, io=io,
            )  # fmt: skip

        shape = last - first, plan.columns - 1
        work = None
        if weights.shape == shape and len(groups) == shape[0]:
            # The core says what is wrong with arguments.
            of_core(0, 0)
            if shape[0] and all(0 <= each < len(windows) for each in groups):
                work = self._work(plan, first, last, ())
        if work is None:
            return of_core(0, last - first) if len(weights) == last - first else _core.spectrum(
                plan, first, last, weights=weights, axis=axis, groups=groups, windows=windows,
                bins=bins, threads=threads, widen=widen, dtype=dtype, io=io,
            )  # fmt: skip
        from parentage.stream.backends.torch.cells import Query, Spectra
        from parentage.stream.backends.torch.floats import FLOATS

        query = Query(
            np.ascontiguousarray(weights), axis, np.array(groups, dtype=np.int64),
            np.ascontiguousarray(windows), bins, widen, dtype,
        )  # fmt: skip
        is_ours = query.is_in_range() and (dtype is None or dtype in FLOATS)
        if not is_ours or not np.isfinite(query.weights).all():
            return of_core(0, last - first)
        spectra = Spectra(query)
        for begin, end in work.core_s:
            spectra.put(of_core(begin, end))
        work.stream(spectra.compute, spectra.take, threads, _Told(None))
        return spectra.spectrum()

    def elements(
        self, plan: _core.Plan, first: int, last: int, *, threads: int, io: str = "mmap"
    ) -> Floats:
        """Return decoded elements: by the core, for they come to the host."""
        return _core.elements(plan, first, last, threads=threads, io=io)

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
        """Count results in cells of codes: by the core, which computes what codes stand for."""
        return _core.replay_in_cells(
            plan, replays, dtypes, room, threads=threads, tile_bytes=tile_bytes, io=io, level=level,
            progress=progress,
        )  # fmt: skip

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
        """Write what a recipe gives of every slice: by the core, which the disk keeps waiting."""
        _core.write_replay(
            plan, replay, files, targets, threads=threads, tile_bytes=tile_bytes, io=io,
            level=level, progress=progress,
        )  # fmt: skip

    def _work(
        self, plan: _core.Plan, first: int, last: int, replays: Sequence[_core.Replay]
    ) -> _Work | None:
        """Return the slices as work for the devices, or nothing where it is all the core's."""
        engine = self.open()
        if engine.arithmetic is None or not 0 <= first < last <= plan.slices:
            return None
        from parentage.stream.backends.torch.engine import rounds_to_nearest
        from parentage.stream.backends.torch.replays import Program

        if not rounds_to_nearest():
            # The core sets its own rounding, whatever that of its caller.
            return None
        with self._lock:
            if self._source is None or self._source.plan is not plan:
                from parentage.stream.backends.torch.source import Source

                self._source = Source(plan)
            source = self._source
        elements = source.extents.elements[first:last]
        programs = [Program.of(each) for each in replays]
        if not all(each.fits(elements, plan.columns) for each in programs):
            return None
        is_any = engine.has_fma64
        if not is_any and not all(each.has_matrices_in_range() for each in programs):
            return None
        kinds = source.extents.dtypes[first:last]
        held = source.extents.held[first:last].copy()
        if not is_any:
            held &= np.array(["F64" not in each for each in kinds], dtype=np.bool_)
        if int(elements[held].sum()) < max(self._least, 1):
            return None
        return _Work(engine, source, first, elements, kinds, held, programs)


class _Told:
    """Progress that adds up over the core's slices and the devices'."""

    def __init__(self, progress: Told) -> None:
        self._progress, self._done = progress, 0

    def part(self, bytes_: int) -> None:
        """Tell of bytes of what is under way."""
        if self._progress is not None:
            self._progress(self._done + bytes_)

    def add(self, bytes_: int) -> None:
        """Tell of bytes that are done."""
        self._done += bytes_
        self.part(0)


class _Work:
    """Slices of a plan, some of them for devices and some for the core."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        first: int,
        elements: NDArray[np.int64],
        kinds: list[tuple[str, ...]],
        held: NDArray[np.bool_],
        programs: list[Program],
    ) -> None:
        self.elements, self.kinds, self.programs = elements, kinds, programs
        self._engine, self._source, self._first, self._held = engine, source, first, held

    @property
    def core_s(self) -> Iterable[tuple[int, int]]:
        """The first and the last (exclusive) of slices that are the core's, run by run."""
        for is_held, run in groupby(range(len(self._held)), lambda row: bool(self._held[row])):
            if not is_held:
                rows = list(run)
                yield rows[0], rows[-1] + 1

    def stream(
        self,
        compute: Callable[[Columns, Batch, Arithmetic, Callable[[], None]], Any],
        take: Callable[[Batch, Any], None],
        threads: int,
        told: _Told,
    ) -> None:
        """Have the devices compute the chunks of what is theirs, and take what comes of it."""
        from parentage.stream.backends.torch.layout import batches, chunks_of
        from parentage.stream.backends.torch.source import Reader

        chunks = chunks_of(np.where(self._held, self.elements, 0))
        if len(chunks) == 0:
            return
        most = self._engine.limit(len(self.kinds[0]), threads)
        with Reader(self._source) as reader:
            parts = batches(chunks, self.kinds, most)
            run = self._engine.run(reader, self._first, parts, compute, threads, told.add)
            for batch, found in run:
                take(batch, found)
