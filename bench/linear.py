"""Measures whether cost grows as the bytes do, and what digests cost.

    python bench/linear.py [--gib 1 4 16] [--threads 2] [--folder DIR] [--record] [--check]

Makes a base, a parent and a child in bf16, as large together as the largest size (kept in --folder
if given), reads them once, and then, on the warm page cache and in turns:

1. times the Gram of so many GiB of them, by time per byte;
2. times a pass over everything with and without SHA-256 of every file, after asserting that the
   digests are those of hashlib.

Prints medians; --check exits with 1 if time per byte differs by more than a tenth between sizes.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import Checkpoint, _core
from parentage.bench import WIDTHS, machine, make_family, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 5
RUNS_OF_SIZES = 15
TOLERANCE = 0.1


def sha256(path: Path) -> str:
    """Return the digest of a file, by hashlib."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()


def digests_of(plan: _core.Plan, opened: list[Checkpoint], threads: int) -> list[list[str]]:
    """Pass over everything and return the digests computed on the way."""
    digests = _core.Digests([each.core for each in opened])
    _core.gram(plan, 0, plan.slices, threads=threads, digests=digests)
    return digests.finish(threads=threads)


def timed(case: Callable[[], object]) -> float:
    """Return seconds."""
    start = time.perf_counter()
    case()
    return time.perf_counter() - start


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, nargs="+", default=[1.0, 4.0, 16.0])
    parser.add_argument("--threads", type=int, default=_core.threads())
    parser.add_argument("--folder", type=Path, help="where checkpoints are kept")
    parser.add_argument("--record", action="store_true", help="keep the result in bench/results")
    parser.add_argument("--check", action="store_true", help="exit with 1 if cost is not linear")
    options = parser.parse_args()
    if _core.build_profile != "release":
        sys.exit("a debug build has no speed to measure")
    scratch = None if options.folder else tempfile.TemporaryDirectory()
    folder = options.folder or Path(scratch.name)
    largest = int(max(options.gib) * 2**30)
    roles = [folder / role for role in ("base", "parent1", "child")]
    if not all((role / "model.safetensors").exists() for role in roles):
        print(f"making {max(options.gib):g} GiB", file=sys.stderr)
        make_family(folder, "BF16", 1, largest, options.threads)
    opened = [Checkpoint.open(role) for role in roles]
    width = len(opened) * WIDTHS["BF16"]
    plans = {gib: plan_of(opened, int(gib * 2**30) // width) for gib in options.gib}
    whole = plan_of(opened)

    for each, found in zip(opened, digests_of(whole, opened, options.threads), strict=True):
        assert [sha256(shard.path) for shard in each.shards] == found, "another digest"

    def gram(plan: _core.Plan) -> object:
        return _core.gram(plan, 0, plan.slices, threads=options.threads)

    times: dict[float | str, list[float]] = {}
    # A pass that hashes leaves caches and clocks to the next as no other does: sizes come first.
    for _ in range(RUNS_OF_SIZES):
        for gib, plan in plans.items():
            seconds = timed(lambda plan=plan: gram(plan))
            times.setdefault(gib, []).append(seconds / plan.bytes(0, plan.slices))
    for _ in range(RUNS):
        times.setdefault("plain", []).append(timed(lambda: gram(whole)))
        hashing = timed(lambda: digests_of(whole, opened, options.threads))
        times.setdefault("digests", []).append(hashing)
    medians = {key: statistics.median(values) for key, values in times.items()}
    per_byte = {gib: medians[gib] * 1e12 for gib in options.gib}
    spread = max(per_byte.values()) / min(per_byte.values()) - 1.0
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine(folder),
        "threads": options.threads,
        "picoseconds_per_byte": {f"{gib:g} GiB": round(at, 2) for gib, at in per_byte.items()},
        "largest_over_smallest": round(1.0 + spread, 3),
        "gb_per_s": round(whole.bytes(0, whole.slices) / medians["plain"] / 1e9, 2),
        "gb_per_s_with_sha256": round(whole.bytes(0, whole.slices) / medians["digests"] / 1e9, 2),
        "digests_cost": round(medians["digests"] / medians["plain"], 2),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.record:
        target = Path(__file__).parent / "results" / f"{result['date']}-linear.json"
        target.write_text(text + "\n")
        print(f"kept in {target}", file=sys.stderr)
    return 1 if options.check and spread > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main())
