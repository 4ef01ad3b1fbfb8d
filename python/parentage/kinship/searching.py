"""Who in a library are the relatives of a checkpoint, which is the base, what explains it best."""

from __future__ import annotations

import json
import math
import shlex
import tempfile
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage import _core
from parentage.checkpoint import Checkpoint, Inputs, as_checkpoint, half_cells
from parentage.kinship.degrees import Degrees
from parentage.kinship.lookup import look
from parentage.kinship.subsets import best_blend, derived, meeting, same_numbers
from parentage.kinship.tree import TREE, mermaid, tree
from parentage.library import Library, seen_alike, sketch_of, sketched, write_sketch
from parentage.pipeline import trace
from parentage.stream import SILENT, Options, choose_io
from parentage.support import CheckpointError, PlanError, ReadError, listed, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import Any

    from numpy.typing import NDArray

    from parentage.checkpoint import Given
    from parentage.evidence import Trace
    from parentage.kinship.lookup import Look
    from parentage.kinship.subsets import Blend, Meeting
    from parentage.library import Sketch
    from parentage.stream import Progress
    from parentage.support import Floats

SCHEMA = "parentage.search/1"

CONTROLS = 2
"""Relatives that are offered to a trace as controls."""

PARENTS = 4
"""Candidates that are offered to it as parents, at most."""

SURE = ("identical", "re-encoded", "merge")
"""Verdicts by which a search is sure, where bits of all that is held were reproduced. A library is
never known to be complete: what is nearest in it need not be what a fine-tune began with, unless
lines meet there and nowhere else."""

RELATIVES = {
    "rank": pl.Int64,
    "name": pl.String,
    "relation": pl.String,
    "cosine": pl.Float64,
    "distance": pl.Float64,
    "weight": pl.Float64,
    "same_as": pl.String,
    "elements": pl.Int64,
}
"""Columns of the table of relatives."""


@dataclass(frozen=True)
class Found:
    """What a search found. Nothing in it says who came first, but what :attr:`trace` decides."""

    child: str
    library: str
    searched: int
    """Sketches in the library."""
    comparable: int
    """Those with enough in common with the child for a look."""
    relatives: pl.DataFrame
    """One row per relative, those first that explain the child, then the base, then the nearest.

    ``cosine`` is of the weights, ``distance`` as a share of the child's length, ``weight`` in the
    blend that explains it best, and ``elements`` how many that rests on."""
    base: str | None = None
    """Where the lines between the relatives meet; ``None`` where that is not decided."""
    base_cosine: float = math.nan
    """The mean size of the cosines of the angles there, or where they are the rightest."""
    meeting: tuple[str, ...] = ()
    """Where lines may meet: several, at nearly one place, where it is not decided."""
    blend: tuple[tuple[str, float], ...] = ()
    """Of at most three relatives, the combination that explains the child best, sum one."""
    blends: tuple[str, ...] = ()
    """Relatives that are blends of two or three of the others, all but rounding: they are passed
    over where what they are blends of explains as much."""
    r2: float = 0.0
    """Share of the squared distance from the nearest relative that it explains, with weights of
    its own for each tensor."""
    floors: float = math.nan
    """What it leaves, in root mean square roundings of the child."""
    log10_p: float = 0.0
    """That chance takes off as much, for all subsets tried (Bonferroni); 0 for a single one."""
    tried: int = 0
    """Subsets that were tried."""
    proposed: tuple[str, ...] = ()
    """Sketches whose elements are not alike, and whose rows and columns have the same lengths:
    an order or a rotation leaves that. It decides nothing."""
    trace: Trace | None = None
    """The verdict from sketches, with the base and the parents found; ``None`` without relatives,
    or if it was not asked for."""
    command: str | None = None
    """What would decide it, on the checkpoints themselves."""
    tree: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TREE))
    """The shortest tree over the child and its relatives."""
    remarks: tuple[str, ...] = ()

    @property
    def is_sure(self) -> bool:
        """Whether a verdict from sketches names what the child is made of, or a copy of.

        A copy or a recipe has to give all that is held, bit for bit; a fine-tune has to be one of
        what lies where lines meet.
        """
        if self.trace is None:
            return False
        verdict, outcome = self.trace.verdict, self.trace.outcome
        if verdict.kind == "merge":
            return verdict.rule == "replayed" and outcome is not None and not outcome.mismatched
        if verdict.kind == "fine-tune":
            return self.base is not None and verdict.numbers.get("parent") == self.base
        return verdict.kind in SURE

    @property
    def parents(self) -> tuple[str, ...]:
        """What that verdict names, the base included where it is part; empty if it is not sure."""
        if self.trace is None or not self.is_sure:
            return ()
        if self.trace.recipe is not None:
            return tuple(self.trace.recipe.checkpoints)
        named = self.trace.verdict.numbers.get("parent")
        return (str(named),) if named is not None else ()

    def mermaid(self) -> str:
        """Return the tree as a Mermaid flow chart."""
        return mermaid(self.tree, self.child)

    @property
    def document(self) -> dict[str, Any]:
        """Everything, for JSON."""
        verdict = None if self.trace is None else self.trace.verdict
        return {
            "schema": SCHEMA,
            "child": self.child,
            "searched": self.searched,
            "comparable": self.comparable,
            "relatives": self.relatives.to_dicts(),
            "base": self.base,
            "base_cosine": self.base_cosine if math.isfinite(self.base_cosine) else None,
            "blend": [{"name": name, "weight": weight} for name, weight in self.blend],
            "meeting": list(self.meeting),
            "blends": list(self.blends),
            "r2": self.r2,
            "floors": self.floors if math.isfinite(self.floors) else None,
            "log10_p": self.log10_p,
            "tried": self.tried,
            "proposed": list(self.proposed),
            "verdict": None
            if verdict is None
            else {
                "kind": verdict.kind,
                "level": verdict.level,
                "rule": verdict.rule,
                "text": verdict.text,
            },
            "sure": self.is_sure,
            "parents": list(self.parents),
            "command": self.command,
            "tree": self.tree.to_dicts(),
            "remarks": list(self.remarks),
        }

    def to_json(self) -> str:
        """Return :attr:`document` as JSON text."""
        return json.dumps(self.document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def search(
    child: Given,
    library: Library | str | PathLike[str] | None = None,
    *,
    without: Sequence[str] = (),
    decide: bool = False,
    degrees: Degrees | None = None,
    threads: int | None = None,
    io: str = "auto",
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
    opened = as_checkpoint(child)
    options = Options(
        _core.threads() if threads is None else threads, None, choose_io(io, opened.disk_bytes)
    )
    with tempfile.TemporaryDirectory(prefix="parentage-") as scratch:
        said = sketch_of(opened)
        mine = opened
        if said is None:
            progress.stage("sketching the child")
            made = Path(scratch, "child.sketch.safetensors")
            write_sketch(made, *sketched(opened, SIZE, options, runs_only=True, measure=True))
            mine = Checkpoint.open(made, opened.name)
            said = sketch_of(mine)
            assert said is not None
        progress.stage("looking through the library")
        return _search(opened, mine, said, shelf, set(without), options, degrees, progress, decide)


SIZE = 1 << 20
"""Bytes of a sketch of the child, where that is none."""


def _search(
    opened: Checkpoint,
    mine: Checkpoint,
    said: Sketch,
    shelf: Library,
    without: set[str],
    options: Options,
    degrees: Degrees | None,
    progress: Progress,
    decide: bool,
) -> Found:
    index = shelf.index(["name", "file", "keys", "thumbs", "measured", "lengths"])
    index = index.filter(~pl.col("name").is_in(list(without)))
    seen = look(said, index, degrees)
    del index
    found = Found(
        opened.name,
        str(shelf.folder),
        len(seen.names),
        int((seen.common > 0).sum()),
        _only_looked_at(seen, seen.relatives.tolist()),
        proposed=tuple(seen.names[at] for at in seen.proposed.tolist()),
    )
    progress.stage("reading sketches of relatives")
    others, remarks = _opened(shelf, seen)
    values = _values(mine, others, options)
    if values is None:
        return replace(found, remarks=tuple(remarks))
    return _explained(opened, mine, found, seen, values, remarks, options, progress, decide)


def _opened(shelf: Library, seen: Look) -> tuple[list[Checkpoint], list[str]]:
    """Return the sketches that are worth reading, as far as they are still there and whole."""
    out, remarks = [], []
    for at in seen.read.tolist():
        try:
            opened = Checkpoint.open(shelf.file(seen.files[at]), seen.names[at])
            if sketch_of(opened) is not None:
                out.append(opened)
                continue
            remarks.append(f"{seen.names[at]} was passed over: it is no sketch.")
        except (CheckpointError, ReadError) as error:
            remarks.append(f"{seen.names[at]} was passed over: {error}.")
    return out, [printable(each) for each in remarks]


@dataclass(frozen=True)
class _Values:
    """Elements of matrices that the child and K others all hold."""

    columns: NDArray[np.float32]
    """(n, K + 1), the child's last; what is not finite is 0."""
    starts: NDArray[np.intp]
    """(T + 1,) where tensors begin, and the last ends."""
    floor: float
    """The energy of the child's rounding: the sum of ulp^2 / 12."""
    kept: tuple[Checkpoint, ...]

    def products(self) -> tuple[Floats, Floats, float]:
        """Return inner products of the others' differences from the child, and with the child.

        (T, K, K) by tensor, (K,) over all, and the child's squared length.
        """
        grams, inner, square = [], np.zeros(self.columns.shape[1] - 1), 0.0
        for first, last in pairwise(self.starts.tolist()):
            part = self.columns[first:last].astype(np.float64)
            child = part[:, -1]
            differences = part[:, :-1] - child[:, None]
            grams.append(differences.T @ differences)
            inner += child @ differences
            square += float(child @ child)
        return np.stack(grams), inner, square


def _values(mine: Checkpoint, others: Sequence[Checkpoint], options: Options) -> _Values | None:
    """Return what child and others all hold; ``None`` if that is nothing.

    Others take part that hold at least half of what the most alike does.
    """
    if not others:
        return None
    try:
        inputs, _ = seen_alike(Inputs(mine, others[0], tuple(others[1:]), ()), options)
    except PlanError:
        inputs = None
    kept = list(others)
    if inputs is None or 2 * len(_shared(inputs)) < len(mine.tensors):
        # Some hold little of it, and would leave little of all.
        kept = _holding(mine, others, options)
        if not kept:
            return None
        inputs, _ = seen_alike(Inputs(mine, kept[0], tuple(kept[1:]), ()), options)
    given, shared = (*inputs.others, inputs.child), _shared(inputs)
    child = [
        each
        for each in inputs.child.tensors.values()
        if each.name in shared and sum(size > 1 for size in each.shape) >= 2
    ]
    if not child:
        return None
    names = {each.name for each in child}
    columns = np.stack([_column(each, names, options) for each in given], axis=1)
    starts = np.cumsum([0, *(each.elements for each in child)])
    floor = 0.0
    for tensor, first, last in zip(child, starts[:-1], starts[1:], strict=True):
        below, above = half_cells(columns[first:last, -1].astype(np.float64), tensor.dtype)
        floor += float(((below + above) ** 2).sum()) / 12.0
    return _Values(columns, starts, floor, tuple(kept))


def _shared(inputs: Inputs) -> set[str]:
    """Return the names of the tensors that all of them hold something of."""
    given = (*inputs.others, inputs.child)
    return set.intersection(*(set(each.core.names()) for each in given))


def _holding(mine: Checkpoint, others: Sequence[Checkpoint], options: Options) -> list[Checkpoint]:
    """Return the others that hold at least half of what the first that holds anything does."""
    kept: list[Checkpoint] = []
    usual: set[str] = set()
    for each in others:
        try:
            inputs, _ = seen_alike(Inputs(mine, each, (), ()), options)
        except PlanError:
            continue
        usual = usual or _shared(inputs)
        if 2 * len(_shared(inputs) & usual) >= len(usual):
            kept.append(each)
    return kept


def _column(checkpoint: Checkpoint, names: set[str], options: Options) -> NDArray[np.float32]:
    """Return all elements of tensors of some names, in their order; what is not finite is 0."""
    tensors = [each for each in checkpoint.tensors.values() if each.name in names]
    index = np.array([[each.index] * 2 for each in tensors], dtype=np.uint64)
    counts = np.array([each.elements for each in tensors], dtype=np.uint64)
    plan = _core.Plan([checkpoint.core] * 2, counts, index, np.zeros_like(index))
    runs = options.for_runs()
    found = runs.backend.elements(plan, 0, plan.slices, threads=runs.threads, io=runs.io)
    column: NDArray[np.float32] = np.nan_to_num(found[:, 0], posinf=0.0, neginf=0.0).astype("<f4")
    return column


@dataclass(frozen=True)
class _Offer:
    """What is offered to a trace, as positions among the relatives."""

    base: int
    parents: tuple[int, ...]
    controls: tuple[int, ...]


def _explained(
    opened: Checkpoint,
    mine: Checkpoint,
    found: Found,
    seen: Look,
    values: _Values,
    remarks: list[str],
    options: Options,
    progress: Progress,
    decide: bool,
) -> Found:
    """Return what is found, with the blend, the base, the tree and a verdict."""
    names = [each.name for each in values.kept]
    grams, with_child, square = values.products()
    groups = same_numbers(grams.sum(axis=0), values.floor)
    ones = [group[0] for group in groups]
    grams = grams[:, ones][:, :, ones]
    gram = grams.sum(axis=0)
    blends = derived(grams, values.floor)
    primary = [at for at in range(len(ones)) if at not in blends]
    inner = grams[:, primary][:, :, primary]
    blend = best_blend(inner, values.floor, len(values.columns))
    if blend.is_good or not blends:
        blend = replace(blend, members=tuple(primary[at] for at in blend.members))
    else:
        blend = best_blend(grams, values.floor, len(values.columns))
    met = meeting(inner.sum(axis=0))
    if met is not None:
        met = replace(met, members=tuple(primary[at] for at in met.members))
    order = _order(gram, blend, met, blends)
    called = [names[at] for at in ones]
    weights = {called[at]: w for at, w in zip(blend.members, blend.weights, strict=True)}
    length = math.sqrt(square)
    squares = np.diagonal(gram)
    rows: list[tuple[object, ...]] = []
    for at in order:
        along = square + float(with_child[ones[at]])
        other = square + 2.0 * float(with_child[ones[at]]) + float(squares[at])
        scale = length * math.sqrt(max(other, 0.0))
        cosine = min(1.0, max(-1.0, along / scale)) if scale > 0 else 0.0
        distance = math.sqrt(max(float(squares[at]), 0.0)) / length if length else None
        for twin in groups[at]:
            like = "equal where held" if squares[at] == 0.0 else _relation(cosine)
            weight = weights.get(called[at]) if twin == ones[at] else None
            same = None if twin == ones[at] else called[at]
            rows.append(
                (
                    len(rows) + 1,
                    names[twin],
                    like,
                    cosine,
                    distance,
                    weight,
                    same,
                    len(values.columns),
                )
            )
    table = pl.DataFrame(rows, schema=RELATIVES, orient="row")
    unread = [at for at in seen.relatives.tolist() if seen.names[at] not in names]
    offer = _offer(order, blend, met)
    found = replace(
        found,
        relatives=pl.concat([table, _only_looked_at(seen, unread, len(rows))]),
        base=called[met.members[0]] if met is not None and met.is_decided else None,
        base_cosine=math.nan if met is None else met.cosine,
        blends=tuple(called[at] for at in blends),
        meeting=() if met is None else tuple(called[at] for at in met.members),
        blend=tuple(weights.items()),
        r2=blend.r2,
        floors=blend.floors,
        log10_p=blend.log10_p,
        tried=blend.tried,
        remarks=tuple(remarks),
        command=_command(opened, called, offer),
    )
    if decide:
        progress.stage("tracing from sketches")
        found = replace(
            found, trace=_traced(mine, [values.kept[at] for at in ones], offer, options)
        )
    told = {} if found.trace is None else _ancestors(found.trace)
    return replace(found, tree=tree([*called, opened.name], gram, length, told))


def _relation(cosine: float) -> str:
    return "close relatives" if cosine >= Degrees().close else "one family"


def _only_looked_at(seen: Look, rows: Sequence[int], before: int = 0) -> pl.DataFrame:
    """Return rows for relatives of which thumbnails alone were read."""
    made = [
        (
            before + rank,
            seen.names[at],
            _relation(float(seen.cosines[at])),
            float(seen.cosines[at]),
            None,
            None,
            None,
            int(seen.common[at]),
        )
        for rank, at in enumerate(rows, 1)
    ]
    return pl.DataFrame(made, schema=RELATIVES, orient="row")


def _order(gram: Floats, blend: Blend, met: Meeting | None, blends: Sequence[int]) -> list[int]:
    """Return relatives in the order of what they explain: the blend, the base, the nearest.

    Of the nearest, those come last that are blends of others: what these are made of explains as
    much.
    """
    nearest = np.argsort(np.diagonal(gram), kind="stable").tolist()
    first = list(blend.members) if blend.is_good else nearest[:1]
    nearest = [*(at for at in nearest if at not in blends), *(at for at in nearest if at in blends)]
    if met is not None:
        first += [at for at in met.members[:1] if at not in first]
    return [*first, *(at for at in nearest if at not in first)]


def _offer(order: Sequence[int], blend: Blend, met: Meeting | None) -> _Offer:
    """Return what is offered to a trace: a base, the rest of the blend, and controls.

    The base is what lies where lines meet, if that is decided or part of the blend; or else the
    lightest of the blend, as any of them will do.
    """
    members = list(blend.members) if blend.is_good else list(order[:1])
    base = members[-1]
    if met is not None and (met.is_decided or len(members) == 1 or met.members[0] in members):
        base = met.members[0]
    parents = [at for at in members if at != base]
    nearest = [at for at in order if at not in (base, *parents)]
    if not parents:
        # The nearest may be what it was made of, wherever lines meet.
        parents, nearest = nearest[:1], nearest[1:]
    return _Offer(base, tuple(parents[:PARENTS]), tuple(nearest[:CONTROLS]))


def _traced(
    mine: Checkpoint, kept: Sequence[Checkpoint], offer: _Offer, options: Options
) -> Trace | None:
    """Return the verdict from sketches; ``None`` where nothing of them can be compared."""
    try:
        return trace(
            mine,
            base=kept[offer.base],
            parents=[kept[at] for at in offer.parents],
            controls=[kept[at] for at in offer.controls],
            threads=options.threads,
        )
    except PlanError:
        return None


def _command(opened: Checkpoint, names: Sequence[str], offer: _Offer) -> str:
    """Return a command that would decide, with names of sketches in place of paths."""
    words = ["parentage", "trace", str(opened.path), "--base", names[offer.base]]
    for at in offer.parents:
        words += ["--parent", names[at]]
    for at in offer.controls:
        words += ["--control", names[at]]
    return " ".join(shlex.quote(printable(each)) for each in words)


def _ancestors(found: Trace) -> dict[str, bool]:
    """Return, by name, the checkpoints of which a test said whether they came before the child."""
    told = {"ancestor": True, "descendant": False}
    return {
        each.name: told[each.relation]
        for each in found.relations
        if each.relation in told and each.test is not None
    }


def summary(found: Found) -> str:
    """Return what a search found in a few sentences, none of which says more than was tested."""
    count = len(found.relatives)
    text = (
        f"{count:,} of {found.searched:,} sketches are relatives of {found.child}"
        if count
        else f"none of {found.searched:,} sketches is a relative of {found.child}"
    )
    text += f"; {found.comparable:,} have enough in common with it to tell."
    if found.blend and len(found.blend) > 1:
        said = [f"{weight:.3f} {name}" for name, weight in found.blend]
        text += (
            f" {listed(said)} explain {found.r2:.1%} of how it differs from the nearest, and leave "
            f"{found.floors:.2f} of its rounding: the best of {found.tried:,} subsets (log10 p of "
            f"chance {found.log10_p:.0f})."
        )
    if found.base is not None:
        text += (
            f" The lines between the relatives meet at {found.base} (the mean cosine there is "
            f"{found.base_cosine:.3f}), as they do at a base; a mean of many lies there as well."
        )
    if found.proposed:
        text += (
            f" Not alike element by element, but with rows and columns of the same lengths, as "
            f"another order or basis leaves them: {listed(found.proposed)}. That decides nothing."
        )
    return printable(text)
