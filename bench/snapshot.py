"""Keeps what traces of a corpus say, every number of it, and compares it with what was kept before.

    python bench/snapshot.py FOLDER --write before.json.gz
    python bench/snapshot.py FOLDER --against before.json.gz

FOLDER holds checkpoints and a MANIFEST.json that says of each its "base" and "parents". Every one
is traced with its true parents; with a relative in their place and one as a control; from a sample;
and until sure. What recipes were found is replayed. A snapshot holds the verdict, the recipe, the
JSON document, what is printed, and every cell of every table, by slice, checkpoint and quantity, so
that it does not depend on how tables are laid out. Two snapshots of one version of the arithmetic
on one machine are equal, or something has changed that a restructuring must not change.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import sys
import time
from pathlib import Path

import parentage
import polars as pl
from parentage.cli import Terminal, show_trace
from parentage.evidence import OF_CHECKPOINT
from parentage.support import ParentageError
from rich.console import Console

SINCE_FIRST = {"alone": "control", "checkpoint_cosine": "cosine", "checkpoint_log10_p": "log10_p"}
"""Quantities that had other names when the first snapshots were kept."""


def plain(value: object) -> object:
    """Return a cell as JSON holds it, floats to the last bit."""
    if isinstance(value, float):
        return value.hex() if math.isfinite(value) else str(value)
    if isinstance(value, pl.Series):
        return value.to_list()
    return value


def cells(frame: pl.DataFrame, key: str) -> dict[str, object]:
    """Return every cell of a table by row, checkpoint and quantity; what is null is left out."""
    out: dict[str, object] = {}
    for row in frame.iter_rows(named=True):
        name = row.pop("checkpoint", "")
        row.pop("role", None)
        for quantity, value in row.items():
            of = name if quantity in OF_CHECKPOINT else ""
            if value is not None:
                out[f"{row.get(key)}|{of}|{SINCE_FIRST.get(quantity, quantity)}"] = plain(value)
    return out


def printed(found: parentage.Trace) -> str:
    """Return what a person sees."""
    terminal = Terminal(color=False)
    text = io.StringIO()
    terminal.out = Console(file=text, width=160, no_color=True, highlight=False, markup=False)
    show_trace(terminal, found, layers=True)
    return text.getvalue()


def kept(found: parentage.Trace) -> dict[str, object]:
    """Return everything that a trace says."""
    document = found.evidence
    return {
        "verdict": document["verdict"],
        "recipe": document["recipe"],
        "coverage": document["coverage"],
        "printed": printed(found),
        "slices": cells(found.slices, "slice"),
        "layers": cells(found.layers, "layer"),
        "components": cells(found.components, "component"),
        "model": cells(found.model, ""),
        "repr": repr(found),
    }


def replayed(found: parentage.Trace, child: Path, places: dict[str, Path]) -> dict[str, object]:
    """Return what the recipe of a trace reproduces when it is carried out again."""
    if found.recipe is None:
        return {}
    try:
        compared = found.recipe.replay(places, child)
    except ParentageError as error:
        return {"error": str(error)}
    return {"document": compared.as_dict(), "slices": cells(compared.slices, "slice")}


def snapshot(folder: Path, only: list[str]) -> dict[str, dict[str, object]]:
    """Return what every trace says, by child and kind."""
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    out: dict[str, dict[str, object]] = {}
    for name, entry in manifest.items():
        if not entry["base"] or (only and name not in only):
            continue
        base = folder / entry["base"]
        parents = [folder / each for each in entry["parents"] if each != entry["base"]]
        relatives = [
            folder / key
            for key, each in manifest.items()
            if each["method"] == "fine-tune" and each["family"] == entry["family"]
            if key not in (name, entry["base"], *entry["parents"])
        ]
        kinds = {
            "true": ({"parents": parents}, True),
            "wrong": ({"parents": relatives[:1], "controls": relatives[1:2]}, False),
            "sample": ({"parents": parents, "controls": relatives[:1], "sample": "20%"}, False),
            "sure": ({"parents": parents, "until_sure": True, "seed": 7}, False),
        }
        for kind, (options, replay) in kinds.items():
            start = time.perf_counter()
            try:
                found = parentage.trace(folder / name, base=base, **options)
            except ParentageError as error:
                out[f"{name}/{kind}"] = {"error": str(error)}
                continue
            out[f"{name}/{kind}"] = kept(found)
            if replay:
                places = {each.name: each for each in (base, *parents)}
                out[f"{name}/replay"] = replayed(found, folder / name, places)
            seconds = time.perf_counter() - start
            print(f"{name}/{kind}: {found.verdict.kind}, {seconds:.1f} s", file=sys.stderr)
    return out


def differences(before: object, after: object, where: str = "") -> list[str]:
    """Return the places where two snapshots differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        before = {key: x for key, x in before.items() if x is not None}
        after = {key: x for key, x in after.items() if x is not None}
        out = [f"{where}/{key}: only before" for key in before.keys() - after.keys()]
        out += [f"{where}/{key}: only after" for key in after.keys() - before.keys()]
        for key in before.keys() & after.keys():
            out += differences(before[key], after[key], f"{where}/{key}")
        return sorted(out)
    return [] if before == after else [f"{where}: {before!r} became {after!r}"]


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", nargs="*", default=[], metavar="CHILD")
    options = parser.parse_args()
    found = json.loads(json.dumps(snapshot(options.folder, options.only)))
    numbers = sum(len(each) for case in found.values() for each in case.values()
                  if isinstance(each, dict))  # fmt: skip
    print(f"{len(found)} cases, {numbers:,} values")
    if options.write is not None:
        with gzip.open(options.write, "wt", encoding="utf-8") as file:
            json.dump(found, file)
    if options.against is not None:
        with gzip.open(options.against, "rt", encoding="utf-8") as file:
            before = json.load(file)
        if options.only:
            before = {key: x for key, x in before.items() if key.split("/")[0] in options.only}
        differing = differences(before, found)
        print(*differing[:100], sep="\n")
        print(f"{len(differing)} differences")
        sys.exit(bool(differing))


if __name__ == "__main__":
    main()
