"""Numbers by row or column of a tensor, for methods that treat each as a vector of its own.

They are functions of inner products of whole vectors, so all of a tensor has to be read for them:
this is done for models of up to :data:`MOST_ELEMENTS` elements, and on one tensor first.
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
"""Least elements of the tensor that is read first."""

SEEN = 0.5
"""Least share of that tensor's elements that a method has to reproduce to be tried on all."""

ROWS, COLUMNS = -1, 0
"""The axis along which vectors lie."""


def length(slice_: Slice, axis: int) -> int:
    """Return how many elements a vector of a slice has; a tensor of one axis is one vector."""
    if len(slice_.shape) < 2:
        return slice_.elements
    return slice_.shape[axis]


def vectors(slice_: Slice, values: Floats, axis: int) -> Floats:
    """Return a slice's elements (elements, columns) by vector: (vectors, length, columns)."""
    columns = values.shape[1]
    if len(slice_.shape) < 2:
        return values[None]
    whole = values.reshape(*slice_.shape, columns)
    if axis == COLUMNS:
        whole = np.swapaxes(whole, 0, len(slice_.shape) - 1)
    return np.ascontiguousarray(whole.reshape(-1, slice_.shape[axis], columns))


def products(slice_: Slice, values: Floats, axis: int) -> Floats:
    """Return (vectors, columns, columns) inner products of elements (elements, columns)."""
    v = vectors(slice_, values, axis)
    gram: Floats = np.einsum("vnk,vnl->vkl", v, v)
    return gram


def spread(slice_: Slice, numbers: Floats, axis: int) -> tuple[Floats, Floats] | None:
    """Return (rows, 1) and (1, columns) factors whose product has each vector's number everywhere.

    ``numbers`` are (vectors,). ``None`` where there is no such pair: for columns of tensors of more
    than two axes.
    """
    if len(slice_.shape) < 2:
        return np.ones((1, 1)) * numbers[0], np.ones((1, slice_.elements))
    width = slice_.shape[-1]
    if axis == ROWS:
        return numbers[:, None], np.ones((1, width))
    if len(slice_.shape) > 2:
        return None
    return np.ones((slice_.shape[0], 1)), numbers[None, :]


def telling(estimates: SampleEstimates) -> int | None:
    """Return the slice that is read first, the smallest matrix that is large enough, if any."""
    matrices = [
        (slice_.elements, i)
        for i, slice_ in enumerate(estimates.slices)
        if is_replayed(slice_) and len(slice_.shape) == 2 and slice_.elements >= TELLING
    ]
    return min(matrices)[1] if matrices else None


def worth_it(estimates: SampleEstimates) -> bool:
    """Return whether vectors may be read: no blend explains the child, and it is not too large."""
    total = sum(slice_.elements for slice_ in estimates.slices)
    return (
        estimates.constant.share < FLOAT32_LEAST_SHARE
        and total <= MOST_ELEMENTS
        and telling(estimates) is not None
    )


def admitted(estimates: SampleEstimates, child: Floats, predicted: Floats) -> float:
    """Return the share of elements of the child whose rounding cell holds the predicted value."""
    below, above = estimates.cells_of(child)
    good = (predicted >= child - below) & (predicted <= child + above)
    return float(good.mean())


def by_slice(
    estimates: SampleEstimates,
    columns: Sequence[int],
    number: Callable[[Slice, Floats], Floats],
    axis: int,
) -> Iterator[tuple[str, tuple[Floats, Floats]]]:
    """Yield the name of every slice, and the factors (see :func:`spread`) of its vectors' numbers.

    ``number`` computes (vectors,) numbers of a slice and its elements (elements, columns + 1), the
    child's last.
    """
    for i, slice_ in enumerate(estimates.slices):
        if not is_replayed(slice_):
            continue
        factors = spread(slice_, number(slice_, estimates.whole(i, columns)), axis)
        if factors is not None:
            yield slice_.name, factors
