"""Measures how fast codes are decoded, and other orders are read, against reading their bytes.

    python bench/codings.py [--mib 256] [--threads 2] [--runs 5] [--record]

Makes a bf16 child of the given size and, as its parent, the same number of elements in each
encoding and order. For each, on the warm page cache and in turns: the ceiling (the mapped bytes of
child and parent, both bf16, summed as 64-bit words) and the Gram matrix of the two; the ratio is of
bytes read in a second. Orders are compared with the plain Gram matrix instead. That decoded
numbers are those of the references is asserted by `tests/checkpoint/test_codings.py`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
from parentage import Checkpoint, _core
from parentage.bench import machine
from parentage.checkpoint import Coding, Tensor
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Callable

    View = Callable[[Checkpoint], Checkpoint]

BF16 = np.dtype(ml_dtypes.bfloat16)
E4M3 = np.dtype(ml_dtypes.float8_e4m3fn)
WIDTH = 4096
GGUF = {"Q8_0": 34 / 32, "Q4_0": 18 / 32, "Q4_K": 144 / 256, "Q6_K": 210 / 256}
SLOWEST = {"transposed": 1.5, "rows in another order": 1.5, "as it lies": 1.1}
"""How many times the plain time an order may take."""


def stored(rows: int) -> dict[str, dict[str, np.ndarray]]:
    """Return the tensors of every file, by name."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 127, (rows, WIDTH), dtype=np.uint8)
    out = {
        "child": {"w": rng.standard_normal((rows, WIDTH), np.float32).astype(BF16)},
        "plain": {"w": rng.standard_normal((rows, WIDTH), np.float32).astype(BF16)},
        "fp8": {"w": codes.view(E4M3), "s": np.ones((rows // 128, WIDTH // 128), np.float32)},
        "mxfp4": {
            "w": codes[:, : WIDTH // 2].reshape(rows, WIDTH // 32, 16),
            "s": np.full((rows, WIDTH // 32), 120, np.uint8),
        },
    }
    for kind, each in GGUF.items():
        out[kind] = {"w": rng.integers(0, 60, int(rows * WIDTH * each), dtype=np.uint8)}
    return out


def codings(name: str, opened: Checkpoint, rows: int) -> Coding:
    """Return the coding of a file's tensor."""
    at = {key: each.window for key, each in opened.tensors.items()}
    if name == "fp8":
        return Coding.scaled(at["w"], at["s"], WIDTH, (128, 128))
    if name == "mxfp4":
        return Coding.mxfp4(at["w"], at["s"])
    if name in GGUF:
        return Coding.gguf(at["w"], name)
    if name == "transposed":
        return Coding.strided(at["w"], (WIDTH, rows), (1, WIDTH))
    if name == "rows in another order":
        order = np.random.default_rng(2).permutation(rows)
        return Coding.gather(at["w"], WIDTH, rows=order.tolist())
    return Coding.gather(at["w"], WIDTH)


def view(opened: Checkpoint, coding: Coding, rows: int) -> Checkpoint:
    """Return the checkpoint with one tensor that a coding gives."""
    width = 4 if coding.dtype == "F32" else 2
    tensor = Tensor(0, "w", coding.dtype, (rows, WIDTH), opened.places, 0, rows * WIDTH * width)
    return opened.seen_as([tensor], [coding])


def plan(columns: list[Checkpoint], elements: int) -> _core.Plan:
    """Return the plan of one slice, all of ``w``."""
    tensors = np.array([[each.tensors["w"].index for each in columns]], dtype=np.uint64)
    counts = np.array([elements], dtype=np.uint64)
    return _core.Plan([each.core for each in columns], counts, tensors, np.zeros_like(tensors))


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=int, default=256, help="size of the child, in MiB")
    parser.add_argument("--threads", type=int, default=_core.threads())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tile", type=int, help="bytes of a tile")
    parser.add_argument("--record", action="store_true", help="keep the result in bench/results")
    given = parser.parse_args()
    rows = given.mib * (1 << 20) // (2 * WIDTH) // 128 * 128
    elements = rows * WIDTH
    with tempfile.TemporaryDirectory() as name:
        folder, opened = Path(name), {}
        for each, tensors in stored(rows).items():
            save_file(tensors, folder / f"{each}.safetensors")
            opened[each] = Checkpoint.open(folder / f"{each}.safetensors")
        child = opened.pop("child")
        orders = dict.fromkeys(SLOWEST, opened["plain"])
        works = {}
        for each, source in (opened | orders).items():
            if each == "plain":
                works[each] = plan([source, child], elements)
                continue
            seen = view(source, codings(each, source, rows), rows)
            works[each] = plan([seen, child], elements)
        bytes_read = {
            each: sum(t.end - t.begin for t in source.tensors.values()) + 2 * elements
            for each, source in (opened | orders).items()
        }
        found: dict[str, list[float]] = {each: [] for each in [*works, "ceiling"]}
        for _ in range(given.runs):
            read = seconds(lambda: _core.read(works["plain"], 0, 1, threads=given.threads))
            found["ceiling"].append(bytes_read["plain"] / read)
            for each, work in works.items():
                options = {"threads": given.threads, "tile_bytes": given.tile}
                spent = seconds(lambda w=work, o=options: _core.gram(w, 0, 1, **o))
                found[each].append(bytes_read[each] / spent)
    medians = {each: statistics.median(speeds) for each, speeds in found.items()}
    where = machine(Path(tempfile.gettempdir()))
    print(f"{where}\n{'':24}{'GB/s':>8}{'of the ceiling':>16}{'plain time':>12}")
    result = {}
    for each, speed in medians.items():
        ratio = speed / medians["ceiling"]
        times = (bytes_read.get(each, 0) / speed) / (bytes_read["plain"] / medians["plain"])
        result[each] = {"gb_s": speed / 1e9, "of_ceiling": ratio, "plain_times": times}
        print(f"{each:24}{speed / 1e9:8.2f}{ratio:16.2f}{times:12.2f}")
    if given.record:
        out = Path(__file__).parent / "results" / f"{datetime.date.today()}-codings.json"
        out.write_text(json.dumps({"machine": where, "mib": given.mib, "found": result}, indent=1))
        print(f"kept in {out}")


if __name__ == "__main__":
    main()
