"""Asserts that what is to be timed computes what it should."""

from __future__ import annotations

import numpy as np

from parentage import _core
from parentage.bench.synthetic import linear
from parentage.stream import unpack
from parentage.support import ParentageError

TOLERANCE = 1e-8
"""Documented bound of a Gram entry's error, in units of |x_i||x_j|."""


class UnequalError(ParentageError):
    """What is to be timed does not compute what it should."""


def assert_equal(sample: _core.Plan, threads: int) -> float:
    """Compare instruction sets with each other and with float64 on a small plan.

    Returns the largest deviation of a Gram entry from float64, in units of |x_i||x_j|.

    Raises
    ------
    UnequalError
        If sets differ in a bit, or the deviation is above :data:`TOLERANCE`.
    """
    grams = _core.gram(sample, 0, sample.slices, threads=threads).gram
    for level in _core.levels():
        others = _core.gram(sample, 0, sample.slices, threads=threads, level=level).gram
        if not np.array_equal(others, grams, equal_nan=True):
            raise UnequalError(f"the Gram matrix at level {level} has other bits")
    worst = 0.0
    for index in range(sample.slices):
        columns = _core.elements(sample, index, index + 1, threads=threads)
        columns = columns[np.isfinite(columns).all(axis=1)]
        columns[:, 1:] -= columns[:, :1]
        norms = np.linalg.norm(columns, axis=0)
        scale = np.outer(norms, norms)
        error = np.abs(unpack(grams[index]).sum(axis=0) - columns.T @ columns)
        worst = max(worst, float(np.max(error[scale > 0] / scale[scale > 0], initial=0.0)))
    if worst > TOLERANCE:
        raise UnequalError(f"the Gram matrix is off by {worst:.1e} of |x_i||x_j|")
    return worst


def assert_replayed(plan: _core.Plan, dtype: str, threads: int) -> None:
    """Compare what the timed replay gives with a child that is made by it.

    Raises
    ------
    UnequalError
        If an element is not the child's, bit for bit.
    """
    replays = [linear(plan.slices, dtype)]
    counts = _core.replay_slices(plan, 0, plan.slices, replays, threads=threads)
    mismatched = int(counts.mismatched.sum())
    if mismatched:
        raise UnequalError(f"{mismatched:,} replayed elements are not the child's")
