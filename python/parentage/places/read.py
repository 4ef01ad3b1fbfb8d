"""Slices are read whole, bounded, and what was done to each is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.places.describe import describe_change
from parentage.places.pair import every

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.hypothesise import SampleEstimates
    from parentage.places.change import Change
    from parentage.support import Floats

MOST_ELEMENTS = 1 << 20
"""Elements of a slice that are read, by whole rows."""

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
    """Return name, elements and change of slices of the child, as :func:`summarise` takes them.

    Where there are more than ``most``, those that are read are spread evenly over ``indices``, and
    the list is shorter. Of a large slice the first rows are read, and the phrase says so.

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
        row = max(int(np.prod(each.shape[1:])), 1) if len(each.shape) > 1 else 1
        # A slice of one row is read from its beginning as well.
        count = max(min(each.elements, MOST_ELEMENTS) // row, 1) * row
        values = estimates.whole(index, tuple(range(len(names))), count)
        columns = [np.ascontiguousarray(values[:, i]) for i in range(len(names))]
        child = np.ascontiguousarray(values[:, -1])
        if isinstance(reference, int):
            expected, name = columns[reference], names[reference]
            others = {k: v for k, v in zip(names, columns, strict=True) if k != name}
        else:
            weights = reference if reference.ndim == 1 else reference[int(place)]
            used = [i for i in range(len(names)) if weights[i] != 0.0]
            terms = [weights[i] * columns[i] for i in used]
            expected = np.sum(terms, axis=0)
            # What float64 leaves of terms that cancel is nothing.
            least = CANCELLED * np.max(np.abs(terms), axis=0)
            expected = np.where(np.abs(expected) <= least, 0.0, expected)
            others = dict(zip(names, columns, strict=True))
        shape = each.shape if len(each.shape) > 1 else (count,)
        change = describe_change(child, expected, others, shape, each.dtype)
        if count < each.elements:
            labels = {**change.labels, "part": f", in its first {count:,} elements"}
            change = replace(change, pattern=f"{change.pattern}{{part}}", labels=labels)
        found.append((each.name, each.elements, change))
    return found
