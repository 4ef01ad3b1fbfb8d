"""One pass over all slices: sufficient statistics of slices, layers, components and the model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from parentage import _core
from parentage.align import dtype_class
from parentage.checkpoint import COMPONENTS, is_of_the_body
from parentage.errors import JournalError
from parentage.gram import Counts, Floats, Gram, joined
from parentage.statistics import Estimates, estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from parentage.align import Alignment, Slice
    from parentage.journal import Journal, Record
    from parentage.replay import Program, Value

    Part = tuple[int, int, Gram, dict[str, NDArray[Any]]]
    """A range of slices, first and past the last, their sums, and what replays count of them."""

RANGE_CHUNKS = 1 << 15
"""Chunks whose partial results are held at once: some tens of MB, and gigabytes of input."""
RANGE_BYTES = 1 << 30
"""Bytes of all checkpoints together, of two bytes an element, that an interruption may cost."""
IO_OF_RUNS = "pread"
"""How a few pages here and there are read, whatever a full pass does.

Where they are mapped, the system reads what lies around them as well, often megabytes; and past the
page cache, they come from the disk again each time that they are looked at.
"""
BATCH = 2048
"""Slices that are estimated at once: some tens of MB."""


class Watcher(Protocol):
    """Whoever wants to know how far a pass has come.

    A watcher may have a method ``look``, too, which is told of verdicts on samples (see
    :func:`parentage.sure.tell`), and ``stage``, which is told in a few words what begins where no
    bytes are counted (see :func:`begin`).
    """

    def start(self, total: int) -> None:
        """Be told of the bytes that will be read, over all checkpoints."""

    def update(self, done: int) -> None:
        """Be told of the bytes read so far; about twenty times a second. May raise to stop."""


def begin(watcher: object, stage: str) -> None:
    """Tell a watcher that wants to know, one with a method ``stage``, what begins."""
    told = getattr(watcher, "stage", None)
    if told is not None:
        told(stage)


@dataclass(frozen=True, slots=True)
class Options:
    """How to stream. None of it changes a result."""

    threads: int
    tile_bytes: int | None = None
    io: str = "mmap"
    level: str | None = None
    digests: _core.Digests | None = None
    """What computes the SHA-256 of every shard on the way, if that is asked for."""


@dataclass(frozen=True, slots=True)
class Table:
    """Sums and estimates of slices or of groups of them, one row each."""

    n: Counts
    used: Floats
    energy: Floats
    excluded: Counts
    moved: Counts
    stray: Counts
    equal: Counts
    nan: Counts
    inf: Counts
    precision: Counts
    estimates: Estimates
    residual: Floats
    """(S,) what is left over with weights of their own for every slice."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What R recipes reproduce of S slices."""

    applies: NDArray[np.bool_]
    """(S,) whether the slice was replayed: integers are not."""
    reproduced: Counts
    """(S, R) elements whose bits the recipe gives."""
    explained: Counts
    """(S, R) elements that one of the choices it leaves open gives."""
    mismatched: Counts
    """(S, R) elements that it does not give."""
    zero_signs: Counts
    """(S, R) of those, zeros of the other sign."""
    ulps: Counts
    """(S, R, ULPS) mismatched elements by distance in units of the last place."""
    first: NDArray[np.int64]
    """(S, R) the first mismatched element of the slice, -1 without one."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Tables of one pass."""

    slices: Table
    layers: Table
    layer_numbers: tuple[int, ...]
    components: Table
    component_names: tuple[str, ...]
    model: Table
    matrices: Floats
    """(C, C) the Gram matrix over slices with at least two rows and columns."""
    replayed: Replayed


def stream(
    alignment: Alignment,
    parents: int,
    options: Options,
    watcher: Watcher | None = None,
    replays: Sequence[tuple[Program, Sequence[Value]]] = (),
    journal: Journal | None = None,
) -> Statistics:
    """Read every slice once. The first ``parents`` columns after the base are parents.

    ``replays`` are recipes as programs with their results, carried out in the same pass. Memory is
    bounded by the number of slices, not by their size. Slices that ``journal`` has are not read
    again, and all others are added to it as they are finished.
    """
    return tabulate(alignment, parents, _parts(alignment, options, watcher, replays, journal))


def tabulate(alignment: Alignment, parents: int, ranges: Iterable[Part]) -> Statistics:
    """Make tables of what ranges of slices give. They come in order, and hold every slice once."""
    slices, columns = alignment.slices, alignment.plan.columns
    layer_numbers = tuple(sorted({layer for each in slices if (layer := _layer(each)) is not None}))
    component_names = tuple(
        name for name in COMPONENTS if any(each.component == name for each in slices)
    )
    sums = {
        "layers": Sums(len(layer_numbers) + 1, columns),
        "components": Sums(len(component_names), columns),
        "model": Sums(1, columns),
        "matrices": Sums(2, columns),
    }
    # The last layer stands for slices that are in none.
    rows = {layer: row for row, layer in enumerate((*layer_numbers, None))}
    places = {component: row for row, component in enumerate(component_names)}
    labels = {
        "layers": np.array([rows[_layer(each)] for each in slices], dtype=np.intp),
        "components": np.array([places[each.component] for each in slices], dtype=np.intp),
        "model": np.zeros(len(slices), dtype=np.intp),
        "matrices": is_matrix(slices).astype(np.intp),
    }
    parts: list[Table] = []
    counted: list[dict[str, NDArray[Any]]] = []
    held: list[Gram] = []
    start = 0
    for _, last, part, counts in ranges:
        held.append(part)
        counted.append(counts)
        if last - start >= BATCH or last == len(slices):
            whole = joined(held)
            table = _table(whole, parents)
            parts.append(table)
            for name, label in labels.items():
                sums[name].add(whole, table, label[start:last])
            held, start = [], last
    table = joined(parts)
    table = replace(table, energy=table.energy * coarseness(slices, table.precision))
    for name, each in sums.items():
        each.set_energy(table.energy, labels[name])
    return Statistics(
        slices=table,
        layers=sums["layers"].table(parents, drop_last=True),
        layer_numbers=layer_numbers,
        components=sums["components"].table(parents),
        component_names=component_names,
        model=sums["model"].table(parents),
        matrices=sums["matrices"].gram.total[1],
        replayed=Replayed(
            np.array([is_replayed(each) for each in slices]),
            **{name: np.concatenate([each[name] for each in counted]) for name in COUNTED},
        ),
    )


COUNTED = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "first")
"""What replays count, by slice."""
_SUMMED = (
    "gram", "energy", "bias", "precision", "excluded", "moved", "stray", "equal", "nan", "inf",
    "histogram",
)  # fmt: skip


def _parts(
    alignment: Alignment,
    options: Options,
    watcher: Watcher | None,
    replays: Sequence[tuple[Program, Sequence[Value]]],
    journal: Journal | None,
) -> Iterator[Part]:
    """Yield what ranges of slices give, in order.

    How slices are cut into ranges changes no result, so a journal may have been cut otherwise.
    """
    plan = alignment.plan
    total = plan.bytes(0, plan.slices)
    applies = np.array([is_replayed(each) for each in alignment.slices])
    elements = np.array([each.elements for each in alignment.slices], dtype=np.uint64)
    done = start = 0
    complete: set[tuple[int, int]] = set()
    if journal is not None:
        programs = [program.digest(results) for program, results in replays]
        expect = {"slices": alignment.digest, "recipes": programs}
        journal.expect("work", expect, "what is compared")
        for record in journal.records("slices"):
            # Records follow each other; anything else was written by no pass.
            if record.values["first"] != start:
                raise JournalError(f"{journal.path}: slices after {start} are missing")
            start = record.values["last"]
        done = plan.bytes(0, start)
        journal.resumed(done, total)
        if options.digests is not None:
            complete = {_restored(options.digests, each) for each in journal.records("digest")}
    if watcher is not None:
        watcher.start(total)
        if done:
            watcher.update(done)
    for record in () if journal is None else journal.records("slices"):
        first, last = record.values["first"], record.values["last"]
        core = cast("_core.Statistics", SimpleNamespace(**record.arrays))
        part = Gram.from_core(elements[first:last], core)
        yield first, last, part, {name: record.arrays[name] for name in COUNTED}
    chunks = max(1, min(RANGE_CHUNKS, RANGE_BYTES // (2 * _core.CHUNK * plan.columns)))
    for first, last in plan.ranges(chunks):
        if last <= start:
            continue
        first = max(first, start)
        owner = np.arange(first, last)
        cores = [program.replay(results, owner, applies=applies) for program, results in replays]
        found = one_pass(plan, first, last, options, watcher, done, cores)
        counted = {name: getattr(found.replayed, name) for name in COUNTED}
        done += plan.bytes(first, last)
        if journal is not None:
            summed = {name: getattr(found, name) for name in _SUMMED}
            if options.digests is not None:
                _keep_digests(options.digests, journal, complete)
            journal.append("slices", {"first": first, "last": last}, summed | counted)
            journal.progress(done, total)
        yield first, last, Gram.from_core(elements[first:last], found), counted


def _restored(digests: _core.Digests, record: Record) -> tuple[int, int]:
    """Take over a digest that was kept, and return whose it is."""
    place = record.values["checkpoint"], record.values["shard"]
    digests.restore(*place, record.values["sha256"])
    return place


def _keep_digests(digests: _core.Digests, journal: Journal, complete: set[tuple[int, int]]) -> None:
    """Keep the digests that have become complete."""
    for checkpoint, shard, digest in digests.complete():
        if (checkpoint, shard) not in complete:
            values = {"checkpoint": checkpoint, "shard": shard, "sha256": digest}
            journal.append("digest", values, {})
            complete.add((checkpoint, shard))


MEMORY = Path("/proc/meminfo")


def settle(io: str, bytes_: int) -> str:
    """Return how files are best read, where that is left open with ``"auto"``.

    What does not fit in the page cache would push everything else out of it, and find none of
    itself there later: it is read past the cache. Anything else is mapped.
    """
    if io != "auto":
        return io
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", MEMORY.read_text("ascii"), re.MULTILINE)
    except OSError:
        found = None
    return "direct" if found is not None and bytes_ > int(found[1]) << 10 else "mmap"


def is_replayed(each: Slice) -> bool:
    """Return whether a slice holds numbers that a replay can round to."""
    return dtype_class(each.dtype) == "float" and each.dtype != "F8_E8M0"


def gram(alignment: Alignment, first: int, last: int, options: Options) -> Gram:
    """Stream slices ``first`` to ``last`` (exclusive) through the core."""
    n = np.array([each.elements for each in alignment.slices[first:last]], dtype=np.uint64)
    return Gram.from_core(n, one_pass(alignment.plan, first, last, options))


def one_pass(
    plan: _core.Plan,
    first: int,
    last: int,
    options: Options,
    watcher: Watcher | None = None,
    done: int = 0,
    replays: Sequence[_core.Replay] = (),
) -> _core.Statistics:
    """Stream slices through the core, and carry out replays in the same pass.

    ``done`` are the bytes that a watcher has been told of before.
    """
    return _core.gram(
        plan,
        first,
        last,
        threads=options.threads,
        tile_bytes=options.tile_bytes,
        io=options.io,
        level=options.level,
        replays=list(replays),
        digests=options.digests,
        progress=None if watcher is None else lambda bytes_: watcher.update(done + bytes_),
    )


class Sums:
    """Running sums of groups of slices."""

    def __init__(self, groups: int, columns: int) -> None:
        self.gram = Gram.zeros(groups, columns)
        self.residual = np.zeros(groups)

    def add(self, part: Gram, table: Table, labels: NDArray[np.intp]) -> None:
        """Add slices, each to the group that ``labels`` names."""
        self.gram.add(part, labels)
        np.add.at(self.residual, labels, table.residual)

    def set_energy(self, energy: Floats, labels: NDArray[np.intp]) -> None:
        """Replace the groups' rounding energy by the sums of the slices'."""
        self.gram.energy[:] = 0.0
        np.add.at(self.gram.energy, labels, energy)

    def table(self, parents: int, *, drop_last: bool = False) -> Table:
        """Estimate from the sums."""
        keep = slice(None, -1) if drop_last else slice(None)
        table = _table(self.gram.select(keep), parents)
        return replace(table, residual=self.residual[keep])


_SIGNIFICANDS = {"BF16": 7, "F16": 10, "F32": 23, "F64": 52}


def coarseness(slices: Sequence[Slice], precision: Counts) -> Floats:
    """Return (S,) what the rounding energy of each slice is to be multiplied by.

    A child rounded to bf16 and then stored as float32 has the rounding of bf16. All slices of
    one dtype are taken together: one that holds nothing but ones does not tell how it was rounded.
    """
    factors = np.ones(len(slices))
    dtypes = np.array([each.dtype for each in slices])
    for dtype in ("F16", "F32", "F64"):
        stored = dtypes == dtype
        if stored.any():
            used = int(precision[stored].max())
            kept = min(bits for bits in _SIGNIFICANDS.values() if bits >= used)
            factors[stored] = 4.0 ** max(_SIGNIFICANDS[dtype] - kept, 0)
    return factors


def _layer(each: Slice) -> int | None:
    """Return the layer of a slice; towers beside the language model count layers of their own."""
    return each.layer if is_of_the_body(each.component) else None


def is_matrix(slices: Sequence[Slice]) -> NDArray[np.bool_]:
    """Return (S,) whether a slice has at least two rows and two columns.

    Vectors say little about descent: norm weights of unrelated models are all near one.
    """
    return np.array([sum(size > 1 for size in each.shape) >= 2 for each in slices], dtype=bool)


def _table(part: Gram, parents: int) -> Table:
    estimates = estimate(part, parents)
    return Table(
        part.n,
        part.used,
        part.energy,
        part.excluded,
        part.moved,
        part.stray,
        part.equal,
        part.nan,
        part.inf,
        part.precision,
        estimates,
        estimates.free.residual,
    )
