"""Sums over tensors in memory, again and again: what a call costs, and whether memory grows.

    python bench/live.py [--elements N] [--tensors N] [--calls N] [--threads N] [--json]

A plan over base, parent and child of float32 (state dicts of NumPy arrays) is made once and carried
out many times; every call must give the first one's bits. Beside it: making the plan, the same sums
over the tensors as files, adding up the bytes with the core's checksum, and NumPy's inner products
of the same columns in float64. Times are medians, but for the time that CPUs were at it for all
calls, each; memory is what the process has grown by.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import parentage
from numpy.typing import NDArray
from parentage import _core

Tensors = dict[str, NDArray[np.float32]]


def family(elements: int, tensors: int) -> tuple[Tensors, Tensors, Tensors]:
    """Return base, parent and child of ``elements`` elements each, in so many tensors."""
    rng = np.random.default_rng(0)
    size = max(elements // tensors, 1)
    names = [f"model.layers.{number}.weight" for number in range(tensors)]
    base = {name: rng.normal(size=size).astype(np.float32) for name in names}
    parent = {x: y + 0.01 * rng.normal(size=size).astype(np.float32) for x, y in base.items()}
    child = {x: np.float32(0.6) * parent[x] + np.float32(0.4) * base[x] for x in names}
    return base, parent, child


def median_of(work: Callable[[], object], calls: int) -> float:
    """Return the median of the seconds that ``work`` takes."""
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def products(columns: tuple[Tensors, Tensors, Tensors]) -> NDArray[np.float64]:
    """Return the Gram matrix of [base, parent - base, child - base], as one would with NumPy."""
    total = np.zeros((3, 3))
    for name in columns[0]:
        b, p, c = (each[name].astype(np.float64) for each in columns)
        rows = np.stack([b, p - b, c - b])
        total += rows @ rows.T
    return total


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    pages = Path("/proc/self/statm")
    if pages.is_file():
        return int(pages.read_text("ascii").split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(elements: int, tensors: int, calls: int, threads: int | None) -> dict[str, object]:
    """Measure one size."""
    base, parent, child = family(elements, tensors)
    given = {"base": base, "parents": [parent], "threads": threads}
    plan = parentage.plan(child, **given)
    first = plan.gram()
    exact = products((base, parent, child))
    lengths = np.sqrt(np.diag(exact))
    assert (abs(first.total - exact) <= 1e-8 * np.outer(lengths, lengths)).all()
    for _ in range(min(calls, 50)):
        plan.gram()
    gc.collect()
    before = resident()
    seconds = []
    at_work = time.process_time()
    for _ in range(calls):
        began = time.perf_counter()
        found = plan.gram()
        seconds.append(time.perf_counter() - began)
        assert found.blocks.tobytes() == first.blocks.tobytes()
    at_work = time.process_time() - at_work
    del found
    gc.collect()
    grown = resident() - before
    workers = _core.threads() if threads is None else threads
    core = plan._alignment.plan
    few = max(calls // 10, 5)
    with tempfile.TemporaryDirectory() as folder:
        from safetensors.numpy import save_file

        paths = {}
        for name, each in (("base", base), ("parent", parent), ("child", child)):
            paths[name] = Path(folder, f"{name}.safetensors")
            save_file(each, paths[name])
        stored = parentage.plan(
            paths["child"], base=paths["base"], parents=[paths["parent"]], threads=threads
        )
        assert stored.gram().blocks.tobytes() == first.blocks.tobytes()
        of_files = median_of(stored.gram, few)
    median = statistics.median(seconds)
    return {
        "elements": elements,
        "tensors": tensors,
        "calls": calls,
        "threads": workers,
        "level": _core.simd_level(),
        "bytes": plan.bytes,
        "ms_per_call": 1e3 * median,
        "ms_of_cpus_per_call": 1e3 * at_work / calls,
        "ms_of_the_slowest_hundredth": 1e3 * sorted(seconds)[-max(calls // 100, 1)],
        "gigabytes_per_second": plan.bytes / median / 1e9,
        "bytes_grown": grown,
        "ms_of_a_plan": 1e3 * median_of(lambda: parentage.plan(child, **given), few),
        "ms_over_files": 1e3 * of_files,
        "ms_of_a_checksum": 1e3
        * median_of(lambda: _core.read(core, 0, core.slices, threads=workers), few),
        "ms_of_numpy": 1e3 * median_of(lambda: products((base, parent, child)), few),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=1_000_000, help="of each checkpoint")
    parser.add_argument("--tensors", type=int, default=10, help="of each checkpoint")
    parser.add_argument("--calls", type=int, default=1000, help="of one plan")
    parser.add_argument("--threads", type=int, help="one per CPU by default")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    if _core.build_profile != "release":
        raise SystemExit("this build is slow; measure one that was built with --release")
    found = measure(asked.elements, asked.tensors, asked.calls, asked.threads)
    found = {"machine": platform.machine(), **found}
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    width = max(map(len, found))
    for name, value in found.items():
        print(
            f"{name:{width}}  {value:,.3f}"
            if isinstance(value, float)
            else f"{name:{width}}  {value}"
        )


if __name__ == "__main__":
    main()
