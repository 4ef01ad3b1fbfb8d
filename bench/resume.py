"""Kills traces at random moments and checks that going on ends in the same evidence.

    python bench/resume.py CHILD --base BASE [--parent PARENT ...] [--kills 20] [--seed 0]
    python bench/resume.py --gib 1 [--folder DIR]       # a base, a parent and a child of that size
    python bench/resume.py --corpus FOLDER              # what its MANIFEST.json says is a merge

Each case is traced once without interruption. Then, so many times in all, a trace of one of the
cases is killed (SIGKILL) at a moment drawn evenly from the time that took, and started again with
``--resume`` and other options until it is done. Prints how many ended in the same bytes of
evidence.json and slices.parquet, and how many were killed with finished slices kept; exits with 1
unless all did.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from parentage.bench import COLUMNS, TENSORS, blend, make
from parentage.evidence import NAME

FILES = ("evidence.json", "slices.parquet")
COMMAND = [sys.executable, "-c", "from parentage.cli import main; main()", "trace"]
OPTIONS = (
    ["--threads", "1"],
    ["--threads", "2", "--io", "pread"],
    ["--threads", "3", "--tile-size", "64KiB"],
    [],
)
"""Each start takes others: none of them may change a byte."""


class Case(NamedTuple):
    """A child and what it is traced to."""

    child: Path
    base: Path
    parents: list[Path]


def of_corpus(folder: Path) -> list[Case]:
    """Return the children that a manifest says are made of others."""
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    cases = []
    for name, entry in manifest.items():
        base = entry["base"]
        parents = [each for each in entry["parents"] if each != base]
        if base and parents and all((folder / x).is_dir() for x in (name, base, *parents)):
            cases.append(Case(folder / name, folder / base, [folder / x for x in parents]))
    return cases


def made(folder: Path, gib: float) -> Case:
    """Make a base, a parent and their blend, unless they are there."""
    elements = int(gib * 2**30) // 2 // TENSORS // COLUMNS * COLUMNS
    for seed, role in enumerate(("base", "parent0")):
        if not (folder / role / "model.safetensors").exists():
            make(folder / role, seed, elements)
    if not (folder / "child" / "model.safetensors").exists():
        blend(folder / "child", folder / "base", folder / "parent0", 2)
    return Case(folder / "child", folder / "base", [folder / "parent0"])


def start(case: Case, output: Path, options: list[str]) -> subprocess.Popen[bytes]:
    """Start a trace, which goes on with what is kept."""
    command = [*COMMAND, case.child, "--base", case.base, "-o", output, "--resume", "-q", *options]
    for parent in case.parents:
        command += ["--parent", parent]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)


def evidence(output: Path) -> list[bytes]:
    """Return what a trace wrote."""
    return [(output / name).read_bytes() for name in FILES]


def main() -> None:
    """Kill, go on, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("child", type=Path, nargs="?")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--parent", type=Path, action="append", default=[])
    parser.add_argument("--corpus", type=Path, help="a folder with a MANIFEST.json")
    parser.add_argument("--gib", type=float, help="size of each checkpoint that is made")
    parser.add_argument("--folder", type=Path, help="where made checkpoints are kept")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.corpus:
            cases = of_corpus(options.corpus)
            chance.shuffle(cases)
        elif options.gib:
            cases = [made(options.folder or scratch / "made", options.gib)]
        elif options.child and options.base:
            cases = [Case(options.child, options.base, options.parent)]
        else:
            parser.error("give CHILD and --base, --corpus or --gib")
        cases = cases[: options.kills]
        whole = []
        for number, case in enumerate(list(cases)):
            output = scratch / f"whole{number}"
            begun = time.monotonic()
            if start(case, output, []).wait() == 0:
                whole.append((time.monotonic() - begun, evidence(output)))
            else:
                print(f"left out: {case.child} can not be traced", file=sys.stderr)
                cases.remove(case)
        if not cases:
            sys.exit("there is nothing to kill")
        same = deaths = kept = 0
        for number in range(options.kills):
            at = number % len(cases)
            seconds, expected = whole[at]
            output, has_died = scratch / f"killed{number}", False
            for attempt in range(1000):
                process = start(cases[at], output, OPTIONS[(number + attempt) % len(OPTIONS)])
                try:
                    status = process.wait(None if has_died else chance.uniform(0.0, seconds))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    has_died = True
                    deaths += 1
                    journal = output / NAME
                    kept += journal.exists() and b'"slices"' in journal.read_bytes()
                    continue
                assert status == 0, f"going on with {cases[at].child} failed"
                if has_died:
                    break
            same += evidence(output) == expected
            print(f"{number + 1}: {cases[at].child.name}, {same} the same", file=sys.stderr)
    print(f"{same} of {options.kills} the same, byte for byte")
    print(f"{deaths} killed, {kept} of them with finished slices kept; {len(cases)} cases")
    sys.exit(same != options.kills)


if __name__ == "__main__":
    main()
