"""Slices are read whole, bounded, and what was done to each is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.places.describe import describe_change
from parentage.places.names import compress
from parentage.places.pair import every
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.hypothesise import SampleEstimates
    from parentage.places.change import Change
    from parentage.support import Floats

MOST_ELEMENTS = 1 << 20
"""Elements of a slice that are read, by whole rows."""

BAND, BANDS = 256, 8
"""Rows that are read together, at least, where not all are; and how many times, about."""

HEAD = 64
"""Elements that a slice which may lie elsewhere is looked for by, before it is read whole."""

LOOKED_THROUGH = 2048
"""Slices of its shape that are looked through, the nearest first."""

CANCELLED = 2.0**-48
"""Most that is left, as a share of the terms, where they cancel."""

MOST_SLICES = 24
"""Slices that are read; of more, as many that are spread evenly."""


def changes_of(
    estimates: SampleEstimates,
    indices: Sequence[int],
    reference: int | Floats,
    most: int = MOST_SLICES,
) -> list[tuple[str, int, Change]]:
    """Return name, elements and change of slices of the child.

    That is what :func:`parentage.places.summarise` takes.

    Where there are more than ``most``, those that are read are spread evenly over ``indices``, and
    the list is shorter. Of a large slice rows that are spread
    evenly are read, and the phrase says so.

    Parameters
    ----------
    estimates
        What a sample shows; it reads slices whole.
    indices
        Which of its slices are looked at.
    reference
        The column of one checkpoint, of which the slices were a copy; or weights of all
        checkpoints, base included: (columns,), or (len(indices), columns), a row a slice.
    """
    names = estimates.columns.names
    found = []
    for place in every(len(indices), most):
        index = int(indices[int(place)])
        each = estimates.slices[index]
        is_vector = len(each.shape) < 2
        row = 1 if is_vector else max(int(np.prod(each.shape[1:])), 1)
        bands = _bands(each.elements // row, max(MOST_ELEMENTS // row, 1))
        parts = [
            estimates.whole(index, tuple(range(len(names))), len(band) * row, band.start * row)
            for band in bands
        ]
        values = np.concatenate(parts) if len(parts) > 1 else parts[0]
        count = len(values)
        columns = [np.ascontiguousarray(values[:, i]) for i in range(len(names))]
        child = np.ascontiguousarray(values[:, -1])
        if isinstance(reference, int):
            expected, name = columns[reference], names[reference]
            others = {k: v for k, v in zip(names, columns, strict=True) if k != name}
        else:
            weights = reference if reference.ndim == 1 else reference[int(place)]
            used = [i for i in range(len(names)) if weights[i] != 0.0]
            terms = [weights[i] * columns[i] for i in used]
            terms = terms or [np.zeros(count)]
            expected = np.sum(terms, axis=0)
            # What float64 leaves of terms that cancel is nothing.
            least = CANCELLED * np.max(np.abs(terms), axis=0)
            expected = np.where(np.abs(expected) <= least, 0.0, expected)
            others, name = dict(zip(names, columns, strict=True)), ""
        shape = (count,) if is_vector else each.shape
        numbers = [np.arange(band.start, band.stop) for band in bands]
        rows = None if is_vector else np.concatenate(numbers)
        change = describe_change(child, expected, others, shape, each.dtype, name, rows)
        if change.kind == "foreign":
            change = _elsewhere(estimates, index, child[:count], change)
        if count < each.elements:
            of_all = {**change.numbers, "whole": float(each.elements)}
            pattern = f"{change.pattern} (in {{elements:count}} of {{whole:count}} elements)"
            change = replace(change, pattern=pattern, numbers=of_all)
        found.append((each.name, each.elements, change))
    return found


def _elsewhere(estimates: SampleEstimates, index: int, child: Floats, change: Change) -> Change:
    """Return the change of a slice that is no relative of its own: where else it lies, if it does.

    Slices of its shape in every checkpoint are looked through, those that begin as it does are read
    whole.
    """
    each = estimates.slices[index]
    names = estimates.columns.names
    alike = [
        i
        for i, other in enumerate(estimates.slices)
        if i != index and other.shape == each.shape and other.dtype == each.dtype
    ]
    alike.sort(key=lambda i: abs(i - index))
    head = child[:HEAD]
    for i in alike[:LOOKED_THROUGH]:
        begun = estimates.whole(i, tuple(range(len(names))), HEAD)
        for column in np.flatnonzero((begun[:, :-1] == head[:, None]).all(axis=0)):
            if _is_same(estimates, index, i, int(column)):
                where = f" ({compress([estimates.slices[i].name])})"
                labels = {"name": printable(names[column]), "which": where}
                pattern = "no relative of its own, and bit for bit another tensor of {name}{which}"
                numbers = {k: v for k, v in change.numbers.items() if k != "size"}
                return replace(change, kind="copy", pattern=pattern, numbers=numbers, labels=labels)
    return change


def _is_same(estimates: SampleEstimates, index: int, other: int, column: int) -> bool:
    """Return whether a slice of the child is, throughout, another slice of a checkpoint."""
    total = estimates.slices[index].elements
    for first in range(0, total, MOST_ELEMENTS):
        mine = estimates.whole(index, (column,), MOST_ELEMENTS, first)[:, -1]
        theirs = estimates.whole(other, (column,), MOST_ELEMENTS, first)[:, 0]
        if not np.array_equal(mine, theirs, equal_nan=True):
            return False
    return True


def _bands(rows: int, most: int) -> list[range]:
    """Return which rows are read: all, or ``most`` in bands that are spread evenly.

    >>> _bands(10, 20), _bands(100, 8)
    ([range(0, 10)], [range(0, 8)])
    >>> _bands(10_000, 2048)[1:3]
    [range(1392, 1648), range(2784, 3040)]
    """
    if rows <= most:
        return [range(rows)]
    # Blocks of rows that share a scale stay whole, and reads are few.
    band = min(max(BAND, most // BANDS), most)
    starts = every(rows - band + 1, max(most // band, 1))
    return [range(int(start), int(start) + band) for start in starts]
