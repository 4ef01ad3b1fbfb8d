"""Cases that are timed: with everything in the page cache, and with nothing in it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bench.disk_speed import digests, direct_read, refuses_direct
from parentage.bench.speeds import Case
from parentage.bench.synthetic import DTYPES, linear

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    from parentage.bench.plans import Plans
    from parentage.bench.speeds import Bench
    from parentage.checkpoint import Checkpoint

DIRECT_READS = ((1, 8 << 20), (2, 16 << 20), (8, 4 << 20))
"""Threads and bytes per request of the direct reads that are tried."""


def warm_cases(
    bench: Bench, plans: Plans, checkpoints: Sequence[Checkpoint], dtype: str
) -> list[Case]:
    """Return what is timed with everything in the page cache."""

    def case(what: str, plan: _core.Plan, call: Callable[..., object], **about: Any) -> Case:
        timed = partial(call, plan, 0, plan.slices, threads=bench.threads)
        return Case(what, dtype, True, plan.bytes(0, plan.slices), timed, **about)

    one = plans.one_parent
    replayed = partial(_core.gram, replays=[linear(one.slices, _rounding(checkpoints[-1]))])
    cases = [
        case("read mapped", plans.all_parents, _core.read, ceiling=True),
        *(
            case("gram", plan, _core.gram, parents=parents)
            for parents, plan in plans.by_parents.items()
        ),
        case("gram, linear replayed", one, replayed, parents=1),
        case("gram, pread", one, partial(_core.gram, io="pread"), parents=1),
    ]
    on_disk = sum(shard.bytes for checkpoint in checkpoints for shard in checkpoint.shards)
    if on_disk <= 2 * plans.bytes:
        hashing = partial(digests, checkpoints, bench.threads)
        cases.append(Case("sha256", dtype, True, on_disk, hashing))
    else:
        bench.skip("sha256: whole files are hashed, and these are larger than --gib")
    return cases


def cold_cases(
    bench: Bench, plan: _core.Plan, paths: Sequence[Path], dtype: str, size: int
) -> list[Case]:
    """Return what is timed with nothing in the page cache; nothing without direct I/O.

    ``plan`` is of a base, a parent and a child, and ``paths`` are their files, of which direct
    reads read ``size`` bytes at most.
    """
    refused = refuses_direct(paths[0])
    if refused is not None:
        bench.skip(f"all that is cold: {refused}")
        return []
    on_disk = min(size, sum(path.stat().st_size for path in paths))
    cases = [
        Case(
            f"direct, {count} x {request >> 20} MiB", dtype, False, on_disk,
            partial(direct_read, paths, on_disk, count, request), ceiling=True,
        )
        for count, request in DIRECT_READS
    ]  # fmt: skip
    planned = plan.bytes(0, plan.slices)
    for io in ("mmap", "pread", "direct"):
        options: dict[str, Any] = {"threads": bench.threads, "io": io}
        for what, call, parents in (("read", _core.read, None), ("gram", _core.gram, 1)):
            timed = partial(call, plan, 0, plan.slices, **options)
            cases.append(Case(f"{what}, {io}", dtype, False, planned, timed, parents))
    return cases


def _rounding(child: Checkpoint) -> str | None:
    """Return the dtype that a replay rounds to, ``None`` where the child has several."""
    dtypes = {tensor.dtype for tensor in child.tensors.values()}
    return dtypes.pop() if len(dtypes) == 1 and dtypes <= set(DTYPES) else None
