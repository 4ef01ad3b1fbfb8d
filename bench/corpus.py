"""Checks Gram matrices and verdicts on families of real checkpoints whose making is known.

    python bench/corpus.py FOLDER

FOLDER holds checkpoints and a MANIFEST.json that says of each its "base" and "parents". For every
one that pairs with its base and parents by name, this

1. compares each Gram entry of each slice with a reference (numpy, displacements and products in
   extended precision) and prints the largest deviation in units of |x_i||x_j|;
2. asserts that slices.parquet has the same bytes for 1, 2, 3 and 8 threads, three tile sizes, mmap
   and pread, and every instruction set;
3. prints verdict and weights beside what the manifest says, which is not read before the verdict
   stands.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from itertools import permutations
from pathlib import Path

import ml_dtypes
import numpy as np
import parentage
import polars as pl
from parentage import _core
from parentage.align import align
from parentage.stream import unpack
from parentage.support import PlanError

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
}


def column(checkpoint: parentage.Checkpoint, extent: object, elements: int) -> np.ndarray:
    """Return some elements of a checkpoint, in extended precision."""
    tensor = list(checkpoint.tensors.values())[extent.tensor]
    dtype = np.dtype(DTYPES[tensor.dtype])
    path = checkpoint.shards[tensor.shard].path
    stored = np.fromfile(path, dtype, elements, offset=tensor.begin + extent.start * dtype.itemsize)
    return stored.astype(np.float64).astype(np.longdouble)


def deviation(child: parentage.Checkpoint, others: list[parentage.Checkpoint]) -> float:
    """Return the largest deviation of a Gram entry, in units of |x_i||x_j|."""
    alignment = align(child, others)
    found = _core.gram(alignment.plan, 0, alignment.plan.slices, threads=2)
    total = unpack(found.gram).sum(axis=1)
    worst = 0.0
    for number, each in enumerate(alignment.slices):
        pairs = zip([*others, child], each.extents, strict=True)
        base, *rest = (column(checkpoint, extent, each.elements) for checkpoint, extent in pairs)
        x = np.stack([base, *(other - base for other in rest)])
        exact = x @ x.T
        norms = np.sqrt(np.diag(exact))
        scale = np.outer(norms, norms)
        error = np.abs(total[number] - exact)
        assert not np.any(error[scale == 0]), "an entry of a zero column is not zero"
        worst = max(worst, float(np.max(error[scale > 0] / scale[scale > 0], initial=0.0)))
    return worst


def assert_same_bytes(paths: list[Path]) -> int:
    """Assert that no option changes a byte of slices.parquet; return how many were tried."""
    settings = [
        *({"threads": threads} for threads in (1, 2, 3, 8)),
        *({"tile_bytes": size} for size in (4096, 100_000, 1 << 22)),
        {"io": "pread"},
        *({"level": level} for level in _core.levels()),
    ]
    contents = set()
    with tempfile.TemporaryDirectory() as folder:
        for setting in settings:
            child, base, *parents = paths
            found = parentage.trace(child, base=base, parents=parents, **setting)
            found.save(folder)
            contents.add((Path(folder) / "slices.parquet").read_bytes())
            contents.add((Path(folder) / "evidence.json").read_bytes())
    assert len(contents) == 2, f"{paths[0]} differs between settings"
    return len(settings)


def main() -> None:
    """Check everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    worst, rows, unpaired = 0.0, [], []
    for name, entry in manifest.items():
        if not entry["base"]:
            continue
        parents = [parent for parent in entry["parents"] if parent != entry["base"]]
        paths = [folder / each for each in (name, entry["base"], *parents)]
        child, *others = (parentage.Checkpoint.open(path) for path in paths)
        try:
            largest = deviation(child, others)
        except (PlanError, KeyError) as error:
            unpaired.append(f"{name}: {error}")
            continue
        tried = assert_same_bytes(paths)
        found = parentage.trace(paths[0], base=paths[1], parents=paths[2:])
        worst = max(worst, largest)
        rows.append(
            {
                "child": name,
                "truth": entry["expected_verdict"],
                "verdict": found.verdict.kind,
                "weights": "  ".join(f"{found.weights[p]:.4f} {p}" for p in parents),
                "true": json.dumps(entry["expected_alphas"])[:60],
                "deviation": f"{largest:.1e}",
                "same bytes": tried,
            }
        )
    with pl.Config(
        tbl_rows=-1, fmt_str_lengths=70, tbl_width_chars=250, tbl_hide_dataframe_shape=True
    ):
        print(pl.DataFrame(rows))
    print(f"largest deviation: {worst:.2e} of |x_i||x_j|, over {len(rows)} children")
    print("not paired by name:", *unpaired, sep="\n  ")

    tunes = [n for n, e in manifest.items() if e["method"] == "fine-tune" and e["base"]]
    false_merges = 0
    pairs = [
        (a, b) for a, b in permutations(tunes, 2) if manifest[a]["family"] == manifest[b]["family"]
    ]
    for name, sibling in pairs:
        base = manifest[name]["base"]
        if sibling == base:
            continue
        found = parentage.trace(folder / name, base=folder / base, parents=[folder / sibling])
        false_merges += found.verdict.kind.startswith("merge")
    print(f"fine-tunes with a relative as parent: {len(pairs)}, called a merge: {false_merges}")
    sys.exit(worst > 1e-8 or false_merges > 0)


if __name__ == "__main__":
    main()
