"""Leave-one-out search in a library of a corpus, with synthetic relatives and strangers beside it.

    python bench/search.py FOLDER [--synthetic N] [--descendants] [--trace] [--only NAME ...]
    python bench/search.py --speed 10000

FOLDER holds checkpoints and a MANIFEST.json that says of each its "base" and "parents". Sketches of
all go into a library, with N synthetic ones: two fifths strangers of the same shapes, two fifths
fine-tunes of its bases, and the rest merges of two of those. Each checkpoint that has parents is
searched for, itself passed over, and what was made from it as well unless --descendants keeps that.
Checkpoints that are the same numbers count as one. For each, the ranks of its parents and of its
base; with --trace, whether the verdict from sketches is sure, and whether it then names others.

--speed searches a library of so many sketches in a process of its own, and prints time and memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import parentage
from parentage.checkpoint import to_bf16
from parentage.library import ENDING, Library, sketch_of, write_sketch
from parentage.library.bits import encode
from parentage.library.said import KEY, packed_floats

SIZE = "256KiB"
COPIES = ("copy", "cast")


def held(path: Path) -> tuple[dict, list[tuple[str, str, tuple[int, ...], np.ndarray]], np.ndarray]:
    """Return what a sketch says, its bf16 tensors as numbers, and its thumbnails."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    said = json.loads(header.pop("__metadata__")[KEY])
    tensors = []
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        bits = np.frombuffer(raw[start + begin : start + end], "<u2").astype(np.uint32) << 16
        values = bits.view(np.float32).astype(np.float64)
        tensors.append((name, entry["dtype"], tuple(entry["shape"]), values))
    sketch = sketch_of(parentage.Checkpoint.open(path))
    return said, tensors, sketch.thumbs


class Synthetic:
    """Sketches that were never checkpoints, made from one that was."""

    def __init__(self, path: Path, seed: int) -> None:
        self.said, self.tensors, self.thumbs = held(path)
        self.draw = np.random.default_rng(seed)

    def tuned(self, share: float) -> list[np.ndarray]:
        """Return values of all tensors, thumbnails last, of a fine-tune of some size."""
        parts = [values for *_, values in self.tensors] + [self.thumbs]
        return [x + share * np.std(x) * self.draw.normal(size=x.shape) for x in parts]

    def strange(self) -> list[np.ndarray]:
        """Return values of a model of another beginning."""
        parts = [values for *_, values in self.tensors] + [self.thumbs]
        return [np.std(x) * self.draw.normal(size=x.shape) for x in parts]

    def write(self, path: Path, name: str, values: list[np.ndarray]) -> None:
        """Write them as a sketch."""
        said = {**self.said, "name": name, "thumbs": packed_floats(to_bf16(values[-1]), "<f4")}
        said.pop("energies", None)
        tensors = [
            (each, dtype, shape, encode(to_bf16(found), dtype))
            for (each, dtype, shape, _), found in zip(self.tensors, values, strict=False)
        ]
        write_sketch(path, said, tensors)


def populate(library: Library, folder: Path, bases: list[Path], count: int, seed: int = 1) -> None:
    """Add synthetic sketches to a library."""
    made = []
    for at, path in enumerate(bases):
        source = Synthetic(path, seed + at)
        tuned: list[list[np.ndarray]] = []
        for number in range(count // len(bases)):
            kind = number % 5
            if kind < 2:
                name, values = f"stranger-{at}-{number}", source.strange()
            elif kind < 4 or len(tuned) < 2:
                values = source.tuned(float(source.draw.uniform(0.01, 0.2)))
                name, tuned = f"tuned-{at}-{number}", [*tuned, values][-20:]
            else:
                one, other = (tuned[i] for i in source.draw.permutation(len(tuned))[:2])
                share = float(source.draw.uniform(0.2, 0.8))
                pairs = zip(one, other, strict=True)
                values = [share * a + (1 - share) * b for a, b in pairs]
                name = f"merged-{at}-{number}"
            made.append(folder / f"{name}{ENDING}")
            source.write(made[-1], name, values)
    library.add(made)


def of(name: str, entries: dict[str, dict]) -> str:
    """Return the checkpoint that has the same numbers and was made first."""
    while any(word in entries[name]["method"] for word in COPIES):
        (name,) = entries[name]["parents"]
    return name


def descendants(name: str, entries: dict[str, dict]) -> set[str]:
    """Return a checkpoint and all that was made from it."""
    found = {name}
    while True:
        more = {x for x, each in entries.items() if set(each["parents"]) & found} - found
        if not more:
            return found
        found |= more


def leave_one_out(options: argparse.Namespace) -> None:
    """Search for every checkpoint of a corpus that has parents."""
    entries = json.loads((options.folder / "MANIFEST.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        library = Library(Path(scratch, "library"))
        paths = {
            name: parentage.sketch(options.folder / name, Path(scratch, f"{name}{ENDING}"))
            for name in entries
        }
        library.add(paths.values())
        if options.synthetic:
            roots = [
                parentage.sketch(options.folder / name, Path(scratch, f"root-{name}"), size=SIZE)
                for name, each in entries.items()
                if not each["parents"]
            ]
            populate(library, Path(scratch), roots, options.synthetic)
        print(f"{len(library.names)} sketches\nchild                parents at      base at  blend")
        first = three = total = bases = sure = false = 0
        slowest = 0.0
        for name, entry in entries.items():
            if not entry["parents"] or (options.only and name not in options.only):
                continue
            without = {name} if options.descendants else descendants(name, entries)
            started = time.perf_counter()
            found = parentage.search(paths[name], library, without=sorted(without))
            slowest = max(slowest, time.perf_counter() - started)
            if options.trace:
                found = parentage.search(paths[name], library, without=sorted(without), decide=True)
            rows = found.relatives.filter(found.relatives["same_as"].is_null())["name"].to_list()
            classes = [of(x, entries) if x in entries else x for x in rows]
            ranks = [
                classes.index(of(x, entries)) + 1 if of(x, entries) in classes else 0
                for x in entry["parents"]
            ]
            base = of(entry["base"], entries)
            base_rank = classes.index(base) + 1 if base in classes else 0
            total += 1
            first += bool(ranks) and all(0 < rank <= len(ranks) for rank in ranks)
            three += bool(ranks) and all(0 < rank <= 3 for rank in ranks)
            bases += 0 < base_rank <= 3
            line = f"{name:<20} {ranks!s:<15} {base_rank:<8} "
            line += ", ".join(f"{weight:.3f} {x}" for x, weight in found.blend)
            if options.trace:
                true = {of(x, entries) for x in (*entry["parents"], entry["base"])}
                true |= {of(name, entries)}
                named = {of(x, entries) if x in entries else x for x in found.parents}
                sure += found.is_sure
                is_false = found.is_sure and not named <= true
                false += is_false
                kind = "none" if found.trace is None else found.trace.verdict.kind
                line += f"; {kind}{', sure' if found.is_sure else ''}: {sorted(found.parents)}"
                line += "  FALSE" if is_false else ""
            print(line, flush=True)
    print(
        f"parents first: {first} of {total}; all within three: {three}; base within three: {bases}"
    )
    if options.trace:
        print(f"sure: {sure}; of these with a false parent: {false}")
    print(f"slowest search without --trace: {slowest:.1f} s")


SEARCHED = """
import resource, sys, time
import parentage
started, began = time.perf_counter(), time.process_time()
found = parentage.search(sys.argv[1], sys.argv[2])
seconds, busy = time.perf_counter() - started, time.process_time() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{found.searched:,} sketches, {len(found.relatives):,} relatives: {seconds:.2f} s, "
      f"{busy:.2f} s of CPU, {peak:,.0f} MiB at most; blend {found.blend}")
"""


def speed(count: int) -> None:
    """Search a library of so many sketches, made from the family that comes with the package."""
    from parentage.demo import family

    with tempfile.TemporaryDirectory() as scratch:
        library = Library(Path(scratch, "library"))
        base = parentage.sketch(family("base"), Path(scratch, f"base{ENDING}"), size="64KiB")
        populate(library, Path(scratch), [base], count)
        known = [
            parentage.sketch(family(name), Path(scratch, f"x-{name}{ENDING}"))
            for name in ("base", "parent", "sibling")
        ]
        library.add(known)
        child = parentage.sketch(family("child"), Path(scratch, f"child{ENDING}"))
        for _ in range(3):
            subprocess.run(
                [sys.executable, "-c", SEARCHED, str(child), str(library.folder)], check=True
            )
        print(f"index: {(library.folder / 'index.parquet').stat().st_size:,} bytes")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--synthetic", type=int, default=200)
    parser.add_argument("--descendants", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--speed", type=int)
    options = parser.parse_args()
    if options.speed:
        speed(options.speed)
    elif options.folder:
        leave_one_out(options)
    else:
        parser.error("a folder, or --speed")


if __name__ == "__main__":
    main()
