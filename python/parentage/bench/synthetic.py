"""Makes checkpoints to measure on: a base, parents, and a child that is 0.6 of one of them."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint import DTYPES as KNOWN_DTYPES
from parentage.checkpoint import Checkpoint, to_bf16
from parentage.stream import Program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TENSORS = 4

COLUMNS = 4096

WIDTHS = {name: KNOWN_DTYPES[name].bytes for name in ("BF16", "F16", "F32")}

DTYPES = tuple(WIDTHS)

WEIGHT = 0.02
"""Standard deviation of the base's weights."""

DISPLACEMENT = 0.0006
"""Standard deviation of what a parent adds to them."""

_PIECE = 1 << 22


def encode(values: NDArray[np.float32], dtype: str) -> bytes:
    """Return float32 numbers rounded to the nearest of a dtype, as they are stored."""
    if dtype == "BF16":
        bits = to_bf16(values).astype(np.float32).view(np.uint32)
        return (bits >> np.uint32(16)).astype("<u2").tobytes()
    return values.astype("<f2" if dtype == "F16" else "<f4").tobytes()


def make(folder: Path, seed: int, elements: int, dtype: str = "BF16") -> Path:
    """Write :data:`TENSORS` tensors of ``elements`` each: the base, displaced if ``seed`` is not 0.

    ``elements`` is a multiple of :data:`COLUMNS`. Returns the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base, own = np.random.default_rng(0), np.random.default_rng(max(seed, 1))
    with (folder / "model.safetensors").open("wb") as file:
        file.write(_header(elements, dtype))
        left = TENSORS * elements
        while left:
            count = min(left, _PIECE)
            values = base.standard_normal(count, dtype=np.float32) * np.float32(WEIGHT)
            if seed:
                values += own.standard_normal(count, dtype=np.float32) * np.float32(DISPLACEMENT)
            file.write(encode(values, dtype))
            left -= count
    return folder


def _header(elements: int, dtype: str) -> bytes:
    size = WIDTHS[dtype] * elements
    header = {
        f"model.layers.{number}.mlp.up_proj.weight": {
            "dtype": dtype,
            "shape": [elements // COLUMNS, COLUMNS],
            "data_offsets": [number * size, (number + 1) * size],
        }
        for number in range(TENSORS)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def linear(slices: int, dtype: str | None) -> _core.Replay:
    """Return 0.6 of the first parent and 0.4 of the base, in fused multiply-adds, then rounded."""
    program = Program(slices)
    total = program.fma(program.column(1), program.scalar(0.6), program.scalar(0.0))
    total = program.fma(program.column(0), program.scalar(0.4), total)
    return program.replay([total.round(dtype)])


def blend(folder: Path, base: Path, parent: Path, threads: int) -> Path:
    """Write what :func:`linear` gives of a base and a parent into ``folder``; returns it."""
    opened = [Checkpoint.open(each) for each in (base, parent)]
    # A plan ends with a child; what is written does not depend on it.
    plan = plan_of([*opened, opened[0]])
    tensors = list(opened[0].tensors.values())
    dtype, elements = tensors[0].dtype, tensors[0].elements
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "model.safetensors"
    with target.open("wb") as file:
        header = _header(elements, dtype)
        file.write(header)
        file.truncate(len(header) + len(tensors) * elements * WIDTHS[dtype])
    targets = [(0, each.begin, dtype) for each in tensors]
    _core.write_replay(plan, linear(len(tensors), dtype), [target], targets, threads=threads)
    return folder


def plan_of(opened: Sequence[Checkpoint], elements: int | None = None) -> _core.Plan:
    """Return a plan of the first ``elements`` of checkpoints made alike; by default, of all."""
    tensors = opened[0].tensors.values()
    ends = np.cumsum([each.elements for each in tensors], dtype=np.uint64)
    ends = np.minimum(ends, ends[-1] if elements is None else np.uint64(elements))
    sizes = np.diff(ends, prepend=np.uint64(0))
    sizes = sizes[sizes > 0]
    index = np.tile(np.arange(len(sizes), dtype=np.uint64)[:, None], (1, len(opened)))
    return _core.Plan([each.core for each in opened], sizes, index, np.zeros_like(index))


def make_family(folder: Path, dtype: str, parents: int, size: int, threads: int) -> list[Path]:
    """Write a base, parents and a child, ``size`` bytes in all, about; return their folders."""
    each = size // (parents + 2) // WIDTHS[dtype] // TENSORS // COLUMNS
    elements = max(each, 1) * COLUMNS
    roles = ["base", *(f"parent{number}" for number in range(1, parents + 1))]
    made = [make(folder / role, seed, elements, dtype) for seed, role in enumerate(roles)]
    return [*made, blend(folder / "child", made[0], made[1], threads)]
