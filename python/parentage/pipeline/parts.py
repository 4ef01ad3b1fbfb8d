"""A trace in parts: each reads a share of everything on a machine of its own, and one joins them.

Every part plans, and looks for recipes in a sample, as the trace of one machine does: the seed that
is kept beside the parts has them come to the same. What they read is kept as the journal of an
interrupted trace is. Whoever joins them goes on with all journals as with one, and has nothing left
to read but what is in no main slice.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bundle import files_beside
from parentage.checkpoint import open_all
from parentage.evidence import (
    SHEET,
    JoinedParts,
    Journal,
    PartOf,
    agreed,
    identity,
    read_parts,
    same_recipes,
    same_trace,
    sheet_of,
)
from parentage.library import first_sketch
from parentage.pipeline.flow import planned, refuse_limits, traced
from parentage.pipeline.sequential import Seed
from parentage.stream import (
    SILENT,
    Cuts,
    Options,
    Progress,
    choose_io,
    digests_of,
    read_ranges,
    spread_over,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

    from parentage.checkpoint import Checkpoint, Inputs, Network
    from parentage.evidence import Trace
    from parentage.verdict import TraceInputs

    Given = str | PathLike[str]


def trace_part(
    child: Given | Checkpoint,
    *,
    base: Given | Checkpoint,
    parents: Iterable[Given | Checkpoint] | Given | Checkpoint = (),
    controls: Iterable[Given | Checkpoint] | Given | Checkpoint = (),
    part: str | tuple[int, int],
    output: Given,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    level: str | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
    recipes: bool = True,
    seed: int | None = None,
    digest: str | None = None,
    resume: bool = False,
    network: Network | None = None,
    progress: Progress = SILENT,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Read one part of what a trace reads, and keep it for :func:`join`.

    Parameters
    ----------
    child, base, parents, controls, threads, tile_bytes, io, level, executor, recipes, digest
        As of :func:`parentage.trace`; the same for all parts, but for those that say how to read.
    part
        ``"3/64"``, or ``(3, 64)``, for the third of 64.
    output
        A folder for all parts, or for this one alone. What they agree on is kept there: the first
        that is begun draws the seed.
    seed
        Of the sample that recipes are looked for in. Parts in folders of their own need one.
    resume
        Go on with this part where it was interrupted; one that is done is left as it is.
    network, progress, note
        As of :func:`parentage.trace`.

    Returns
    -------
    Path
        The folder of the part.

    Raises
    ------
    ParentageError
        If a checkpoint is damaged or unreadable, changes while it is read, or pairs with none.
    JournalError
        If what is in ``output`` is of another trace, or this part is there and ``resume`` is not
        given; or if other recipes were found here than for the other parts.
    ValueError
        If an option is out of its range.
    """
    one = PartOf.parse(part)
    if digest not in (None, "sha256"):
        raise ValueError(f"digest must be sha256, not {digest!r}")
    progress.stage("reading headers")
    inputs = open_all(child, base, parents, controls, network)
    checkpoints = (*inputs.others, inputs.child)
    if name := first_sketch(checkpoints):
        raise ValueError(f"parts are of whole files, and {name} is a sketch")
    if digest is not None:
        for each in checkpoints:
            files_beside(each)
    folder, work = Path(output), identity(inputs)
    options = _options(inputs, threads, tile_bytes, io, level, digest=digest is not None)
    if executor is not None:
        backend = spread_over(executor, threads=threads, beside=folder, note=note)
        options = replace(options, backend=backend)
        refuse_limits(network, checkpoints)
    drawn = Seed.of(seed)
    with Journal(folder / one.folder, work, resume=resume, note=note) as journal:
        sheet = sheet_of(
            inputs, work, one, drawn.number, recipes=recipes, digest=digest is not None
        )
        agreed(folder / SHEET, sheet)
        kept = read_parts(folder / SHEET)
        same_trace(
            folder / SHEET, kept, sheet if drawn.is_given else {**sheet, "seed": kept["seed"]}
        )
        if next(journal.records("done"), None) is not None:
            if note is not None:
                note(f"part {one} is done: {journal.path.parent}")
            return journal.path.parent
        journal.expect("seed", {"number": kept["seed"]}, "the seed")
        case, _ = planned(
            inputs, options, progress, kept["seed"], recipes=recipes, digest=False, is_part=True
        )
        programs = [program.digest(results) for program, results in case.replays]
        same_recipes(folder, case.alignment.digest, programs)
        _read(case, one, journal, digest is not None, progress)
        journal.append("done", {})
        journal.sync()
    return folder / one.folder


def join(
    folders: Iterable[Given] | Given,
    *,
    output: Given | None = None,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    level: str | None = None,
    network: Network | None = None,
    progress: Progress = SILENT,
    note: Callable[[str], None] | None = None,
) -> Trace:
    """Join the parts of a trace, and say what the child is made of.

    The checkpoints are opened again where the parts had them; the evidence is byte for byte that of
    one machine.

    Parameters
    ----------
    folders
        What :func:`trace_part` was given as ``output``; one, or several.
    output
        A folder that the evidence is written to, as by :meth:`parentage.Trace.save`.
    threads, tile_bytes, io, level, network, progress, note
        As of :func:`parentage.trace`.

    Raises
    ------
    ParentageError
        If a checkpoint can not be read.
    JournalError
        If parts do not fit together, some are missing, twice there or not done, or a file has
        changed since.
    """
    given = (folders,) if isinstance(folders, (str, PathLike)) else tuple(folders)
    if not given:
        raise ValueError("no folder of parts is given")
    progress.stage("looking at parts")
    parts = JoinedParts([Path(each) for each in given])
    progress.stage("reading headers")
    inputs = parts.opened(network)
    sheet = parts.sheet
    parts.verify(identity(inputs))
    options = _options(inputs, threads, tile_bytes, io, level, digest=sheet["digest"])
    found = traced(
        inputs, options, progress, parts, None, sheet["seed"], recipes=sheet["recipes"],
        digest=sheet["digest"],
    )  # fmt: skip
    if output is not None:
        found.save(output, note)
    return found


def _options(
    inputs: Inputs,
    threads: int | None,
    tile_bytes: int | None,
    io: str,
    level: str | None,
    *,
    digest: bool,
) -> Options:
    if digest and io == "auto":
        # What is read in another order than a file's is hashed from the page cache.
        io = "mmap"
    size = sum(each.bytes for each in (*inputs.others, inputs.child))
    return Options(
        _core.threads() if threads is None else threads, tile_bytes, choose_io(io, size), level
    )


def _read(case: TraceInputs, part: PartOf, journal: Journal, digest: bool, told: Progress) -> None:
    """Read a part's slices, and hash the files that begin in them."""
    alignment, options = case.alignment, case.options
    cuts = Cuts(alignment.plan)
    slices = cuts.parts(part.count)[part.number - 1]
    mine = cuts.begun(*slices)
    if digest:
        options = replace(options, digests=digests_of(alignment.plan, mine))
    for _ in read_ranges(alignment, options, told, case.replays, journal, slices):
        pass
    if options.digests is None:
        return
    kept = {(each.values["checkpoint"], each.values["shard"]) for each in journal.records("digest")}
    left = [place for place in mine if place not in kept]
    if left:
        told.stage("hashing what is left of files")
        found = options.digests.finish(threads=options.threads, io=options.io)
        for column, shard in left:
            values = {"checkpoint": column, "shard": shard, "sha256": found[column][shard]}
            journal.append("digest", values)
