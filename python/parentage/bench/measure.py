"""Measures this machine: how fast checkpoints are read, compared, replayed and hashed on it.

Every speed is a share of a ceiling measured in the same run: what is in the page cache, of reading
the mapped bytes; what is not, of the fastest direct read of the same files
(:mod:`parentage.bench.disk_speed`). Equality is asserted before anything is timed, and cases take
turns, so that all meet the same machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import align
from parentage.bench.disk_speed import digests, direct_read, evict, file_system, refuses_direct
from parentage.bench.synthetic import DTYPES, linear, make_family
from parentage.checkpoint import Checkpoint
from parentage.stream import SILENT, Progress, unpack
from parentage.support import ParentageError, WriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray


RUNS = 5

PARENTS = (1, 2, 4, 8)

TOLERANCE = 1e-8
"""Documented bound of a Gram entry's error, in units of |x_i||x_j|."""

PART = 1 << 15
"""Elements of each slice that are compared with float64."""

PART_SLICES = 64

SPARE = 1.2
"""Free space asked for, in units of what is written."""

REQUESTS = ((1, 8 << 20), (2, 16 << 20), (8, 4 << 20))
"""Threads and bytes per request of the direct reads that are tried."""


class UnequalError(ParentageError):
    """What is to be timed does not compute what it should."""


@dataclass
class Case:
    """Something to time."""

    what: str
    dtype: str
    warm: bool
    """Whether everything is in the page cache."""
    bytes: int
    call: Callable[[], object]
    parents: int | None = None
    ceiling: bool = False
    """Whether it may be the ceiling of the cases that are as warm, and of the same dtype."""
    seconds: list[float] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Median speed in GB/s, 10^9 bytes."""
        return self.bytes / statistics.median(self.seconds) / 1e9


@dataclass
class Bench:
    """What was measured."""

    machine: dict[str, Any]
    inputs: list[dict[str, Any]]
    """Per group of checkpoints: what they are, dtype, bytes, and the largest deviation."""
    cases: list[Case]
    skipped: list[str]
    """What was not measured, and why."""
    threads: int
    runs: int

    def skip(self, what: str) -> None:
        """Add something that is not measured, once."""
        if what not in self.skipped:
            self.skipped.append(what)

    def ceiling(self, case: Case) -> float:
        """Return the speed in GB/s that a case is compared with."""
        return max(
            each.speed
            for each in self.cases
            if each.ceiling and each.warm == case.warm and each.dtype == case.dtype
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for every case."""
        return [
            {
                "what": each.what,
                "dtype": each.dtype,
                "parents": each.parents,
                "cache": "warm" if each.warm else "cold",
                "bytes": each.bytes,
                "gb_per_s": round(each.speed, 3),
                "of_ceiling": round(each.speed / self.ceiling(each), 3),
                "seconds": [round(seconds, 5) for seconds in each.seconds],
            }
            for each in self.cases
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the document that ``--json`` prints."""
        return {
            "schema": "parentage.bench/1",
            "tool": {"name": "parentage", "version": _core.__version__},
            "machine": self.machine,
            "threads": self.threads,
            "runs": self.runs,
            "inputs": self.inputs,
            "results": self.rows(),
            "skipped": self.skipped,
        }


def bench(
    checkpoints: Sequence[Path] = (),
    *,
    size: int = 1 << 30,
    runs: int = RUNS,
    threads: int | None = None,
    folder: Path | None = None,
    progress: Progress = SILENT,
    note: Callable[[str], None] = lambda _: None,
) -> Bench:
    """Measure on checkpoints: the base, parents, and last the child; or on ones that are made.

    ``size`` bytes are measured: of given checkpoints together at most, of made ones of each dtype.
    Those are made below ``folder``, by default the system's for temporary files, and removed.
    ``note`` is told what is made, in sentences.

    Raises
    ------
    UnequalError
        If instruction sets differ, or are off from float64 by more than :data:`TOLERANCE`.
    WriteError
        If there is no room for what is to be made.
    ValueError
        If one or two checkpoints are given, or ``size`` is more than half of the memory.
    ParentageError
        If checkpoints are damaged, or do not pair.
    """
    if _core.build_profile != "release":
        raise ParentageError("a debug build has no speed to measure")
    if 0 < len(checkpoints) < 3:
        raise ValueError("give the base, at least one parent, and last the child; or nothing")
    memory = _memory()
    if size > memory // 2:
        raise ValueError(
            f"{size / 2**30:g} GiB are more than half of the {memory / 2**30:.1f} GiB of memory: "
            "they would not stay in the page cache; give less to --gib"
        )
    used = _core.threads() if threads is None else threads
    where = Path(checkpoints[-1]) if checkpoints else folder or Path(tempfile.gettempdir())
    found = Bench(machine(where), [], [], [], used, runs)
    if checkpoints:
        opened = [Checkpoint.open(path) for path in checkpoints]
        _measure(found, opened, [*opened[:2], opened[-1]], size, progress)
        return found
    for dtype in DTYPES:
        with _scratch(folder, 2 * size) as scratch:
            many = _made(scratch / "warm", dtype, max(PARENTS), size, used, note)
            three = _made(scratch / "cold", dtype, 1, size, used, note)
            for opened in (many, three):
                assert_replayed(_plans(opened, size)[0][1], dtype, used)
            _measure(found, many, three, size, progress)
    return found


def _made(
    folder: Path, dtype: str, parents: int, size: int, threads: int, note: Callable[[str], None]
) -> list[Checkpoint]:
    """Make a family of ``size`` bytes in all: a base, parents and a child."""
    several = f"{parents} parents" if parents > 1 else "a parent"
    note(f"making a base, {several} and a child in {dtype}, {size:,} bytes, in {folder}")
    return [Checkpoint.open(path) for path in make_family(folder, dtype, parents, size, threads)]


@contextmanager
def _scratch(folder: Path | None, size: int) -> Iterator[Path]:
    """Make a temporary folder with room for ``size`` bytes, and remove it whatever happens."""
    parent = Path(tempfile.gettempdir()) if folder is None else folder
    if not parent.is_dir():
        raise WriteError(f"{parent}: there is no such folder to make checkpoints in")
    free = shutil.disk_usage(parent).free
    if free < SPARE * size:
        raise WriteError(
            f"{parent}: {free:,} bytes are free, and {int(SPARE * size):,} are needed; give less "
            "to --gib, or another --folder"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="parentage-bench-", dir=parent) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise WriteError(f"{parent}: {error}") from error


def _measure(
    found: Bench,
    opened: list[Checkpoint],
    three: list[Checkpoint],
    size: int,
    progress: Progress,
) -> None:
    """Assert equality, then time every case in turns, and add it all to what was found.

    What is cold is ``three`` of them, or like them: base, parent and child.
    """
    plans, part = _plans(opened, size)
    whole = plans[len(opened) - 2]
    dtype = "+".join(sorted({t.dtype for each in opened for t in each.tensors.values()}))
    found.inputs.append(
        {
            "checkpoints": [each.name for each in opened],
            "dtype": dtype,
            "bytes": whole.bytes(0, whole.slices),
            "largest_deviation": assert_equal(part, found.threads),
        }
    )
    paths = [shard.path for each in three for shard in each.shards]
    cold = _plans(three, size)[0][1]
    cases = [*_warm(plans, opened, dtype, found), *_cold(cold, paths, dtype, found, size)]
    progress.start(found.runs * sum(each.bytes for each in cases))
    done = 0
    for _ in range(found.runs):
        # What the cold ones evicted is brought back before anything warm is timed.
        _core.read(whole, 0, whole.slices, threads=found.threads)
        for case in cases:
            if not case.warm:
                evict(paths)
            start = time.perf_counter()
            case.call()
            case.seconds.append(time.perf_counter() - start)
            done += case.bytes
            progress.update(done)
    found.cases += cases


def _plans(opened: list[Checkpoint], size: int) -> tuple[dict[int, _core.Plan], _core.Plan]:
    """Return plans of the same slices by number of parents, and one of a part for all of them.

    The part is the first elements of the first slices. Slices are taken in the order of the child's
    files, up to ``size`` bytes, and one at least.
    """
    *others, child = opened
    alignment = align(child, others)
    plan = alignment.plan
    kept, held = 0, 0
    while kept < plan.slices and (kept == 0 or held + plan.bytes(kept, kept + 1) <= size):
        held += plan.bytes(kept, kept + 1)
        kept += 1
    slices = alignment.slices[:kept]
    sizes = np.array([each.elements for each in slices], dtype=np.uint64)
    table = np.array([[(e.tensor, e.start) for e in each.extents] for each in slices], np.uint64)

    def planned(columns: list[int], sizes: NDArray[np.uint64]) -> _core.Plan:
        rows = table[: len(sizes), columns]
        tensors, starts = (np.ascontiguousarray(rows[:, :, i]) for i in (0, 1))
        return _core.Plan([opened[column].core for column in columns], sizes, tensors, starts)

    most, last = len(opened) - 2, len(opened) - 1
    counts = sorted({*(count for count in PARENTS if count <= most), most})
    plans = {count: planned([*range(count + 1), last], sizes) for count in counts}
    return plans, planned([*range(last + 1)], np.minimum(sizes[:PART_SLICES], np.uint64(PART)))


def assert_equal(part: _core.Plan, threads: int) -> float:
    """Compare instruction sets with each other and with float64 on a small plan.

    Returns the largest deviation of a Gram entry from float64, in units of |x_i||x_j|.

    Raises
    ------
    UnequalError
        If sets differ in a bit, or the deviation is above :data:`TOLERANCE`.
    """
    first = _core.gram(part, 0, part.slices, threads=threads).gram
    for level in _core.levels():
        same = _core.gram(part, 0, part.slices, threads=threads, level=level).gram
        if not np.array_equal(same, first, equal_nan=True):
            raise UnequalError(f"the Gram matrix at level {level} has other bits")
    worst = 0.0
    for number in range(part.slices):
        x = _core.elements(part, number, number + 1, threads=threads)
        x = x[np.isfinite(x).all(axis=1)]
        x[:, 1:] -= x[:, :1]
        norms = np.linalg.norm(x, axis=0)
        scale = np.outer(norms, norms)
        error = np.abs(unpack(first[number]).sum(axis=0) - x.T @ x)
        worst = max(worst, float(np.max(error[scale > 0] / scale[scale > 0], initial=0.0)))
    if worst > TOLERANCE:
        raise UnequalError(f"the Gram matrix is off by {worst:.1e} of |x_i||x_j|")
    return worst


def _warm(
    plans: dict[int, _core.Plan], opened: list[Checkpoint], dtype: str, found: Bench
) -> list[Case]:
    """Return what is timed with everything in the page cache."""
    threads, whole, one = found.threads, plans[len(opened) - 2], plans[1]

    def case(
        what: str, plan: _core.Plan, call: Callable[[_core.Plan], object], **more: Any
    ) -> Case:
        size = plan.bytes(0, plan.slices)
        return Case(what, dtype, True, size, partial(call, plan), **more)

    def gram(plan: _core.Plan, **options: Any) -> object:
        return _core.gram(plan, 0, plan.slices, threads=threads, **options)

    def read(plan: _core.Plan) -> object:
        return _core.read(plan, 0, plan.slices, threads=threads)

    cases = [case("read mapped", whole, read, ceiling=True)]
    cases += [case("gram", plan, gram, parents=count) for count, plan in plans.items()]
    replays = [linear(one.slices, _rounding(opened[-1]))]
    cases.append(case("gram, linear replayed", one, partial(gram, replays=replays), parents=1))
    cases.append(case("gram, pread", one, partial(gram, io="pread"), parents=1))
    shards = sum(shard.bytes for each in opened for shard in each.shards)
    if shards <= 2 * whole.bytes(0, whole.slices):
        hashing = partial(digests, opened, threads)
        cases.append(Case("sha256", dtype, True, shards, hashing))
    else:
        found.skip("sha256: whole files are hashed, and these are larger than --gib")
    return cases


def _rounding(child: Checkpoint) -> str | None:
    """Return the dtype that a replay rounds to, ``None`` where the child has several."""
    dtypes = {each.dtype for each in child.tensors.values()}
    return dtypes.pop() if len(dtypes) == 1 and dtypes <= set(DTYPES) else None


def assert_replayed(plan: _core.Plan, dtype: str, threads: int) -> None:
    """Compare what the timed replay gives with a child that is made by it.

    Raises
    ------
    UnequalError
        If an element is not the child's, bit for bit.
    """
    replays = [linear(plan.slices, dtype)]
    found = _core.replay_slices(plan, 0, plan.slices, replays, threads=threads)
    if found.mismatched.any():
        raise UnequalError(f"{int(found.mismatched.sum()):,} replayed elements are not the child's")


def _cold(plan: _core.Plan, paths: list[Path], dtype: str, found: Bench, size: int) -> list[Case]:
    """Return what is timed with nothing in the page cache; nothing without direct I/O."""
    refused = refuses_direct(paths[0])
    if refused is not None:
        found.skip(f"all that is cold: {refused}")
        return []
    threads, planned = found.threads, plan.bytes(0, plan.slices)
    on_disk = min(size, sum(path.stat().st_size for path in paths))
    cases = [
        Case(
            f"direct, {count} x {request >> 20} MiB", dtype, False, on_disk,
            partial(direct_read, paths, on_disk, count, request), ceiling=True,
        )
        for count, request in REQUESTS
    ]  # fmt: skip
    for io in ("mmap", "pread", "direct"):
        options: dict[str, Any] = {"threads": threads, "io": io}
        for what, call in (("read", _core.read), ("gram", _core.gram)):
            timed = partial(call, plan, 0, plan.slices, **options)
            parents = 1 if what == "gram" else None
            cases.append(Case(f"{what}, {io}", dtype, False, planned, timed, parents))
    return cases


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine(folder: Path) -> dict[str, Any]:
    """Describe the machine, and the file system that ``folder`` is on."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        model = next(names, model)
    return {
        "cpu": model,
        "cpus": _core.threads(),
        "levels": _core.levels(),
        "level": _core.simd_level(),
        "memory_gib": round(_memory() / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **file_system(folder),
    }
