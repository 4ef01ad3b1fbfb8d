"""Measures what a device computes per second beside the core, and that both give the same bytes.

    python bench/device.py [--device cuda] [--gigabytes 2] [--parents 1] [--compile]

Checkpoints are made in a folder for the purpose and removed; they are read from the page cache. Of
a pass with sums and counters, and one with a recipe carried out besides, it prints gigabytes of all
checkpoints per second: the core's, the device's at the first pass and at the second, and whether
all arrays are the same byte for byte. On a GPU it measures how fast pinned memory is copied to it,
and prints the share of that.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np
from parentage import _core
from parentage.align import Alignment, align
from parentage.checkpoint import Checkpoint
from parentage.stream import Program
from parentage.stream.backends.torch import Torch

DTYPES = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32}
SUMMED = (
    "gram", "energy", "bias", "precision", "excluded", "moved", "stray", "equal", "nan", "inf",
    "histogram",
)  # fmt: skip
COUNTED = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "blocks", "first")
PIECE = 1 << 22


def write(folder: Path, dtype: str, elements: int, number: int) -> Checkpoint:
    """Write a checkpoint of one tensor: a base, and displacements of a tenth of it."""
    kind = np.dtype(DTYPES[dtype])
    told = {"dtype": dtype, "shape": [elements], "data_offsets": [0, elements * kind.itemsize]}
    header = json.dumps({"model.layers.0.mlp.up_proj.weight": told}).encode()
    path = folder / f"{dtype}-{number}.safetensors"
    base = np.random.default_rng(0).normal(0, 0.02, PIECE).astype(np.float32)
    moved = np.random.default_rng(1 + number).normal(0, 0.002, PIECE).astype(np.float32)
    piece = (base + moved if number else base).astype(kind)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, elements, PIECE):
            file.write(np.roll(piece, start // PIECE)[: elements - start].tobytes())
    return Checkpoint.open(path)


def arrays(found: _core.Statistics) -> list[bytes]:
    """Return all arrays of a result as bytes."""
    counted = [getattr(found.replayed, name).tobytes() for name in COUNTED]
    return [getattr(found, name).tobytes() for name in SUMMED] + counted


def timed(backend: object, alignment: Alignment, replays: list[_core.Replay]) -> tuple[float, list]:
    """Return the seconds of a pass, and its arrays."""
    begun = time.perf_counter()
    plan, threads = alignment.plan, _core.threads()
    found = backend.gram(plan, 0, plan.slices, threads=threads, replays=replays)
    return time.perf_counter() - begun, arrays(found)


def pinned_limit(device: str) -> float | None:
    """Return bytes per second from pinned memory to the device; ``None`` of a CPU."""
    import torch

    if not device.startswith("cuda"):
        return None
    host = torch.empty(1 << 28, dtype=torch.uint8, pin_memory=True)
    seconds = []
    for _ in range(5):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        host.to(device.partition(",")[0], non_blocking=True)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return host.numel() / min(seconds)


def main() -> None:
    """Print a line for each dtype and pass."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--gigabytes", type=float, default=0.3, help="of all checkpoints together")
    parser.add_argument("--parents", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    backend = Torch(given.device, compiled=given.compile)
    print(json.dumps(backend.describe()))
    if backend.remark is not None:
        print(backend.remark)
    limit = pinned_limit(given.device)
    if limit is not None:
        print(f"pinned memory to {given.device}: {limit / 1e9:.1f} GB/s")
    columns = given.parents + 2
    for dtype, kind in DTYPES.items():
        with tempfile.TemporaryDirectory() as folder:
            elements = int(given.gigabytes * 1e9 / columns / np.dtype(kind).itemsize)
            made = [write(Path(folder), dtype, elements, number) for number in range(columns)]
            alignment = align(made[-1], made[:-1])
            program = Program(len(alignment.slices))
            half = program.scalar(0.5)
            blend = program.fma(program.column(1), half, program.column(0) * half).round(dtype)
            for name, replays in (("sums", []), ("sums and a recipe", [program.replay([blend])])):
                bytes_ = alignment.plan.bytes(0, alignment.plan.slices)
                core = [timed(_core, alignment, replays) for _ in range(2)][1]
                first, second = (timed(backend, alignment, replays) for _ in range(2))
                same = "the same bytes" if core[1] == first[1] == second[1] else "OTHER BYTES"
                rates = [bytes_ / seconds / 1e9 for seconds, _ in (core, first, second)]
                share = "" if limit is None else f", {rates[2] * 1e9 / limit:.2f} of the copy's"
                print(
                    f"{dtype}, {name}: core {rates[0]:.2f} GB/s, {given.device} {rates[1]:.2f}, "
                    f"then {rates[2]:.2f}{share}; {same}"
                )


if __name__ == "__main__":
    main()
