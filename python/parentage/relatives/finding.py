"""Finds the relatives of a checkpoint in a library, and what of them explains it best."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage.checkpoint import Checkpoint
from parentage.library import sketch_of, sketched, write_sketch
from parentage.relatives.degrees import Degrees
from parentage.relatives.found import RELATIVES, Found
from parentage.relatives.lookup import look
from parentage.relatives.subsets import best_blend, derived, meeting, same_numbers
from parentage.relatives.tree import tree
from parentage.relatives.values import values_of
from parentage.stream import SILENT
from parentage.support import CheckpointError, ReadError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from parentage.library import Library
    from parentage.relatives.lookup import Look
    from parentage.relatives.subsets import Blend, Meeting
    from parentage.relatives.values import Values
    from parentage.stream import Options, Progress
    from parentage.support import Floats

CONTROLS = 2
"""Relatives that are offered to a trace as controls."""

PARENTS = 4
"""Candidates that are offered to it as parents, at most."""

SIZE = 1 << 20
"""Bytes of a sketch of the child, where that is none."""


@dataclass(frozen=True)
class Candidates:
    """What is offered to a trace, as sketches."""

    child: Checkpoint
    """A sketch of it."""
    base: Checkpoint
    parents: tuple[Checkpoint, ...]
    controls: tuple[Checkpoint, ...]
    tree: Callable[[Mapping[str, bool]], pl.DataFrame]
    """The tree, by those of whom a test decided whether they were before the child."""


def find(
    opened: Checkpoint,
    shelf: Library,
    scratch: Path,
    options: Options,
    *,
    without: Sequence[str] = (),
    degrees: Degrees | None = None,
    progress: Progress = SILENT,
) -> tuple[Found, Candidates | None]:
    """Return the relatives of a checkpoint in a library, and what of them a trace would be given.

    Parameters
    ----------
    opened
        A checkpoint, of which no more is read than a sketch holds, or a sketch.
    shelf
        The library.
    scratch
        A folder for a sketch of the child, which candidates are read beside: it has to be there as
        long as they are.
    options
        How runs are read.
    without
        Names of sketches that are passed over.
    degrees
        What is a relative.
    progress
        Told of stages.

    Raises
    ------
    ParentageError
        If the child is damaged, or the library can not be read.
    """
    said, mine = sketch_of(opened), opened
    if said is None:
        progress.stage("sketching the child")
        made = scratch / "child.sketch.safetensors"
        # Rows and columns are those of whole matrices, which are not fetched for a proposal.
        is_near = not opened.is_remote
        write_sketch(made, *sketched(opened, SIZE, options, runs_only=True, measure=is_near))
        mine = Checkpoint.open(made, opened.name)
        said = sketch_of(mine)
        assert said is not None, "a sketch was written"
    progress.stage("looking through the library")
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
    values = values_of(mine, others, options)
    if values is None:
        return replace(found, remarks=tuple(remarks)), None
    return _explained(opened, mine, replace(found, remarks=tuple(remarks)), seen, values)


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
class _Offer:
    """What is offered to a trace, as positions among the relatives."""

    base: int
    parents: tuple[int, ...]
    controls: tuple[int, ...]


def _explained(
    opened: Checkpoint, mine: Checkpoint, found: Found, seen: Look, values: Values
) -> tuple[Found, Candidates]:
    """Return what is found, with the blend, the base and the tree; and what is offered."""
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
        command=_command(opened, called, offer),
    )
    kept = [values.kept[at] for at in ones]
    # A sketch of the child itself may have its name.
    mark = opened.name if opened.name not in called else f"{opened.name} (the child)"
    drawn = partial(tree, [*called, mark], gram, length)
    candidates = Candidates(
        mine,
        kept[offer.base],
        tuple(kept[at] for at in offer.parents),
        tuple(kept[at] for at in offer.controls),
        drawn,
    )
    return replace(found, tree=drawn({})), candidates


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


def _command(opened: Checkpoint, names: Sequence[str], offer: _Offer) -> str:
    """Return a command that would decide, with names of sketches in place of paths."""
    words = ["parentage", "trace", opened.where, "--base", names[offer.base]]
    for at in offer.parents:
        words += ["--parent", names[at]]
    for at in offer.controls:
        words += ["--control", names[at]]
    return " ".join(shlex.quote(printable(each)) for each in words)
