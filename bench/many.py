"""Many workers: how even their work is, simulated at real size, and what processes gain here.

    python bench/many.py simulate [FOLDER] [--workers 64] [--rate 1GB/s] [--spread 0.2]
    python bench/many.py scale [FOLDER] [--size 256MB]

``simulate`` makes headers of base, parent and child of 397 billion parameters in 94 files each (all
files are holes: nothing is read), cuts their plan as workers are given it, by the code that gives
it, and lets simulated workers of unequal speed carry it out. Of each it knows how long it works:
*critical path* is the longest, and *evenness* the mean of all by that.

``scale`` traces made checkpoints by 1, 2 and 4 processes of one thread each, after asserting that
their sums are those of this process.

Tables go to stdout, as Markdown.
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from parentage.align import align
from parentage.checkpoint import Checkpoint, Columns
from parentage.statistics import full_pass
from parentage.stream import Cuts, Options, Processes, spread_over
from parentage.stream.backends import executor
from parentage.support import size
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent / "rehearsal"))

from replicas import ROLES, refuse_if_dense, write_headers

LAYOUTS = ("fused", "split")
BF16 = ml_dtypes.bfloat16


def plan_of(folder: Path, layout: str) -> Cuts:
    """Return the cuts of the plan of base, parent and child."""
    for role in ROLES:
        if not (folder / layout / role).exists():
            write_headers(folder / layout / role, layout, role)
    base, parent, child = (Checkpoint.open(folder / layout / role) for role in ROLES)
    return Cuts(align(child, [base, parent]).plan)


def simulate(
    cuts: Cuts, workers: int, rate: float, spread: float, *, whole: bool
) -> dict[str, Any]:
    """Return what became of workers; ``whole`` cuts where files end alone, for comparison."""
    random = np.random.default_rng(0)
    speeds = rate * random.uniform(1 - spread, 1 + spread, workers)
    ranges: list[tuple[int, int]] = []
    waiting: list[tuple[int, int]] = []
    at = read = 0
    seconds = 0.0
    busy = np.zeros(workers)
    # When each worker is free, and what it brings then.
    free = [(0.0, worker, 0, 0.0) for worker in range(workers)]
    heapq.heapify(free)
    under_way = 0
    ends = np.flatnonzero(cuts.parted == 0)
    while free:
        now, worker, brought, took = heapq.heappop(free)
        if brought:
            read, seconds, under_way = read + brought, seconds + took, under_way - 1
        while at < cuts.slices and under_way + len(waiting) < executor.in_hand(workers):
            left = cuts.bytes(at, cuts.slices)
            wanted = executor.range_bytes(left, workers, read / seconds if seconds else None)
            end = int(ends[ends > at][0]) if whole else cuts.end(at, wanted)
            waiting.append((at, end))
            at = end
        if waiting:
            first, last = waiting.pop(0)
            ranges.append((first, last))
            bytes_ = cuts.bytes(first, last)
            took = bytes_ / speeds[worker]
            busy[worker] += took
            under_way += 1
            heapq.heappush(free, (now + took, worker, bytes_, took))
    readers = {place[:2]: 0 for place in cuts.files}
    for each in ranges:
        for place in cuts.in_range(*each):
            readers[place] += 1
    total = cuts.bytes(0, cuts.slices)
    sizes = [cuts.bytes(*each) for each in ranges]
    assert sorted(ranges)[0][0] == 0
    assert sum(last - first for first, last in ranges) == cuts.slices
    return {
        "ranges": len(ranges),
        "largest, GB": round(max(sizes) / 1e9, 1),
        "bytes read / bytes": round(sum(sizes) / total, 3),
        "ranges per file": round(float(np.mean(list(readers.values()))), 2),
        "critical path, s": round(float(busy.max()), 1),
        "ideal, s": round(float(total / speeds.sum()), 1),
        "evenness": round(float(busy.mean() / busy.max()), 3),
    }


def parts(cuts: Cuts, count: int) -> dict[str, Any]:
    """Return how even parts are, which are cut before anything is known of machines."""
    sizes = [cuts.bytes(*each) for each in cuts.parts(count)]
    readers = {place[:2]: 0 for place in cuts.files}
    for each in cuts.parts(count):
        for place in cuts.in_range(*each):
            readers[place] += 1
    return {
        "parts": count,
        "largest, GB": round(max(sizes) / 1e9, 1),
        "bytes read / bytes": round(sum(sizes) / cuts.bytes(0, cuts.slices), 3),
        "parts per file": round(float(np.mean(list(readers.values()))), 2),
        "evenness": round(float(np.mean(sizes)) / max(sizes), 3),
    }


def made(folder: Path, bytes_: int) -> list[Checkpoint]:
    """Make base, parent and child of random numbers, in four files each, and open them."""
    random = np.random.default_rng(0)
    layers, width = 16, 1024
    rows = bytes_ // 2 // layers // width
    values = [random.normal(0, 0.02, (rows, width)).astype(np.float32) for _ in range(layers)]
    found = []
    for number, name in enumerate(("base", "parent", "child")):
        target = folder / f"{bytes_}-{name}"
        if not target.exists():
            target.mkdir(parents=True)
            for shard in range(4):
                tensors = {
                    f"model.layers.{layer}.mlp.up_proj.weight": (
                        values[layer] * np.float32(1 + 0.01 * number)
                    ).astype(BF16)
                    for layer in range(shard * 4, shard * 4 + 4)
                }
                save_file(tensors, target / f"model-{shard + 1:05}-of-00004.safetensors")
        found.append(Checkpoint.open(target))
    return found


def scale(folder: Path, bytes_: int, repeats: int) -> list[dict[str, Any]]:
    """Return seconds of a pass by this process and by others, the best of some."""
    *others, child = made(folder, bytes_)
    alignment = align(child, others)
    columns = Columns("base", ("parent",))
    executor.LEAST = 16 << 20

    def best(options: Options) -> tuple[float, bytes]:
        taken = []
        for _ in range(repeats):
            begun = time.perf_counter()
            found = full_pass(alignment, columns, options)
            taken.append(time.perf_counter() - begun)
        return min(taken), found.matrices.tobytes() + found.slices.energy.tobytes()

    alone, expected = best(Options(1))
    rows = [{"workers": "none, one thread", "s": round(alone, 2), "gain": 1.0}]
    threads, same = best(Options(2))
    assert same == expected
    rows.append(
        {"workers": "none, two threads", "s": round(threads, 2), "gain": round(alone / threads, 2)}
    )
    for count in (1, 2, 4):
        with Processes(count) as processes:
            pool = processes()
            list(pool.map(abs, range(count)))
            options = Options(1, backend=spread_over(pool, threads=1))
            seconds, same = best(options)
        assert same == expected
        rows.append(
            {"workers": f"{count}", "s": round(seconds, 2), "gain": round(alone / seconds, 2)}
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as Markdown."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row[key]) for key in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["simulate", "scale"])
    parser.add_argument("folder", type=Path, nargs="?", help="where checkpoints are kept")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--rate", type=size, default=10**9, help="bytes per second of a worker")
    parser.add_argument("--spread", type=float, default=0.2, help="how unequal workers are")
    parser.add_argument("--size", type=size, default=256 << 20, help="of each checkpoint to scale")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if given.what == "scale":
            print(f"{os.cpu_count()} CPUs, {given.size / 1e6:,.0f} MB a checkpoint\n")
            print(table(scale(folder, given.size, given.repeats)))
            return
        refuse_if_dense(folder)
        rows, cut = [], []
        for layout in LAYOUTS:
            cuts = plan_of(folder, layout)
            for whole in (False, True):
                what = "whole files, for comparison" if whole else "as given"
                found = simulate(cuts, given.workers, given.rate, given.spread, whole=whole)
                rows.append({"layout": layout, "cut": what, **found})
            cut.append({"layout": layout, **parts(cuts, given.workers)})
        print(f"{given.workers} workers of {given.rate / 1e9:g} GB/s, +- {given.spread:.0%}\n")
        print(table(rows), table(cut), sep="\n\n")


if __name__ == "__main__":
    main()
