"""Changes told by rounding cells: one factor, a factor by row or column, another blend weight."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise import shortest_decimal
from parentage.places.change import Change
from parentage.places.pair import every
from parentage.support import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.places.pair import Pair
    from parentage.support import Floats

LEAST = 8
"""Least elements of a row or column that has a factor of its own, and of a slice that has one."""

ALL = 0.9
"""Share of a small slice that has to differ, for it to be scaled."""

SAMPLE = 4096
"""Elements that a factor or a weight is tried on first."""

SLACK = 1.02
"""How much wider than half a unit cells are taken: factors were applied in float32 perhaps."""

GAIN = 32
"""Least elements that another weight explains and the expected one does not."""

WIDEST = 0.02
"""Most half width of the weights that cells admit, for one to be told."""

SHARE = 0.999
"""Least share of elements whose cells admit another weight: clipping and ties leave out some."""


def interval(
    value: Floats, target: Floats, half: Floats, axis: int | None
) -> tuple[Floats, Floats]:
    """Return the factors s with \\|s value - target\\| <= half for all elements along an axis.

    From the first to the second; there is none where the first is larger.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ends = (target - half) / value, (target + half) / value
    low, high = np.minimum(*ends), np.maximum(*ends)
    nothing = value == 0.0
    if nothing.any():
        free = np.abs(target) <= half
        low = np.where(nothing, np.where(free, -np.inf, np.inf), low)
        high = np.where(nothing, np.where(free, np.inf, -np.inf), high)
    return np.max(low, axis=axis), np.min(high, axis=axis)


def signs(pair: Pair) -> Change | None:
    """Return the change of a slice of which some numbers have the other sign, no other value."""
    if not np.array_equal(np.abs(pair.child), np.abs(pair.stored)):
        return None
    if pair.count == int(np.count_nonzero(pair.stored)):
        return Change("scaled", "its sign changed", {**pair.numbers, "factor": -1.0})
    for axis, word in ((1, "rows"), (0, "columns")):
        flipped = np.atleast_1d(pair.differs.any(axis=axis))
        kept = (~pair.differs & (pair.stored != 0.0)).any(axis=axis)
        if len(flipped) > 1 and not (flipped & kept).any():
            numbers = {**pair.numbers, "flipped": float(flipped.sum()), "of": float(len(flipped))}
            pattern = f"the sign of {{flipped:count}} of its {{of:count}} {word} changed"
            return Change("scaled", pattern, numbers)
    return Change("scaled", "the sign of {share:percent} of its elements changed", pair.numbers)


def scaled(pair: Pair) -> Change | None:
    """Return the change of a slice that was multiplied by a factor, or by one a row or column."""
    # Where few differ, as by a factor near one, they may do so by chance.
    if pair.count < min(GAIN, max(LEAST, ALL * int(np.count_nonzero(pair.stored)))):
        return None
    sources = [pair.reference]
    if pair.is_blend:
        sources.append(pair.stored)
    half = SLACK / 2.0 * pair.unit
    tried = [(source, half) for source in sources]
    if pair.is_blend and not pair.near.all():
        # What was scaled may have been a unit off, by the blend's arithmetic.
        tried.append((pair.stored, 3.0 * half))
    for source, cell in tried:
        for axis in (None, 1, 0):
            found = _factors(pair, source, cell, axis)
            if found is not None:
                return found
    return _both_sides(pair)


BOTH_UNITS = 3.0
"""Units of float32 that a number may be off which was multiplied by two factors, each as the median
tells. In coarser dtypes so many units hide a change: factors are powers of two there, and exact."""

BOTH_SHARE = 0.999
"""Least share of the elements that are so near for rows and columns to have been scaled."""

BOTH_APART = 0.05
"""Least distance of a factor from one, in binades, to be one: what is nearer was moved a little."""


def _both_sides(pair: Pair) -> Change | None:
    """Return the change of a matrix of which rows and columns were multiplied by factors.

    What scales a neuron scales a row of one matrix and, the other way, a column of the next.
    """
    source, child = pair.reference, pair.child
    if min(child.shape) < LEAST:
        return None
    known = (source != 0.0) & (child != 0.0)
    if not known.any(axis=0).all() or not known.any(axis=1).all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = child / source
        logs = np.where(known, np.log2(np.abs(ratio)), np.nan)
    if not (ratio[known] > 0.0).all():
        return None
    # Seen from the row that has most numbers: the others' factors, then the columns'.
    first = int(known.sum(axis=1).argmax())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        rows = np.nanmedian(logs - logs[first], axis=1)
        columns = np.nanmedian(logs - rows[:, None], axis=0)
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return None
    middle = float(np.median(rows))
    rows, columns = rows - middle, columns + middle
    is_fine = pair.dtype in ("F32", "F64")
    if not is_fine:
        rows, columns = np.round(rows), np.round(columns)
    slack = BOTH_UNITS * pair.unit if is_fine else 0.0
    both = rows[:, None] + columns
    scales = np.exp2(both)
    near = np.abs(child - source * scales) <= slack
    plain = np.abs(child - source) <= slack
    moved = np.abs(both) >= BOTH_APART
    is_told = near.mean() >= BOTH_SHARE and moved.any() and not plain[moved & known].any()
    if not is_told:
        return None
    numbers = {**pair.numbers, "least": float(scales.min()), "most": float(scales.max())}
    pattern = "rows and columns scaled, each by one factor: by {least} at least and {most} at most"
    return Change("scaled", pattern, numbers)


def _factors(pair: Pair, source: Floats, half: Floats, axis: int | None) -> Change | None:
    """Return the change by factors: one for ``None``, for 1 of each row, for 0 of each column."""
    child = pair.child
    if axis is None:
        places = every(child.size, SAMPLE)
        low, high = interval(source.flat[places], child.flat[places], half.flat[places], None)
        if low > high:
            return None
    else:
        if child.shape[axis] < LEAST or child.shape[1 - axis] < 2:
            return None
        tried = every(child.shape[1 - axis], 16)
        part = [np.take(values, tried, axis=1 - axis) for values in (source, child, half)]
        low, high = interval(part[0], part[1], part[2], axis)
        if (low > high).any():
            return None
    low, high = interval(source, child, half, axis)
    if (low > high).any():
        return None
    if axis is None:
        if low <= 1.0 <= high:
            return None
        middle, width = float((low + high) / 2.0), float((high - low) / 2.0)
        value = shortest_decimal(middle, width)
        numbers = {**pair.numbers, "factor": value, "half_width": width}
        return Change("scaled", "scaled by {factor:exact}", numbers)
    known = np.isfinite(low) & np.isfinite(high)
    moved = known & ((low > 1.0) | (high < 1.0))
    if not moved.any():
        return None
    middles = ((low + high) / 2.0)[moved]
    word = "row" if axis == 1 else "column"
    numbers = {
        **pair.numbers,
        "factors": float(moved.sum()),
        "of": float(len(low)),
        "least": float(middles.min()),
        "most": float(middles.max()),
    }
    where = f"{{factors:count}} of its {{of:count}} {word}s"
    pattern = f"{where} scaled, each {word} by one factor, {{least}} at least and {{most}} at most"
    return Change("scaled", pattern, numbers)


def weighed(pair: Pair) -> Change | None:
    """Return the change of a slice that is a blend of two checkpoints with another weight."""
    places = every(pair.child.size, SAMPLE)
    best: tuple[float, Change] | None = None
    offered = dict(pair.others)
    if not any(np.array_equal(pair.reference, each) for each in offered.values()):
        offered = {pair.name or "what it was": pair.reference, **offered}
    for (one, a), (two, b) in combinations(offered.items(), 2):
        low, high = _weights(pair, a, b, places)
        if low > high:
            continue
        weight = (low + high) / 2.0
        # Half the width is the error: every weight in it is admitted by as many cells.
        whole = np.abs(a + weight * (b - a) - pair.child) <= SLACK / 2.0 * pair.unit
        expected = np.abs(pair.stored - pair.child) == 0.0
        gain = int(whole.sum()) - int(expected.sum())
        ends = [cast_equal(pair, a), cast_equal(pair, b)]
        width = (high - low) / 2.0
        gain = min(gain, int(whole.sum()) - max(ends))
        if width > WIDEST or whole.mean() < SHARE or gain < GAIN:
            continue
        value = shortest_decimal(weight, width)
        rest = round(1.0 - value, 12)
        numbers = {**pair.numbers, "weight": value, "rest": rest, "half_width": width}
        pattern = "what {weight:exact} {two} + {rest:exact} {one} gives"
        labels = {"one": printable(one), "two": printable(two)}
        change = Change("weight", pattern, numbers, labels)
        if best is None or width < best[0]:
            best = (width, change)
    return None if best is None else best[1]


def cast_equal(pair: Pair, other: Floats) -> int:
    """Return how many elements of the child lie within a cell of another checkpoint's."""
    return int((np.abs(other - pair.child) <= SLACK / 2.0 * pair.unit).sum())


def _weights(pair: Pair, a: Floats, b: Floats, places: NDArray[np.intp]) -> tuple[float, float]:
    """Return the weights of ``b`` that the cells of a sample admit, nearly all of them."""
    left, right, child = a.flat[places], b.flat[places], pair.child.flat[places]
    half = SLACK / 2.0 * pair.unit.flat[places]
    low, high = interval(right - left, child - left, half, None)
    if low <= high and np.isfinite(low) and np.isfinite(high):
        return float(low), float(high)
    return 1.0, 0.0
