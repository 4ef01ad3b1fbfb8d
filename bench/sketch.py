"""What is said from sketches alone, beside what is said from whole checkpoints.

    python bench/sketch.py FOLDER [--sizes 64KiB 256KiB 1MiB] [--only NAME ...]

FOLDER holds checkpoints and a MANIFEST.json that says of each its "base" and "parents". Each one is
traced as it is, and then from sketches of itself, its base and its parents. A verdict from sketches
agrees if it is of the same kind; it is *weaker* if it is undetermined, or *related* where the whole
tells which kin; anything else is *wrong*. The table is of sizes against these, and against the
largest error of a weight, where both have a recipe.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import parentage

WEAKER = {
    "merge-then-changed": {"related", "fine-tune"},
    "merge": {"related"},
    "fine-tune": {"related"},
    "re-encoded": {"related"},
    "assembled": {"related"},
}
"""Kinds that say less than another, and nothing that contradicts it."""


def weights(trace: parentage.Trace) -> dict[str, float] | None:
    """Return the weights of a recipe by name; None without one, or if they differ by slice.

    Those that are divided by their sum are told as shares: 4 and 3 are 4/7 and 3/7.
    """
    if trace.recipe is None:
        return None
    said = {each["name"]: each["weight"] for each in trace.recipe.as_dict()["parents"]}
    if not all(isinstance(each, float) for each in said.values()):
        return None
    total = sum(said.values()) if trace.recipe.method == "linear" else 1.0
    return {name: weight / total for name, weight in said.items()}


def judged(whole: str, sketched: str) -> str:
    """Return whether a kind of verdict agrees with that on the whole, is weaker, or wrong."""
    if whole == sketched:
        return "agrees"
    if sketched == "undetermined" or sketched in WEAKER.get(whole, ()):
        return "weaker"
    return "wrong"


def main() -> None:
    """Print a row for each checkpoint and size, then the table of sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["64KiB", "256KiB", "1MiB"])
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    manifest = json.loads((options.folder / "MANIFEST.json").read_text("utf-8"))
    entries = list(manifest.values()) if isinstance(manifest, dict) else manifest
    children = [
        each
        for each in entries
        if each["base"] and (not options.only or each["name"] in options.only)
    ]
    wholes = {}
    for each in children:
        others = [name for name in each["parents"] if name != each["base"]]
        wholes[each["name"]] = parentage.trace(
            options.folder / each["name"],
            base=options.folder / each["base"],
            parents=[options.folder / name for name in others],
        )
    print("size      child                whole               sketches            weight error")
    rows = []
    for size in options.sizes:
        counts = {"agrees": 0, "weaker": 0, "wrong": 0}
        errors, sizes = [], []
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            made: dict[str, Path] = {}
            for each in children:
                for name in (each["name"], each["base"], *each["parents"]):
                    if name not in made:
                        target = Path(scratch, f"{name}.sketch.safetensors")
                        made[name] = parentage.sketch(options.folder / name, target, size=size)
                        sizes.append(target.stat().st_size)
            for each in children:
                name, whole = each["name"], wholes[each["name"]]
                others = [x for x in each["parents"] if x != each["base"]]
                found = parentage.trace(
                    made[name], base=made[each["base"]], parents=[made[x] for x in others]
                )
                said = judged(whole.verdict.kind, found.verdict.kind)
                counts[said] += 1
                one, other = weights(whole), weights(found)
                error = None
                if one is not None and other is not None and one.keys() == other.keys():
                    error = max(abs(one[x] - other[x]) for x in one)
                    errors.append(error)
                shown = "" if error is None else f"{error:.2g}"
                mark = "" if said == "agrees" else f"  {said}"
                print(
                    f"{size:<9} {name:<20} {whole.verdict.kind:<19} {found.verdict.kind:<19} "
                    f"{shown}{mark}",
                    flush=True,
                )
        rows.append((size, max(sizes), counts, max(errors, default=0.0), len(errors), started))
        rows[-1] = (*rows[-1][:-1], time.perf_counter() - started)
    print("\nsize      largest file  agree  weaker  wrong  recipes  largest weight error  seconds")
    for size, largest, counts, error, recipes, seconds in rows:
        print(
            f"{size:<9} {largest:>12,}  {counts['agrees']:>5}  {counts['weaker']:>6}  "
            f"{counts['wrong']:>5}  {recipes:>7}  {error:>20.2g}  {seconds:>7.1f}"
        )


if __name__ == "__main__":
    main()
