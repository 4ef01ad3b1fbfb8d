"""Measures this machine: how fast checkpoints are read, compared, replayed and hashed on it.

Every speed is a share of a ceiling measured in the same run: what is in the page cache, of reading
the mapped bytes; what is not, of the fastest direct read of the same files
(:mod:`parentage.bench.disk_speed`). Equality is asserted before anything is timed, and cases take
turns, so that all meet the same machine.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bench.cases import cold_cases, warm_cases
from parentage.bench.disk_speed import evict
from parentage.bench.equality import assert_equal, assert_replayed
from parentage.bench.hardware import machine, memory_bytes
from parentage.bench.plans import PARENTS, plan_reading
from parentage.bench.speeds import Bench
from parentage.bench.synthetic import DTYPES, make_family
from parentage.checkpoint import Checkpoint
from parentage.stream import SILENT
from parentage.support import ParentageError, WriteError, is_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from parentage.bench.speeds import Case
    from parentage.stream import Progress

RUNS = 5

SPARE = 1.2
"""Free space asked for, in units of what is written."""


def bench(
    checkpoints: Sequence[str | PathLike[str]] = (),
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
        If instruction sets differ, or are off from float64 by more than
        :data:`parentage.bench.TOLERANCE`.
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
    memory = memory_bytes()
    if size > memory // 2:
        raise ValueError(
            f"{size / 2**30:g} GiB are more than half of the {memory / 2**30:.1f} GiB of memory: "
            "they would not stay in the page cache; give less to --gib"
        )
    threads = _core.threads() if threads is None else threads
    parent = Path(tempfile.gettempdir()) if folder is None else folder
    place = Path(checkpoints[-1]) if checkpoints else parent
    result = Bench(machine(place), [], [], [], threads, runs)
    if checkpoints:
        given = [Checkpoint.open(path) for path in checkpoints]
        _measure(result, given, [*given[:2], given[-1]], size, progress)
        return result
    for dtype in DTYPES:
        with _scratch(parent, 2 * size) as scratch:
            warm = _make(scratch / "warm", dtype, max(PARENTS), size, threads, note)
            cold = _make(scratch / "cold", dtype, 1, size, threads, note)
            for family in (warm, cold):
                assert_replayed(plan_reading(family, size).one_parent, dtype, threads)
            _measure(result, warm, cold, size, progress)
    return result


def _make(
    folder: Path, dtype: str, parents: int, size: int, threads: int, note: Callable[[str], None]
) -> list[Checkpoint]:
    """Make a base, parents and a child, of ``size`` bytes in all, and open them."""
    several = f"{parents} parents" if parents > 1 else "a parent"
    note(f"making a base, {several} and a child in {dtype}, {size:,} bytes, in {folder}")
    return [Checkpoint.open(path) for path in make_family(folder, dtype, parents, size, threads)]


@contextmanager
def _scratch(parent: Path, size: int) -> Iterator[Path]:
    """Make a temporary folder with room for ``size`` bytes, and remove it whatever happens."""
    if not is_folder(parent):
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
    result: Bench,
    warm: Sequence[Checkpoint],
    cold: Sequence[Checkpoint],
    size: int,
    progress: Progress,
) -> None:
    """Assert equality, then time every case, and add it all to the result.

    ``warm`` and ``cold`` are what is read from the page cache and from the disk: each a base,
    parents and a child, ``cold`` with a single parent.
    """
    plans = plan_reading(warm, size)
    dtypes = {tensor.dtype for checkpoint in warm for tensor in checkpoint.tensors.values()}
    dtype = "+".join(sorted(dtypes))
    result.inputs.append(
        {
            "checkpoints": [checkpoint.name for checkpoint in warm],
            "dtype": dtype,
            "bytes": plans.bytes,
            "largest_deviation": assert_equal(plans.sample, result.threads),
        }
    )
    paths = [shard.path for checkpoint in cold for shard in checkpoint.shards]
    from_disk = plan_reading(cold, size).one_parent
    cases = [
        *warm_cases(result, plans, warm, dtype),
        *cold_cases(result, from_disk, paths, dtype, size),
    ]

    def fill_cache() -> None:
        whole = plans.all_parents
        _core.read(whole, 0, whole.slices, threads=result.threads)

    _time(cases, result.runs, fill_cache, lambda: evict(paths), progress)
    result.cases += cases


def _time(
    cases: Sequence[Case],
    runs: int,
    fill_cache: Callable[[], None],
    empty_cache: Callable[[], None],
    progress: Progress,
) -> None:
    """Time every case, in turns."""
    progress.start(runs * sum(case.bytes for case in cases))
    done = 0
    for _ in range(runs):
        # What cold cases evicted is brought back before anything warm is timed.
        fill_cache()
        for case in cases:
            if not case.warm:
                empty_cache()
            start = time.perf_counter()
            case.call()
            case.seconds.append(time.perf_counter() - start)
            done += case.bytes
            progress.update(done)
