"""Numbers by row of a tensor, for methods that treat each row, or column, as a vector of its own.

They are functions of inner products of whole rows, so all of a tensor has to be read for them: this
is done for models of up to :data:`MOST_ELEMENTS` elements, and on one tensor first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_replayed
from parentage.hypothesise.blends import FLOAT32_LEAST_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from parentage.align import Slice
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.support import Floats

MOST_ELEMENTS = 1 << 26
"""Elements of a model up to which rows are looked at."""

TELLING = 1 << 12
"""Elements of a tensor that tells whether it is worth it, at least."""

SEEN = 0.5
"""Share of that tensor's elements that has to be admitted for rows to be tried on everything."""

ROWS, COLUMNS = -1, 0
"""The axis along which vectors lie."""


def length(each: Slice, axis: int) -> int:
    """Return how many elements a vector of a slice has; a tensor of one axis is one vector."""
    if len(each.shape) < 2:
        return each.elements
    return each.shape[axis]


def vectors(each: Slice, values: Floats, axis: int) -> Floats:
    """Return (vectors, length, columns) of elements (elements, columns)."""
    columns = values.shape[1]
    if len(each.shape) < 2:
        return values[None]
    whole = values.reshape(*each.shape, columns)
    if axis == COLUMNS:
        whole = np.swapaxes(whole, 0, len(each.shape) - 1)
    return np.ascontiguousarray(whole.reshape(-1, each.shape[axis], columns))


def products(each: Slice, values: Floats, axis: int) -> Floats:
    """Return (vectors, columns, columns) inner products."""
    v = vectors(each, values, axis)
    out: Floats = np.einsum("vnk,vnl->vkl", v, v)
    return out


def spread(each: Slice, numbers: Floats, axis: int) -> tuple[Floats, Floats] | None:
    """Return factors whose product has, at every element, the number of its vector.

    ``None`` where there is no such pair: columns of tensors of more than two axes.
    """
    if len(each.shape) < 2:
        return np.ones((1, 1)) * numbers[0], np.ones((1, each.elements))
    width = each.shape[-1]
    if axis == ROWS:
        return numbers[:, None], np.ones((1, width))
    if len(each.shape) > 2:
        return None
    return np.ones((each.shape[0], 1)), numbers[None, :]


def telling(estimates: SampleEstimates) -> int | None:
    """Return the slice that is looked at first: the smallest matrix that is large enough."""
    found = [
        (each.elements, i)
        for i, each in enumerate(estimates.slices)
        if is_replayed(each) and len(each.shape) == 2 and each.elements >= TELLING
    ]
    return min(found)[1] if found else None


def worth_it(estimates: SampleEstimates) -> bool:
    """Return whether vectors may be looked at: nothing simpler explains it, and it is not large."""
    total = sum(each.elements for each in estimates.slices)
    return (
        estimates.constant.share < FLOAT32_LEAST_SHARE
        and total <= MOST_ELEMENTS
        and telling(estimates) is not None
    )


def admitted(estimates: SampleEstimates, child: Floats, predicted: Floats) -> float:
    """Return the share of elements whose cell admits what is predicted, where anything moved."""
    below, above = estimates.cells_of(child)
    good = (predicted >= child - below) & (predicted <= child + above)
    return float(good.mean())


def by_slice(
    estimates: SampleEstimates,
    columns: Sequence[int],
    number: Callable[[Slice, Floats], Floats],
    axis: int,
) -> Iterator[tuple[str, tuple[Floats, Floats]]]:
    """Yield, for every slice, its name and the factors of numbers of its vectors.

    ``number`` makes them of a slice and its elements (elements, columns + 1), the child's last.
    """
    for i, each in enumerate(estimates.slices):
        if not is_replayed(each):
            continue
        found = spread(each, number(each, estimates.whole(i, columns)), axis)
        if found is not None:
            yield each.name, found
