"""Counts the instructions per element of the hot kernels, and fails when they have grown.

    python bench/instructions.py [--record | --check]

Runs the release build of `parentage-bench --count` under valgrind's callgrind, once with few chunks
and once with more: the difference is what a chunk takes. Counts do not depend on what else the
machine is doing. They do depend on compiler and instruction set: --check compares with what is kept
for this instruction set in bench/results/instructions.json, and exits with 1 if a kernel takes more
than a tenth more. --record keeps the counts there. Valgrind has no AVX-512: AVX2 is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "bench" / "results" / "instructions.json"
MOST = 1.10
"""Most that a kernel may take of what it took."""
FEW, MORE = 1, 4
"""Chunks of the two runs."""
KERNELS = {
    "gram, bf16, 2 columns": ("gram", "BF16", 2),
    "gram, bf16, 3 columns": ("gram", "BF16", 3),
    "gram, bf16, 6 columns": ("gram", "BF16", 6),
    "gram, bf16, 10 columns": ("gram", "BF16", 10),
    "gram, f16, 3 columns": ("gram", "F16", 3),
    "gram, f32, 3 columns": ("gram", "F32", 3),
    "gram, f32, 6 columns": ("gram", "F32", 6),
    "gram, bf16, 3 columns, far apart": ("far", "BF16", 3),
    "gram, bf16, 6 columns, far apart": ("far", "BF16", 6),
    "gram, f16, 6 columns": ("gram", "F16", 6),
    "gram, f64, 3 columns": ("gram", "F64", 3),
    "gram, f8_e4m3, 3 columns": ("gram", "F8_E4M3", 3),
    "gram, bf16 and f32, 3 columns": ("gram", "BF16+F32", 3),
    "gram, f16 and bf16, 3 columns": ("gram", "F16+BF16", 3),
    "gram, bf16 and f8_e4m3, 3 columns": ("gram", "BF16+F8_E4M3", 3),
    "gram, bf16, 3 columns, sampled": ("sampled", "BF16", 3),
    "linear replay, bf16, all reproduced": ("replay", "BF16", 3),
    "linear replay, f16, all reproduced": ("replay", "F16", 3),
    "linear replay, f32, all reproduced": ("replay", "F32", 3),
}


def counted(
    program: Path, kernel: tuple[str, str, int], level: str, chunks: int
) -> tuple[int, int]:
    """Return the elements and instructions of a run."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program]
        command += ["--count", *kernel, chunks]
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, "PARENTAGE_LEVEL": level},
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        sys.exit(f"{kernel}: {done.stderr.strip()[-500:]}")
    return int(done.stdout), int(found[1])


def count(program: Path, level: str) -> dict[str, float]:
    """Return the instructions per element of every kernel."""
    out = {}
    for name, kernel in KERNELS.items():
        few, more = (counted(program, kernel, level, chunks) for chunks in (FEW, MORE))
        out[name] = round((more[1] - few[1]) / (more[0] - few[0]), 3)
        print(f"{out[name]:8.3f}  {name}", file=sys.stderr)
    return out


def build() -> Path:
    """Build the program and return its path."""
    command = ["cargo", "build", "--locked", "--quiet", "--release", "-p", "parentage-bench"]
    subprocess.run(command, cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "parentage-bench"


def main() -> None:
    """Count, and keep or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--record", action="store_true", help="keep the counts")
    what.add_argument("--check", action="store_true", help="fail if a kernel has grown by a tenth")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed", file=sys.stderr)
        return
    program = build()
    available = subprocess.run([program, "--levels"], capture_output=True, text=True, check=True)
    level = [each for each in available.stdout.split() if each != "avx512"][-1]
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    if options.check and level not in kept:
        print(f"skipped: nothing is kept for {level}; --record keeps it", file=sys.stderr)
        return
    found = count(program, level)
    if options.record:
        kept[level] = {"machine": platform.machine(), "instructions_per_element": found}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        print(f"kept in {KEPT}", file=sys.stderr)
        return
    print(json.dumps({level: found}, indent=1))
    if options.check:
        before = kept[level]["instructions_per_element"]
        grown = [name for name in KERNELS if found[name] > MOST * before.get(name, 0.0)]
        for name in grown:
            print(f"{name}: {found[name]} after {before.get(name)}", file=sys.stderr)
        sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()
