"""Measures streaming against the machine's own ceiling and against what a user would write.

    python bench/stream.py [--gib 1] [--parents 1] [--threads 2] [--folder DIR] [--record]

Makes a base, parents and a child of the given size in bf16 (kept in --folder if given), then, on
the warm page cache:

1. asserts that the Gram matrix is that of a float64 reference on every tensor's first block,
   within the documented 1e-8, and that all levels give the same bits;
2. times, in turns, so that all meet the same machine: the ceiling (the same mapped bytes, summed as
   64-bit words, by the core's own windows and by plain numpy threads: the faster counts), the Gram
   at every level, a numpy loop, and a torch loop where torch is installed;
3. traces in a process of its own and samples its anonymous memory.

Prints medians and ratios; --record keeps them in bench/results with machine and date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import mmap
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import parentage
from parentage import _core
from parentage.bench import COLUMNS, TENSORS, blend, linear, machine, make, plan_of
from parentage.stream import unpack

RUNS = 5


def widened(path: Path, begin: int, count: int) -> np.ndarray:
    """Return ``count`` bf16 elements from byte ``begin`` of a file, as float64."""
    stored = np.fromfile(path, "<u2", count, offset=begin)
    return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def assert_equal(plan: _core.Plan, opened: list[parentage.Checkpoint]) -> float:
    """Compare with float64 on the first block of every tensor, and levels with each other."""
    results = {
        level: _core.gram(plan, 0, plan.slices, threads=2, level=level)
        for level in _core.levels()
        if level != "scalar"
    }
    first = next(iter(results.values()))
    for level, result in results.items():
        assert np.array_equal(result.gram, first.gram), f"{level} has other bits"
    worst = 0.0
    for number, tensor in enumerate(opened[0].tensors.values()):
        count = tensor.elements // _core.BLOCKS
        columns = [
            widened(each.shards[0].path, list(each.tensors.values())[number].begin, count)
            for each in opened
        ]
        x = np.stack([columns[0], *(column - columns[0] for column in columns[1:])])
        exact, norms = x @ x.T, np.linalg.norm(x, axis=1)
        error = np.abs(unpack(first.gram)[number, 0] - exact) / np.outer(norms, norms)
        worst = max(worst, float(error.max()))
    assert worst <= 1e-8, f"deviation {worst}"
    return worst


def numpy_read(paths: list[Path], threads: int) -> int:
    """Sum all 64-bit words of the mapped files, in 8 MiB windows."""
    step, total = 8 << 20, 0
    with ThreadPoolExecutor(threads) as pool:
        for path in paths:
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
            ):
                words = np.frombuffer(mapped, "<u8", len(mapped) // 8)
                parts = (words[at : at + step // 8] for at in range(0, len(words), step // 8))
                total += sum(int(part) for part in pool.map(lambda part: part.sum(), parts))
                del words, parts
    return total


def numpy_loop(paths: list[Path]) -> np.ndarray:
    """Compute the Gram matrix as one would with safetensors, ml_dtypes and numpy."""
    import ml_dtypes  # noqa: F401  (gives numpy its bfloat16)
    from safetensors import safe_open

    files = [safe_open(path, framework="np") for path in paths]
    gram = np.zeros((len(paths), len(paths)))
    for name in files[0].keys():  # noqa: SIM118
        base, *others = (file.get_tensor(name).astype(np.float32).ravel() for file in files)
        x = [base, *(other - base for other in others)]
        gram += [[float(np.dot(a, b)) for b in x] for a in x]
    return gram


def torch_loop(paths: list[Path], threads: int) -> np.ndarray:
    """Compute the Gram matrix as one would with safetensors and torch."""
    import torch
    from safetensors import safe_open

    torch.set_num_threads(threads)
    files = [safe_open(path, framework="pt") for path in paths]
    gram = np.zeros((len(paths), len(paths)))
    for name in files[0].keys():  # noqa: SIM118
        base, *others = (file.get_tensor(name).float().flatten() for file in files)
        x = torch.stack([base, *(other - base for other in others)])
        gram += (x @ x.T).double().numpy()
    return gram


def peak_memory(paths: list[Path], threads: int) -> int:
    """Return the peak of a trace's anonymous memory, in bytes, sampled every 5 ms."""
    child, base, *parents = [paths[-1], *paths[:-1]]
    arguments = ["trace", child, "--base", base, "--threads", threads, "--json", "--quiet"]
    for parent in parents:
        arguments += ["--parent", parent]
    command = [sys.executable, "-c", "from parentage.cli import main; main()", *map(str, arguments)]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = status.read_text().splitlines()
            found = next((line for line in lines if line.startswith("RssAnon")), None)
            if found:
                peak = max(peak, int(found.split()[1]) * 1024)
            time.sleep(0.005)
        assert process.returncode == 0, "the trace failed"
    return peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of each checkpoint")
    parser.add_argument("--parents", type=int, default=1)
    parser.add_argument("--threads", type=int, default=_core.threads())
    parser.add_argument("--folder", type=Path, help="where checkpoints are kept")
    parser.add_argument("--record", action="store_true", help="keep the result in bench/results")
    options = parser.parse_args()
    if _core.build_profile != "release":
        sys.exit("a debug build has no speed to measure")

    scratch = None if options.folder else tempfile.TemporaryDirectory()
    folder = options.folder or Path(scratch.name)
    elements = int(options.gib * 2**30) // 2 // TENSORS // COLUMNS * COLUMNS
    roles = ["base", *(f"parent{number}" for number in range(options.parents)), "child"]
    for seed, role in enumerate(roles):
        if not (folder / role / "model.safetensors").exists():
            print(f"making {role}", file=sys.stderr)
            if role == "child":
                blend(folder / role, folder / "base", folder / "parent0", options.threads)
            else:
                make(folder / role, seed, elements)
    opened = [parentage.Checkpoint.open(folder / role) for role in roles]
    paths = [folder / role / "model.safetensors" for role in roles]
    plan = plan_of(opened)
    size = plan.bytes(0, TENSORS)

    worst = assert_equal(plan, opened)
    replay = linear(TENSORS, "BF16")
    found = _core.replay_slices(plan, 0, TENSORS, [replay], threads=2)
    assert not found.mismatched.any(), "the replay does not give the child"
    exact = unpack(_core.gram(plan, 0, TENSORS, threads=1).gram).sum(axis=(0, 1))
    threads = options.threads
    cases = {
        "read, mapped windows": lambda: _core.read(plan, 0, TENSORS, threads=threads),
        "read, numpy threads": lambda: numpy_read(paths, threads),
    }
    for level in _core.levels():
        if level != "scalar":
            cases[f"gram, {level}"] = lambda level=level: _core.gram(
                plan, 0, TENSORS, threads=threads, level=level
            )
            cases[f"gram and replay, {level}"] = lambda level=level: _core.gram(
                plan, 0, TENSORS, threads=threads, level=level, replays=[replay]
            )
    cases["gram, pread"] = lambda: _core.gram(plan, 0, TENSORS, threads=threads, io="pread")
    users = {"numpy loop": lambda: numpy_loop(paths)}
    try:
        import torch

        users[f"torch {torch.__version__} loop"] = lambda: torch_loop(paths, threads)
    except ImportError:
        print("skipped: torch is not installed", file=sys.stderr)
    deviations = {}
    for name, loop in users.items():
        error = np.abs(loop() - exact) / np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
        # Float32 sums of half a billion products are no better than that.
        assert error.max() < 0.1, f"{name} computes something else"
        deviations[name] = f"{error.max():.1e}"
        print(f"{name}: deviates by up to {error.max():.1e} of |x_i||x_j|", file=sys.stderr)

    times: dict[str, list[float]] = {}
    for run in range(RUNS):
        for name, case in {**cases, **(users if run < 2 else {})}.items():
            start = time.perf_counter()
            case()
            times.setdefault(name, []).append(time.perf_counter() - start)
    speeds = {name: size / statistics.median(values) / 1e9 for name, values in times.items()}
    ceiling = max(speed for name, speed in speeds.items() if name.startswith("read"))
    best = max(speed for name, speed in speeds.items() if name.startswith("gram,"))
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine(folder),
        "input": f"{len(roles)} x {options.gib:g} GiB bf16, page cache warm",
        "parents": options.parents,
        "threads": threads,
        "largest_deviation": worst,
        "gb_per_s": {name: round(speed, 2) for name, speed in speeds.items()},
        "of_ceiling": {name: round(speed / ceiling, 3) for name, speed in speeds.items()},
        "user_loop_deviates_by": deviations,
        "replay_costs": {
            level: round(speeds[f"gram, {level}"] / speeds[f"gram and replay, {level}"], 2)
            for level in _core.levels()
            if level != "scalar"
        },
        "times_user_loop": {name: round(best / speeds[name], 1) for name in users},
        "peak_anonymous_mib": round(peak_memory(paths, threads) / 2**20, 1),
    }
    print(json.dumps(result, indent=1))
    if options.record:
        name = f"{result['date']}-stream-{options.parents}p-{threads}t.json"
        target = Path(__file__).parent / "results" / name
        target.write_text(json.dumps(result, indent=1) + "\n")
        print(f"kept in {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
