"""Who in a library are the relatives of a checkpoint, which is the base, what explains it best."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.checkpoint import as_checkpoint
from parentage.library import Library
from parentage.pipeline import trace
from parentage.relatives import find
from parentage.stream import SILENT, Options, choose_io
from parentage.support import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from parentage.checkpoint import Given, Network
    from parentage.evidence import Trace
    from parentage.relatives import Candidates, Degrees, Found
    from parentage.stream import Progress


def search(
    child: Given,
    library: Library | str | PathLike[str] | None = None,
    *,
    without: Sequence[str] = (),
    decide: bool = False,
    degrees: Degrees | None = None,
    threads: int | None = None,
    io: str = "auto",
    network: Network | None = None,
    progress: Progress = SILENT,
) -> Found:
    """Say who in a library of sketches the relatives of a checkpoint are, and what explains it.

    Parameters
    ----------
    child
        A checkpoint, of which no more is read than a sketch holds, or a sketch.
    library
        A library or its folder; by default :func:`parentage.library.default_folder`.
    without
        Names of sketches that are passed over.
    decide
        Whether to trace the child from sketches, with what was found as base and parents: only
        that is a verdict, and it takes longer. Without it, all is a proposal.
    degrees, threads, io, progress
        As in :func:`parentage.compare`.
    network
        How a child is read that is on no disk.

    Returns
    -------
    Found
        Relatives, the base, the blend that explains the child best, a verdict from sketches, a
        command that would decide on whole checkpoints, and a tree.

    Raises
    ------
    ParentageError
        If the child is damaged, or the library can not be read.

    Examples
    --------
    >>> import parentage, tempfile
    >>> from parentage.demo import family
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     library = parentage.Library(f"{folder}/library")
    ...     names = ("base", "parent", "sibling")
    ...     files = [parentage.sketch(family(x), f"{folder}/{x}.safetensors") for x in names]
    ...     added = library.add(files)
    ...     found = parentage.search(family("child"), library, decide=True)
    >>> sorted(name for name, _ in found.blend), found.trace.verdict.kind
    (['base', 'parent'], 'merge')
    """
    shelf = library if isinstance(library, Library) else Library(library)
    opened = as_checkpoint(child, None, network)
    options = Options(
        _core.threads() if threads is None else threads,
        None,
        choose_io(io, opened.disk_bytes),
        is_far=opened.is_remote,
    )
    with tempfile.TemporaryDirectory(prefix="parentage-") as scratch:
        found, candidates = find(
            opened,
            shelf,
            Path(scratch),
            options,
            without=without,
            degrees=degrees,
            progress=progress,
        )
        if candidates is None or not decide:
            return found
        progress.stage("tracing from sketches")
        decided = _traced(candidates, options)
        if decided is None:
            return found
        return replace(found, trace=decided, tree=candidates.tree(_ancestors(decided)))


def _traced(candidates: Candidates, options: Options) -> Trace | None:
    """Return the verdict from sketches; ``None`` where nothing of them can be compared."""
    try:
        return trace(
            candidates.child,
            base=candidates.base,
            parents=candidates.parents,
            controls=candidates.controls,
            threads=options.threads,
        )
    except PlanError:
        return None


def _ancestors(found: Trace) -> dict[str, bool]:
    """Return, by name, the checkpoints of which a test said whether they came before the child."""
    told = {"ancestor": True, "descendant": False}
    return {
        each.name: told[each.relation]
        for each in found.relations
        if each.relation in told and each.test is not None
    }
