"""What compare says of all pairs of a corpus whose making is known.

    python bench/compare.py FOLDER [--only NAME ...] [--cosines]

FOLDER holds checkpoints and a MANIFEST.json that says of each its "family" and "parents". Two
checkpoints are *copies* by it if they are the same numbers or one is the other cast or quantised,
*relatives* if they have an ancestor in common, and *strangers* otherwise. The table counts what is
said of them. Copies are to be identical or re-encoded, relatives close or of one family, strangers
unrelated, or not compared where nothing of them pairs; anything else but undetermined is wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import parentage
from parentage.relatives import RELATIONS

COPIES = ("copy", "cast", "quantis")
"""How methods of copies are called."""

RIGHT = {
    "copies": {"identical", "re-encoded"},
    "relatives": {"close relatives", "one family"},
    "strangers": {"unrelated", "not compared"},
}


def original(name: str, entries: dict[str, dict]) -> str:
    """Return what a checkpoint is a copy of, cast or not; itself if it is none."""
    while any(word in entries[name]["method"] for word in COPIES):
        (name,) = entries[name]["parents"]
    return name


def ancestors(name: str, entries: dict[str, dict]) -> set[str]:
    """Return a checkpoint and all that it comes from."""
    found = {name}
    for parent in entries[name]["parents"]:
        found |= ancestors(parent, entries)
    return found


def truth(one: str, other: str, entries: dict[str, dict]) -> str:
    """Return what two checkpoints are to each other, by how they were made."""
    if original(one, entries) == original(other, entries):
        return "copies"
    shared = ancestors(one, entries) & ancestors(other, entries)
    return "relatives" if shared else "strangers"


def main() -> None:
    """Print the table, what is wrong, and cosines by truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--cosines", action="store_true", help="print every pair")
    options = parser.parse_args()
    manifest = json.loads((options.folder / "MANIFEST.json").read_text("utf-8"))
    entries = manifest if isinstance(manifest, dict) else {x["name"]: x for x in manifest}
    names = [name for name in entries if not options.only or name in options.only]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    cosines: dict[str, list[float]] = defaultdict(list)
    nulls: list[float] = []
    wrong: list[str] = []
    started = time.perf_counter()
    for one, other in combinations(names, 2):
        (found,) = parentage.compare(options.folder / one, options.folder / other).pairs
        true = truth(one, other, entries)
        counts[true][found.relation] += 1
        if not math.isnan(found.cosine):
            cosines[true].append(found.cosine)
        if not math.isnan(found.null):
            nulls.append(found.null)
        if options.cosines:
            print(f"{one:<20} {other:<20} {true:<10} {found.relation:<16} {found.cosine:.4f}")
        if found.relation not in RIGHT[true]:
            wrong.append(f"{one} and {other}: {true}, said to be {found.relation}")
    seconds = time.perf_counter() - started
    print(f"{'':<10}" + "".join(f"{each:>17}" for each in RELATIONS))
    for true in RIGHT:
        print(f"{true:<10}" + "".join(f"{counts[true][each]:>17}" for each in RELATIONS))
    for true, values in cosines.items():
        print(f"cosines of {true}: {min(values):.4f} to {max(values):.4f} ({len(values)} pairs)")
    if nulls:
        print(f"null, 95 % of cosines between different layers: at most {max(nulls):.4f}")
    for each in wrong:
        print(f"not as made: {each}")
    pairs = sum(sum(each.values()) for each in counts.values())
    print(f"{pairs} pairs, {len(wrong)} not as made, {seconds:.0f} s")


if __name__ == "__main__":
    main()
