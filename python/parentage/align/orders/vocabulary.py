"""Rows of embeddings and heads in another order: vocabularies that were cut, extended, permuted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.align.orders.lines import Lines, row_width, rows_read, spread
from parentage.align.orders.matching import NONE, exchanged, least_alike, matched, units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.align.orders.matching import Indices
    from parentage.align.orders.strange import Mates
    from parentage.checkpoint import Checkpoint
    from parentage.stream import Options
    from parentage.support import Floats

ELEMENTS = 128
"""Elements of a row that are looked at, the first."""

FEWER = 32
"""The same, of vocabularies of more than :data:`MANY` rows; these are told by equality alone."""

MANY = 1 << 16

LEAST_WIDTH = 16
"""Fewest elements of a row for it to be told from a mean by chance."""

UNITS = {"BF16": 2.0**-8, "F16": 2.0**-11, "F32": 2.0**-16}
"""Half a unit in the last place by dtype, relative; of float32, what the order of sums leaves."""

DECIDED = 0.5
"""Least share of rows that values have to decide on, for an order to be one."""

TRIED = 64
"""Rows of the child that are looked for among all, before all are."""

PROBES = 1 << 12
"""Rows that are looked at before any is looked for elsewhere."""


def is_vocabulary(each: Mates) -> bool:
    """Return whether rows of a matrix stand for words of the vocabulary."""
    place = each.place
    return (
        place.component in ("embed", "head") and place.layer is None and len(each.mine.shape) == 2
    )


def vocabulary_rows(
    child: Checkpoint, other: Checkpoint, each: Mates, options: Options
) -> Lines | None:
    """Return which rows the child's are, where it is not those of the same numbers.

    Rows that are equal in what is looked at go together, at home first; then what is clearly more
    alike than any other. Rows past those of the other that no value decides are left out.
    """
    mine, theirs, _ = each
    here, there = mine.shape[0], theirs.shape[0]
    width = min(row_width(mine), ELEMENTS if max(here, there) <= MANY else FEWER)
    common = spread(min(here, there), PROBES)
    at_home = _are_alike(
        rows_read(child, mine, common, width, options),
        rows_read(other, theirs, common, width, options),
        least_alike(width),
    )
    if here <= there and at_home.all():
        return None
    two = rows_read(other, theirs, range(there), width, options)
    # Rows of a vocabulary have much in common, which says nothing of any.
    mean = two.mean(axis=0)
    least = least_alike(width)
    if not at_home.all():
        some = rows_read(child, mine, spread(here, TRIED), width, options) - mean
        if (matched(some, two - mean, least) != NONE).mean() < DECIDED / 2:
            return None
    one = rows_read(child, mine, range(here), width, options)
    found = _equal_rows(one, two)
    # A row that was added as a copy of one of the child's is of what that is of.
    added = np.flatnonzero(found[there:] == NONE) + there
    copied = _equal_rows(one[added], one[:there])
    left = np.flatnonzero(found == NONE)
    if len(left) and not at_home.all():
        home = np.where(left < there, left, NONE)
        found[left] = matched(one[left] - mean, two - mean, least, home)
        found = exchanged(found, one - mean, two - mean)
    for row, original in zip(added.tolist(), copied.tolist(), strict=True):
        if original != NONE:
            home = original if found[original] == NONE and at_home.all() else found[original]
            found[row] = home
    sources = [None if x == NONE else x for x in found.tolist()]
    if at_home.all():
        sources[:there] = [i if x is None else x for i, x in enumerate(sources[:there])]
    while len(sources) > there and sources[-1] is None:
        sources.pop()
    end = next((i for i in range(there, len(sources)) if sources[i] is None), len(sources))
    sources = sources[:end]
    known = np.array([x is not None for x in sources])
    is_plain = all(x in (None, i) for i, x in enumerate(sources)) and len(sources) in (here, there)
    if is_plain or known.mean() < DECIDED:
        return None
    return Lines(True, tuple(sources), there)


def mean_rows(child: Checkpoint, each: Mates, options: Options) -> list[int]:
    """Return the rows that the child has more that are the mean of those that both have.

    They are that within two units in the last place, in all elements that are looked at: so new
    words begin where their embedding is not drawn at random.
    """
    mine, there = each.mine, each.theirs.shape[0]
    width = min(row_width(mine), ELEMENTS if mine.shape[0] <= MANY else FEWER)
    added = range(there, mine.shape[0])
    if not added or width < LEAST_WIDTH:
        return []
    known = rows_read(child, mine, range(there), width, options)
    mean = known.mean(axis=0)
    near = 4.0 * UNITS.get(mine.dtype, UNITS["F32"]) * np.abs(mean) + 1e-6 * known.std(axis=0)
    rows = rows_read(child, mine, added, width, options)
    is_mean = (np.abs(rows - mean) <= near).all(axis=1) & bool(mean.any())
    return [there + int(row) for row in np.flatnonzero(is_mean)]


def _are_alike(mine: Floats, theirs: Floats, least: float) -> NDArray[np.bool_]:
    """Return (R,) whether rows are alike, one by one."""
    alike = np.einsum("rn,rn->r", units(mine), units(theirs)) >= least
    return np.asarray(alike | (mine == theirs).all(axis=1), dtype=bool)


def _equal_rows(mine: Floats, theirs: Floats) -> Indices:
    """Return (M,) the row that each is equal to: its own number first, then one that is unused.

    >>> _equal_rows(np.array([[2.0], [1.0], [5.0]]), np.array([[1.0], [1.0], [2.0]])).tolist()
    [2, 1, -1]
    """
    places: dict[bytes, list[int]] = {}
    for row, values in enumerate(theirs):
        places.setdefault(values.tobytes(), []).append(row)
    out = np.full(len(mine), NONE, dtype=np.intp)
    common = min(len(mine), len(theirs))
    same = np.flatnonzero((mine[:common] == theirs[:common]).all(axis=1))
    out[same] = same
    taken = set(same.tolist())
    turns: dict[bytes, int] = {}
    for row in np.flatnonzero(out == NONE).tolist():
        key = mine[row].tobytes()
        among = places.get(key)
        if among is None:
            continue
        at = turns.get(key, 0)
        while at < len(among) and among[at] in taken:
            at += 1
        turns[key] = at
        out[row] = among[at] if at < len(among) else among[0]
        taken.add(int(out[row]))
    return out
