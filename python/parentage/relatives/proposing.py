"""Proposes a base and parents for a checkpoint of which nobody says what it was made of.

A library's search proposes by weights, and the child's files by what they claim. Neither decides
anything: the trace of what is proposed does. What was assumed, and because of what, is told with
it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.bundle import Assumed, AssumedCheckpoint, Claim, SearchedLibrary
from parentage.checkpoint import as_checkpoint, distinct_names, several
from parentage.library import Library
from parentage.metadata import claimed_origins
from parentage.relatives.finding import find
from parentage.relatives.resolving import NotFollowedError, Resolved, Resolver, fits, shown
from parentage.stream import SILENT, Options, choose_io
from parentage.support import CheckpointError, ParentageError, PlanError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    from parentage.checkpoint import Checkpoint, Given, Network
    from parentage.metadata import Origin
    from parentage.relatives.found import Found
    from parentage.stream import Progress

MOST_CLAIMS = 8
"""Claimed models that are looked for, at most: each may be asked of a hub."""

MOST = _core.MAX_COLUMNS - 2
"""Parents and controls of a trace, at most."""


@dataclass
class Assuming:
    """One checkpoint that is assumed to be something, and because of what."""

    found: Resolved
    role: str
    """``"base"``, ``"parent"`` or ``"control"``."""
    search: str | None = None
    """``"alike"`` if the search of the library proposes it, ``"lengths"`` if it does so for lengths
    of rows and columns alone."""
    claims: list[Origin] = field(default_factory=list)
    """What the child's files say of it."""
    name: str = ""
    """What it is called in the trace."""

    def told(self) -> AssumedCheckpoint:
        """Return it as it stands in evidence."""
        claims = [Claim(each.source, shown(each.model)) for each in self.claims]
        return AssumedCheckpoint(self.name, self.role, self.search, claims, self.found.is_sketch)


@dataclass(frozen=True)
class Proposal:
    """What a checkpoint is traced against, and what of it was assumed."""

    child: Checkpoint
    base: Checkpoint
    parents: tuple[Checkpoint, ...]
    controls: tuple[Checkpoint, ...]
    assumed: tuple[Assuming, ...]
    searched: int
    """Sketches in the library that was searched."""
    library: str
    """SHA-256 of what is in it, as :attr:`parentage.Library.digest`."""
    folder: str
    """Where it lies."""
    left: tuple[str, ...] = ()
    """Sentences on what was claimed or proposed, and is not traced."""

    @property
    def told(self) -> Assumed:
        """What was assumed, as it stands in evidence."""
        own = sum(each.role == "parent" for each in self.assumed)
        return Assumed(
            SearchedLibrary(self.searched, self.library) if self.searched else None,
            len(self.parents) > own,
            [each.told() for each in self.assumed],
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said before anything is read: what was assumed, where that is, what was left."""
        places = [f"{each.name}: {each.found.checkpoint.where}" for each in self.assumed]
        said = [*self.told.sentences, f"They are {'; '.join(places)}."]
        if any(each.search is not None for each in self.assumed):
            said.append(f"The library is {self.folder}.")
        return (*(printable(each) for each in said), *self.left)


def propose(
    child: Given,
    parents: Iterable[Given] | Given = (),
    controls: Iterable[Given] | Given = (),
    library: Library | str | PathLike[str] | None = None,
    *,
    follow: bool = False,
    is_whole: bool = False,
    threads: int | None = None,
    network: Network | None = None,
    progress: Progress = SILENT,
) -> Proposal:
    """Return what a checkpoint may be traced against, which is a base and, of none given, parents.

    Parameters
    ----------
    child
        The checkpoint. No more is read of it than a sketch holds, and what its files claim.
    parents, controls
        What is given of them.
    library
        What is searched: a library or its folder, by default the user's.
    follow
        Whether what files claim is asked of a hub, though the child was not named on one.
    is_whole
        Whether sketches are of no use.
    threads
        That read and compute; by default one per CPU.
    network
        How what is on no disk is read.
    progress
        Told of stages.

    Raises
    ------
    PlanError
        If nothing is proposed; says what to do.
    ParentageError
        If the child or what is given is damaged, or the library can not be read.
    """
    child = as_checkpoint(child, None, network)
    parents, controls = (
        [as_checkpoint(each, None, network) for each in several(given)]
        for given in (parents, controls)
    )
    shelf = library if isinstance(library, Library) else Library(library)
    options = Options(
        _core.threads() if threads is None else threads,
        None,
        choose_io("auto", child.disk_bytes),
        is_far=child.is_remote,
    )
    progress.stage("looking for what it may be made of")
    origins, problems = claimed_origins(child)
    own, found, sketches, remarks = _searched(child, shelf, options, progress)
    resolver = Resolver(child, shelf, follow, network, own)
    left = [printable(f"Of what the child's files say: {each}.") for each in problems]
    left += remarks
    pool = _proposed(found, sketches, resolver)
    _claimed(origins, resolver, pool, left)
    given = [*parents, *controls]
    pool = [each for each in pool if not _is_one_of(each.found.checkpoint, given)]
    if is_whole:
        left += [
            printable(
                f"{each.found.checkpoint.name} is passed over: it is a sketch, and whole files are "
                "asked for."
            )
            for each in pool
            if each.found.is_sketch
        ]
        pool = [each for each in pool if not each.found.is_sketch]
    if not pool:
        raise PlanError(_nothing(child, shelf, found, origins, left))
    base = _base_of(pool, found)
    base.role = "base"
    others = [] if parents else [each for each in pool if each is not base]
    chosen = [base, *_fitting(others, MOST - len(given), [base])]
    return _named(child, chosen, parents, controls, found, shelf, left)


def _searched(
    child: Checkpoint, shelf: Library, options: Options, progress: Progress
) -> tuple[frozenset[str], Found | None, tuple[list[Checkpoint], list[Checkpoint]], list[str]]:
    """Return sketches of the child itself, what a search finds, candidates, controls, remarks."""
    own: frozenset[str] = frozenset()
    if not len(shelf.index(["name"])):
        return own, None, ([], []), []
    with tempfile.TemporaryDirectory(prefix="parentage-") as scratch:
        while True:
            try:
                found, candidates = find(
                    child, shelf, Path(scratch), options, without=tuple(own), progress=progress
                )
            except CheckpointError as error:
                # An adapter has no sketch, and no more has what holds no numbers.
                return own, None, ([], []), [printable(f"No library was searched: {error}.")]
            same = {
                each["name"]
                for each in found.relatives.iter_rows(named=True)
                if each["name"] == child.name and each["relation"] == "equal where held"
            }
            if not same or own:
                break
            own = frozenset(same)
    remarks = [
        *(
            f"{each} is passed over: it has the child's name, and is equal where it holds anything."
            for each in sorted(own)
        ),
        *found.remarks,
    ]
    remarks = [printable(each) for each in remarks]
    if candidates is None:
        return own, found, ([], []), remarks
    offered = [candidates.base, *candidates.parents]
    return own, found, (offered, list(candidates.controls)), remarks


def _proposed(
    found: Found | None,
    sketches: tuple[list[Checkpoint], list[Checkpoint]],
    resolver: Resolver,
) -> list[Assuming]:
    """Return what a search proposes, as whole checkpoints where these are at hand."""
    pool: list[Assuming] = []
    for role, offered in zip(("parent", "control"), sketches, strict=True):
        for sketch in offered:
            one = resolver.whole(sketch) or Resolved(sketch, "as a sketch in the library")
            if not one.checkpoint.same_files(resolver.child):
                pool.append(Assuming(one, role, "alike"))
    if pool or found is None:
        return pool
    for name in found.proposed:
        try:
            whole = resolver.whole(resolver.shelf.open(name))
        except ParentageError:
            continue
        # A sketch shows no order of rows: only the checkpoint does.
        if whole is not None and not whole.checkpoint.same_files(resolver.child):
            return [Assuming(whole, "parent", "lengths")]
    return pool


def _claimed(
    origins: Sequence[Origin], resolver: Resolver, pool: list[Assuming], left: list[str]
) -> None:
    """Add what files claim to what is proposed, and say of the rest why it is not."""
    for origin in origins[:MOST_CLAIMS]:
        try:
            one = resolver.resolve(origin.model)
        except NotFollowedError as error:
            said = f"{origin.source} of the child says {shown(origin.model)}: {error}."
            left.append(printable(said))
            continue
        same = next((each for each in pool if _is_same(each.found, one)), None)
        if same is None:
            pool.append(Assuming(one, origin.role, claims=[origin]))
            continue
        if same.found.is_sketch and not one.is_sketch:
            same.found = one
        same.claims.append(origin)
        same.role = origin.role if same.role == "control" or origin.role == "base" else same.role
    for origin in origins[MOST_CLAIMS:]:
        left.append(printable(f"{origin.source} of the child was not looked for: too many others."))


def _is_same(one: Resolved, other: Resolved) -> bool:
    """Return whether two are the same files, or one is a sketch that may be of the other."""
    if one.checkpoint.same_files(other.checkpoint):
        return True
    return _is_sketch_of(one.checkpoint, other.checkpoint)


def _is_sketch_of(one: Checkpoint, other: Checkpoint) -> bool:
    """Return whether one is a sketch of the other, by its name and by what it says of files."""
    if one.name.rpartition("/")[2] != other.name.rpartition("/")[2]:
        return False
    return fits(one, other) or fits(other, one)


def _is_one_of(one: Checkpoint, given: Sequence[Checkpoint]) -> bool:
    return any(one.same_files(each) or _is_sketch_of(one, each) for each in given)


def _base_of(pool: Sequence[Assuming], found: Found | None) -> Assuming:
    """Return what is taken for the base.

    That is where lines meet, if that is decided; or what is claimed to be it; or what the search
    has for one; or else the first that is claimed: of a blend, any of its parts will do.
    """
    meets = None if found is None else found.base
    at = next(
        (x for x in pool if x.search == "alike" and x.found.checkpoint.name == meets), None
    )  # fmt: skip
    said = next((x for x in pool if x.role == "base"), None)
    return at or said or next((x for x in pool if x.role != "control"), pool[0])


def _fitting(others: Sequence[Assuming], most: int, base: Sequence[Assuming]) -> list[Assuming]:
    """Return parents, then controls, as many as there is room for.

    Beside whole checkpoints, no sketch is a control: it would have all be a sample.
    """
    parents = [each for each in others if each.role != "control"]
    controls = [each for each in others if each.role == "control"]
    for each in parents:
        each.role = "parent"
    if not any(each.found.is_sketch for each in (*base, *parents)):
        controls = [each for each in controls if not each.found.is_sketch]
    return [*parents, *controls][:most]


def _named(
    child: Checkpoint,
    chosen: Sequence[Assuming],
    parents: Sequence[Checkpoint],
    controls: Sequence[Checkpoint],
    found: Found | None,
    shelf: Library,
    left: Sequence[str],
) -> Proposal:
    """Return the proposal, all of it under distinct names."""
    base, *others = chosen
    mine = [each for each in others if each.role == "parent"]
    against = [each for each in others if each.role == "control"]
    order = [
        child,
        base.found.checkpoint,
        *parents,
        *(each.found.checkpoint for each in mine),
        *controls,
        *(each.found.checkpoint for each in against),
    ]
    names = distinct_names(order)
    called = [replace(each, name=name) for each, name in zip(order, names, strict=True)]
    middle = 2 + len(parents) + len(mine)
    spots = [1, *range(2 + len(parents), middle), *range(middle + len(controls), len(order))]
    for each, at in zip((base, *mine, *against), spots, strict=True):
        each.name = names[at]
    return Proposal(
        called[0],
        called[1],
        tuple(called[2:middle]),
        tuple(called[middle:]),
        (base, *mine, *against),
        0 if found is None else found.searched,
        shelf.digest,
        str(shelf.folder),
        tuple(left),
    )


def _nothing(
    child: Checkpoint,
    shelf: Library,
    found: Found | None,
    origins: Sequence[Origin],
    left: Sequence[str],
) -> str:
    """Return what is said where nothing is proposed, and what can be done."""
    if found is None:
        said = f"the library {shelf.folder} is empty or not there"
    elif len(found.relatives):
        said = f"of the relatives in the library {shelf.folder}, none can be traced"
    elif found.searched == 1:
        said = f"the one sketch in the library {shelf.folder} is no relative"
    else:
        said = f"of {found.searched:,} sketches in the library {shelf.folder}, none is a relative"
    claimed = "its files claim nothing" if not origins else "what its files claim is not at hand"
    told = "".join(f" ({each.rstrip('.')})" for each in left[:4])
    return printable(
        f"no base is given for {child.name}, and nothing proposes one: {said}, and "
        f"{claimed}{told}. Name one with --base; or add what it may be made of to a library with "
        "parentage library add; or see with parentage compare what two checkpoints are to each "
        "other"
    )
