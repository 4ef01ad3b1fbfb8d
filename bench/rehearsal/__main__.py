"""Rehearses a trace at real size: replicas of a 397-billion-parameter model, 807 GB each, as holes.

    python bench/rehearsal [FOLDER] [--layout fused --layout text ...] [--part 16GB]
                           [--io mmap] [--limit 300] [--disk 3GB/s ...] [--record] [--check]

Makes base, parent and child in each layout in FOLDER (kept there if given, some 4 GB of data in
7 TB of sparse files), and measures, each in a process of its own with its peak of anonymous memory,
its open files and its wall time:

- planning: open, align and plan of the three;
- the first progress of a trace, and a part of its full pass, which is then killed and resumed;
- `trace --sample` from end to end, with the verdict;
- the first progress of a trace that may open no more than 256 files;

and says what pairs between the layouts. The time of a full pass is projected for disks of the given
speeds: the slower of disk and of what was measured, which reads holes and so no disk at all.

Bounds, for --check: planning below 2 s, the first progress below 3 s, anonymous memory below
512 MiB, the sample below 60 s. What could not be measured misses its bound.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import Measured, measure
from parentage.bench import machine
from replicas import LAYOUTS, ROLES, build, on_disk, refuse_if_dense
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent.parent / "results"
BOUNDS = {
    "planning_s": 2.0,
    "first_progress_s": 3.0,
    "peak_anonymous_mib": 512.0,
    "sample_s": 60.0,
}
FEW_FILES = 256
SCATTERED = 64 << 20
"""Bytes of data in each checkpoint besides those that a first sample reads."""
LEAST_FREE = 8 << 30
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def size(text: str) -> int:
    """Return the bytes of 16GB, or of 3GB/s."""
    found = re.fullmatch(r"([\d.]+)\s*([kMGT]?)B?(/s)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 16GB, or 3GB/s")
    return int(float(found[1]) * UNITS[found[2]])


def trace_arguments(folder: Path, layout: str, io: str) -> list[str]:
    """Return the arguments that trace a replica."""
    base, parent, child = (str(folder / layout / role) for role in ROLES)
    return ["cli", "trace", child, "--base", base, "--parent", parent, "--io", io]


def planning(folder: Path, layout: str, scratch: Path) -> dict[str, Any]:
    """Measure open, align and plan, and the first tile of the pass right after it."""
    base, parent, child = (str(folder / layout / role) for role in ROLES)
    found = measure(scratch, "plan", child, base, parent)
    stages = found.stages()
    planned = found.first("planned") or {}
    tile = found.first("first_tile")
    parts = ("open", "align and plan")
    return {
        **found.summary(),
        "planning_s": round(sum(stages.get(part, 0.0) for part in parts), 3),
        "first_tile_after_planning_s": tile and round(tile["at"] - planned["at"], 3),
        **{key: planned.get(key) for key in ("tensors", "slices", "bytes", "unaligned")},
    }


def partial(
    folder: Path, layout: str, scratch: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Trace everything until ``--part`` bytes are done, kill that, and resume it."""
    output = scratch / f"evidence-{layout}"
    arguments = [*trace_arguments(folder, layout, options.io), "-o", str(output)]
    found = measure(
        scratch,
        *arguments,
        until=lambda e: e["event"] == "update" and e["bytes"] >= options.part,
        limit=options.limit,
    )
    total = (found.first("start") or {}).get("bytes")
    out: dict[str, Any] = {
        **found.summary(),
        "total_bytes": total,
        "pass_begins_s": found.seconds_to("start"),
        "first_progress_s": found.seconds_to("update"),
        "bytes_done_when_killed": found.last_done(),
        "bytes_per_s": found.speed() and round(found.speed() or 0.0),
        "updates": sum(each["event"] == "update" for each in found.events),
        "progress_never_goes_back": monotonic(found),
    }
    again = measure(
        scratch,
        *arguments,
        "--resume",
        until=lambda e: e["event"] == "update" and e["bytes"] >= 1.25 * found.last_done(),
        limit=options.limit,
    )
    first = again.first("update")
    out["resume"] = {
        **again.summary(),
        "first_progress_s": again.seconds_to("update"),
        "first_bytes_done": first and first["bytes"],
        "goes_on": goes_on(found, again),
        "bytes_done_when_killed": again.last_done(),
    }
    return out


def goes_on(killed: Measured, again: Measured) -> bool | None:
    """Return whether the second began where the first was killed; ``None`` if it had not begun."""
    if killed.last_done() == 0:
        return None
    first = again.first("update")
    # It may have lost what was under way when it was killed, and no more.
    return first is not None and first["bytes"] >= 0.8 * killed.last_done()


def monotonic(found: Measured) -> bool:
    """Return whether the bytes done only ever grew, and stayed within the total."""
    done = [each["bytes"] for each in found.events if each["event"] == "update"]
    total = (found.first("start") or {"bytes": 0})["bytes"]
    return done == sorted(done) and all(0 <= each <= total for each in done)


def sampled(
    folder: Path, layout: str, scratch: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Trace from a sample, from end to end."""
    arguments = [*trace_arguments(folder, layout, options.io), "--sample", options.sample]
    found = measure(scratch, *arguments, "--json", limit=options.limit)
    out: dict[str, Any] = {**found.summary(), "first_progress_s": found.seconds_to("update")}
    if found.status == 0:
        document = json.loads(found.out)
        recipe = document["recipe"]
        out["verdict"] = {
            key: document["verdict"][key] for key in ("kind", "level", "rule", "text")
        }
        out["weights"] = recipe and {each["name"]: each["weight"] for each in recipe["parents"]}
        out["elements_read"] = document["coverage"]["elements_read"]
    return out


def crossing(folder: Path, layouts: list[str], scratch: Path) -> list[dict[str, Any]]:
    """Say how much of a child in one layout pairs with a base in another."""
    out = []
    for one in layouts:
        for other in layouts:
            if one != other:
                paths = (str(folder / one / "child"), str(folder / other / "base"))
                found = measure(scratch, "pair", *paths)
                pairs = found.first("pairs") or {"share": None, "reasons": [found.err[-300:]]}
                out.append(
                    {"child": one, "base": other, **{k: pairs[k] for k in ("share", "reasons")}}
                )
    return out


def rehearse(folder: Path, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measure everything and return the document."""
    layouts: dict[str, Any] = {}
    for layout in options.layout:
        note(f"{layout}: making base, parent and child")
        made = describe_or_build(folder, layout, options.seed, size(options.sample))
        out: dict[str, Any] = {"replica": made}
        note(f"{layout}: planning")
        out["planning"] = planning(folder, layout, scratch)
        note(f"{layout}: {options.part / 1e9:g} GB of a full trace")
        out["partial"] = partial(folder, layout, scratch, options)
        note(f"{layout}: with {FEW_FILES} open files")
        few = measure(
            scratch,
            *trace_arguments(folder, layout, options.io),
            until=lambda e: e["event"] == "update" and e["bytes"] > 0,
            limit=options.limit,
            open_files=FEW_FILES,
        )
        out["few_files"] = {**few.summary(), "gets_to_the_pass": few.first("update") is not None}
        note(f"{layout}: trace --sample {options.sample}")
        out["sample"] = sampled(folder, layout, scratch, options)
        out["projected"] = projected(out, options.disk)
        layouts[layout] = out
    note("pairing across layouts")
    document: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine(folder),
        "seed": options.seed,
        "io": options.io,
        "layouts": layouts,
        "across_layouts": crossing(folder, options.layout, scratch),
    }
    document["bounds"] = bounds(layouts)
    return document


def describe_or_build(folder: Path, layout: str, seed: int, sample: int) -> dict[str, Any]:
    """Make the replicas of a layout, or take those that an earlier run has made alike."""
    target, note_of = folder / layout, folder / layout / "made.json"
    if note_of.exists():
        made = json.loads(note_of.read_text())
        if (made.pop("seed"), made.pop("sample")) == (seed, sample):
            return dict(made)
    if target.exists():
        sys.exit(f"{target}: exists, and is no replica of this seed and --sample; remove it")
    made = build(folder, layout, seed, SCATTERED, sample)
    # What is measured next shares the disk with nothing that is still to be written.
    os.sync()
    note_of.write_text(json.dumps({**made, "seed": seed, "sample": sample}))
    return made


def projected(found: dict[str, Any], disks: list[int]) -> dict[str, Any]:
    """Return seconds of a full pass by speed of the disk, and which of the two is the slower."""
    total, speed = found["planning"]["bytes"], found["partial"]["bytes_per_s"]
    if not total or not speed:
        return {}
    return {
        f"{disk / 1e9:g} GB/s": {
            "seconds": round(total / min(disk, speed)),
            "limited_by": "disk" if disk < speed else "computing",
        }
        for disk in disks
    }


def bounds(layouts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each bound with what was measured in each layout; ``None`` where it was not."""
    out = []
    for layout, found in layouts.items():
        runs = [found[key] for key in ("planning", "partial", "sample")]
        peaks = [each["peak_anonymous_mib"] for each in runs if "peak_anonymous_mib" in each]
        sample = found["sample"]
        measured = {
            "planning_s": found["planning"]["planning_s"],
            "first_progress_s": found["partial"]["first_progress_s"],
            "peak_anonymous_mib": max(peaks),
            "sample_s": sample["seconds"] if sample.get("status") == 0 else None,
        }
        for name, value in measured.items():
            met = value is not None and value < BOUNDS[name]
            out.append(
                {
                    "layout": layout,
                    "what": name,
                    "measured": value,
                    "bound": BOUNDS[name],
                    "met": met,
                }
            )
    return out


def show(document: dict[str, Any]) -> None:
    """Print the document as tables, on stderr."""
    console = Console(stderr=True, highlight=False)
    table = Table("layout", "what", "measured", "bound", "", box=None, padding=(0, 2, 0, 0))
    for each in document["bounds"]:
        value = "not measured" if each["measured"] is None else f"{each['measured']:,}"
        met = "" if each["met"] else "MISSED"
        table.add_row(each["layout"], each["what"], value, f"{each['bound']:g}", met)
    for layout, found in document["layouts"].items():
        part = found["partial"]
        rows = {
            "tensors": found["planning"]["tensors"],
            "slices": found["planning"]["slices"],
            "GB to read": round(found["planning"]["bytes"] / 1e9, 1),
            "open files": part["open_files"],
            "GB/s": part["bytes_per_s"] and round(part["bytes_per_s"] / 1e9, 2),
            f"pass reached with {FEW_FILES} files": found["few_files"]["gets_to_the_pass"],
            "resume": part["resume"]["goes_on"],
            "sample": found["sample"].get("verdict", {}).get("kind"),
        }
        for disk, time in found["projected"].items():
            rows[f"full pass, disk {disk}"] = f"{time['seconds']:,} s, by {time['limited_by']}"
        for stage, seconds in {**found["planning"]["stages"], **part.get("stages", {})}.items():
            rows[f"stage {stage}"] = f"{seconds} s"
        for what, value in rows.items():
            number = isinstance(value, int) and not isinstance(value, bool)
            text = f"{value:,}" if number else "not measured" if value is None else str(value)
            table.add_row(layout, what, text, "", "")
    console.print(table)
    for each in document["across_layouts"]:
        reasons = "; ".join(each["reasons"])
        share = "-" if each["share"] is None else f"{each['share']:.2%}"
        console.print(
            f"{each['child']} child, {each['base']} base: {share} pairs. {reasons}", soft_wrap=True
        )


def note(message: str) -> None:
    """Say what is going on."""
    print(message, file=sys.stderr, flush=True)


def main() -> int:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="where replicas are kept")
    parser.add_argument("--layout", action="append", choices=LAYOUTS, help="default: all three")
    parser.add_argument("--part", type=size, default=16 * 10**9, help="bytes of a full trace to do")
    parser.add_argument("--sample", default="1GB", help="what trace --sample is given")
    parser.add_argument("--disk", type=size, action="append", help="a disk's speed, as in 3GB/s")
    parser.add_argument("--io", default="mmap", help="what trace --io is given")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a process may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="keep the result in bench/results")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    options.layout = options.layout or list(LAYOUTS)
    options.disk = options.disk or [3 * 10**9, 7 * 10**9]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch, "replicas")
        folder.mkdir(parents=True, exist_ok=True)
        held = sum(on_disk(folder / each / role) for each in LAYOUTS for role in ROLES
                   if (folder / each / role).exists())  # fmt: skip
        free = shutil.disk_usage(folder).free
        if free + held < LEAST_FREE:
            sys.exit(f"{folder}: {free / 1e9:.1f} GB are free; {LEAST_FREE / 1e9:.1f} are needed")
        refuse_if_dense(folder)
        document = rehearse(folder, options, Path(scratch))
    show(document)
    text = json.dumps(document, indent=1)
    print(text)
    if options.record:
        target = RESULTS / f"{document['date']}-rehearsal.json"
        target.write_text(text + "\n")
        note(f"kept in {target}")
    missed = [each for each in document["bounds"] if not each["met"]]
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
