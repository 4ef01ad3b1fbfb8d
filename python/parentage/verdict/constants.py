"""Constants: tensors that are computed, not learned, and prove no kinship and no mismatch.

They are recognised by their values. All checkpoints of one architecture hold the same ones, be they
relatives or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import digits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.align import Alignment
    from parentage.statistics import Statistics
    from parentage.stream import Options
    from parentage.support import Floats

MOST_SLICES = 512
"""Slices that are looked at: those that are equal in all checkpoints."""

MOST_ELEMENTS = 1 << 16
"""Elements that are looked at of each."""

MOST_IN_ALL = 1 << 23
"""Elements that are looked at in all."""

LEAST_ROWS = 8
"""Rows and values from which on a rule about a sequence says something."""


def constant_elements(alignment: Alignment, statistics: Statistics, options: Options) -> int:
    """Return elements of slices that are equal in all checkpoints, and of computed form.

    Only the first elements of large ones are looked at, and only so many slices.
    """
    table = statistics.slices
    equal = np.flatnonzero((table.equal == table.n[:, None]).all(axis=1) & (table.n > 0))
    found = looked = 0
    for index in equal[:MOST_SLICES].tolist():
        each = alignment.slices[index]
        count = min(each.elements, MOST_ELEMENTS)
        if looked + count > MOST_IN_ALL:
            break
        looked += count
        if is_computed(alignment, index, options):
            found += each.elements
    return found


def is_computed(alignment: Alignment, index: int, options: Options) -> bool:
    """Return whether the child's slice of a number is of computed form, by its first elements."""
    each = alignment.slices[index]
    plan = alignment.part(
        np.array([index], dtype=np.intp),
        counts=np.array([min(each.elements, MOST_ELEMENTS)], dtype=np.uint64),
        columns=(0, len(alignment.checkpoints) - 1),
    )
    values = options.backend.elements(plan, 0, 1, threads=1, io=options.io)[:, -1]
    return is_constant(values, each.shape, each.dtype)


def is_constant(values: Floats, shape: Sequence[int], dtype: str) -> bool:
    """Return whether (n,) values, the first of a tensor of ``shape``, are of computed form.

    All equal; zeros and one other value; a sequence in equal steps or of equal ratios; a smooth
    schedule; sines and cosines; a windowed Fourier basis; triangular filters.

    >>> is_constant(10000.0 ** -(np.arange(32) / 32), (32,), "F32")
    True
    >>> is_constant(np.random.default_rng(1).normal(1, 0.1, 64), (64,), "F32")
    False
    """
    if not len(values) or not np.isfinite(values).all():
        return False
    if len(np.unique(values)) == 1:
        return True
    digits = digits_of(dtype)
    unit = 2.0 ** -(52 if digits is None else digits)
    if len(np.unique(values)) == 2 and (values == 0.0).any():
        # A mask has runs; of weights that are pruned to one value there are none known.
        return True
    width = int(shape[-1]) if shape else 1
    rows = values[: len(values) // width * width].reshape(-1, width)
    if len(rows) and (rows == rows[0]).all():
        # Position ids have one row, or the same one again and again.
        rows = rows[:1]
    if len(rows) == 1 or width == 1:
        line = rows.reshape(-1)
        return len(line) >= LEAST_ROWS and (
            _is_even(line, unit) or _is_geometric(line, unit) or _is_smooth(line, unit)
        )
    return _is_sinusoid(rows, unit) or _is_fourier(rows) or _is_filters(rows)


def _is_even(line: Floats, unit: float) -> bool:
    """Return whether values go in equal steps, but for their rounding."""
    made = np.linspace(line[0], line[-1], len(line))
    return bool(np.all(np.abs(line - made) <= 2.0 * unit * np.abs(line).max()))


def _is_geometric(line: Floats, unit: float) -> bool:
    """Return whether values have one ratio each to the next, but for their rounding."""
    if (line <= 0.0).any():
        return False
    log = np.log(line)
    made = np.linspace(log[0], log[-1], len(log))
    return bool(np.all(np.abs(log - made) <= 4.0 * unit + 1e-6))


def _is_smooth(line: Floats, unit: float) -> bool:
    """Return whether values rise or fall all the way, with steps that change little."""
    steps = np.diff(line)
    if len(line) < 4 * LEAST_ROWS or not ((steps >= 0.0).all() or (steps <= 0.0).all()):
        return False
    bend = np.abs(np.diff(steps))
    slack = 4.0 * unit * np.abs(line).max()
    return bool(np.all(bend <= 0.1 * np.abs(steps).max() + slack))


def _is_sinusoid(rows: Floats, unit: float) -> bool:
    """Return whether each column is a sine in the number of the row, of a frequency of its own."""
    if len(rows) < LEAST_ROWS or np.abs(rows).max() > 1.0 + 2.0 * unit:
        return False
    middle, sides = rows[1:-1], rows[2:] + rows[:-2]
    energy = (middle**2).sum(axis=0)
    turn = np.divide(
        (middle * sides).sum(axis=0), energy, out=np.zeros(rows.shape[1]), where=energy > 0
    )
    left = np.abs(sides - turn * middle).max(axis=0)
    return bool(np.all(left <= 16.0 * unit + 1e-5)) and bool(np.ptp(rows) > 0.5)


def _is_fourier(rows: Floats) -> bool:
    """Return whether each row is a sine or cosine under a window: a few bins of its spectrum."""
    if rows.shape[1] < 8 * LEAST_ROWS:
        return False
    # A mean is no wave.
    spectrum = np.abs(np.fft.rfft(rows, axis=1)[:, 1:]) ** 2
    total = spectrum.sum(axis=1)
    waves = total > 1e-6 * total.max()
    largest = np.sort(spectrum, axis=1)[:, -3:].sum(axis=1)
    return bool(waves.mean() >= 0.5 and np.all(largest[waves] >= 0.999 * total[waves]))


def _is_filters(rows: Floats) -> bool:
    """Return whether each row is zero but for one hump: mel filters."""
    if (rows < 0.0).any() or (rows == 0.0).mean() < 0.5:
        return False
    for row in rows:
        places = np.flatnonzero(row)
        if not len(places):
            continue
        hump = row[places[0] : places[-1] + 1]
        top = int(hump.argmax())
        rises = (np.diff(hump[: top + 1]) >= 0.0).all()
        falls = (np.diff(hump[top:]) <= 0.0).all()
        if not (hump > 0.0).all() or not rises or not falls:
            return False
    return True
