"""Matrices that are not, row by row, what their names say: looked at in a few rows."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parentage.align.layouts.by_layer import counterpart
from parentage.align.layouts.by_name import is_readable
from parentage.align.orders.lines import row_width, spread
from parentage.align.orders.matching import LEAST_LIKE, units
from parentage.align.orders.reading import pairs_of_runs
from parentage.checkpoint import places_of

if TYPE_CHECKING:
    from collections.abc import Set

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.checkpoint import Checkpoint, Place, Tensor
    from parentage.stream import Options

ELEMENTS = 64
"""Elements of a row that are looked at, the first."""

MANY = 1 << 12

LEAST_WIDTH = 16
"""Fewest elements of a row for its likeness to mean anything."""

ROWS = 1 << 12
"""Rows of a matrix that are looked at, at most, and of all matrices together :data:`MOST_ROWS`."""

FEWEST_ROWS = 2

FAR_MATES = 8
"""Matrices of which a run is looked at, at most, of checkpoints that are fetched."""

FAR_RUN = 1 << 12
"""Elements of it."""

MOST_ROWS = 1 << 14

AT_ONCE = 1 << 15
"""Rows of each checkpoint that are read at once."""


class Mates(NamedTuple):
    """A matrix of the child and the one of a checkpoint that its name says, in its layer there."""

    mine: Tensor
    theirs: Tensor
    place: Place


def mates_of(
    child: Checkpoint, other: Checkpoint, layers: LayerMap, experts: Set[str] = frozenset()
) -> list[Mates]:
    """Return matrices of the child with those that they are compared with, of the same width.

    Rows may differ in their number. What two layers are compared with is listed once. Of more than
    :data:`MANY` tensors of experts, only ``experts`` are looked at: values have told the others.
    """
    out: list[Mates] = []
    done: set[int] = set()
    placed = list(zip(child.tensors.values(), places_of(child.core), strict=True))
    is_many = sum(place.expert is not None for _, place in placed) > MANY
    for tensor, place in placed:
        is_told = place.expert is not None and is_many and tensor.name not in experts
        if is_told or (place.component == "experts" and len(tensor.shape) > 2):
            continue
        if len(tensor.shape) < 2 or not tensor.elements or not is_readable(tensor, child):
            continue
        found = counterpart(tensor.name, other, layers)
        if (
            found is None
            or found.shape[1:] != tensor.shape[1:]
            or not found.elements
            or found.index in done
            or not is_readable(found, other)
        ):
            continue
        done.add(found.index)
        out.append(Mates(tensor, found, place))
    return out


def is_in_place(child: Checkpoint, other: Checkpoint, layers: LayerMap, options: Options) -> bool:
    """Return whether a few matrices are alike in place, as far as a run of each tells.

    It is what is looked at first of checkpoints that are fetched: a request for each row of each
    matrix would be more than all else.
    """
    mates = [
        each
        for each in mates_of(child, other, layers, frozenset(child.core.names()))
        if min(each.mine.elements, each.theirs.elements) >= FAR_RUN
        and each.place.component != "router"
    ]
    if not mates:
        return False
    few = mates[:: -(-len(mates) // FAR_MATES)]
    alike = 0
    for mine, theirs, _ in few:
        width = row_width(mine)
        row = min(mine.shape[0], theirs.shape[0]) // 2
        first = min(row * width, mine.elements - FAR_RUN, theirs.elements - FAR_RUN)
        # Rows of those that have another number of them are compared with the same ones.
        first -= first % width
        found = pairs_of_runs(
            (child, other), ([(mine.index, first)], [(theirs.index, first)]), FAR_RUN, options
        )
        one, two = map(units, found)
        alike += bool(np.einsum("rn,rn->r", one, two)[0] >= LEAST_LIKE)
    return alike == len(few)


def strange_rows(
    child: Checkpoint, other: Checkpoint, mates: list[Mates], options: Options
) -> list[float]:
    """Return by pair of matrices the share of rows looked at that are not alike in place.

    It is NaN where rows are too short to tell.
    """
    most = max(min(ROWS, MOST_ROWS // max(len(mates), 1)), FEWEST_ROWS)
    by_width: dict[int, list[int]] = defaultdict(list)
    for at, pair in enumerate(mates):
        width = min(row_width(pair.mine), ELEMENTS)
        if width >= LEAST_WIDTH:
            by_width[width].append(at)
    out = [float("nan")] * len(mates)
    for width, chosen in by_width.items():
        for begin in range(0, len(chosen), AT_ONCE // most):
            some = chosen[begin : begin + AT_ONCE // most]
            places: tuple[list[tuple[int, int]], list[tuple[int, int]]] = [], []
            ends = []
            for at in some:
                mine, theirs, _ = mates[at]
                for row in spread(min(mine.shape[0], theirs.shape[0]), most):
                    first = row * row_width(mine)
                    places[0].append((mine.index, first))
                    places[1].append((theirs.index, first))
                ends.append(len(places[0]))
            one, two = map(units, pairs_of_runs((child, other), places, width, options))
            strange = np.einsum("rn,rn->r", one, two) < LEAST_LIKE
            strange &= one.any(axis=1) | two.any(axis=1)
            for at, rows in zip(some, np.split(strange, ends[:-1]), strict=True):
                out[at] = float(rows.mean())
    return out
