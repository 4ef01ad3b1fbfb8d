"""Families that are merged here and traced, and what is put on top of merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import BF16, write_checkpoint
from parentage.evidence import Trace
from parentage.pipeline import trace as traced

from common.families import F32, FAMILY, SHAPES, Tensors, stored
from common.merges import merged

ELEMENTS = sum(int(np.prod(shape)) for shape in SHAPES.values())
LARGE = [name for name in SHAPES if "norm" not in name]
MERGE = merged("linear", "float32-fma", {"one": 0.6, "base": 0.4})


def trace(
    folder: Path,
    child: Tensors,
    parents: Sequence[str],
    controls: Sequence[str] = (),
    family: Mapping[str, Tensors] = FAMILY,
    **options: Any,
) -> Trace:
    """Write a family and a child, and trace it."""
    for name in ("base", *parents, *controls):
        if not (folder / name).exists():
            write_checkpoint(folder / name, stored(family[name]))
    write_checkpoint(folder / "child", child)
    return traced(
        folder / "child",
        base=folder / "base",
        parents=[folder / name for name in parents],
        controls=[folder / name for name in controls],
        **options,
    )


def as_stored(tensors: Tensors) -> Tensors:
    return {name: x.astype(BF16) for name, x in tensors.items()}


def disturbed(child: Tensors, ulps: float = 0.0, scale: float = 0.0, only: str = "") -> Tensors:
    """Return a child with noise of some units in the last place, or of some size, on top."""
    rng = np.random.default_rng(1)
    out = {}
    for name, x in child.items():
        ulp = np.abs(np.spacing(x)).astype(F32)
        noise = rng.normal(0, 1, x.shape).astype(F32) * (F32(ulps) * ulp + F32(scale))
        out[name] = (x.astype(F32) + noise * (only in name)).astype(BF16)
    return out


def number(found: Trace, column: str) -> float | None:
    return found.wide("model")[column][0]
