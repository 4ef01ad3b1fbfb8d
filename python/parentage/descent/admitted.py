"""Blends that most rounding cells of a checkpoint admit, one weight for all elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.statistics import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.descent.points import Points
    from parentage.support import Floats

NEGLIGIBLE = 2e-3
"""Weights below this are left out of a blend by way of trial."""

ROUNDS = 6
"""Most rounds in which each weight in turn goes where most cells admit it."""


def most_admitting(
    points: Points, target: int, others: list[int], rows: NDArray[np.bool_] | None = None
) -> tuple[float, Floats]:
    """Return the share of a checkpoint that one blend of others gives, and its weights (others,).

    The search starts from least squares; each weight in turn goes where most cells admit it. What
    then weighs next to nothing is left out.
    """
    rows = np.ones(len(points.values), dtype=bool) if rows is None else rows
    stored, cells = points.values[rows][:, target], points.cells(target, rows)
    used = list(range(len(others)))
    while True:
        columns = points.values[rows][:, [others[i] for i in used]]
        share, found = _climb(columns, stored, cells)
        idle = [i for i, weight in zip(used, found, strict=True) if abs(weight) < NEGLIGIBLE]
        if not idle or len(used) - len(idle) < 1:
            break
        used = [i for i in used if i not in idle]
    weights = np.zeros(len(others))
    weights[used] = found
    return share, weights


def _climb(columns: Floats, stored: Floats, cells: tuple[Floats, Floats]) -> tuple[float, Floats]:
    """Return the share of cells that admit the best blend of columns (n, k), and its weights (k,).

    ``stored`` (n,) are the values whose cells reach down and up by ``cells``. Weights sum to one.
    """
    origin = columns[:, 0]
    moves, target = columns[:, 1:] - origin[:, None], stored - origin
    weights = _least_squares(moves, target) if moves.shape[1] else np.zeros(0)
    best = 0
    for _ in range(ROUNDS):
        before = best
        for i in range(len(weights)):
            rest = target - summed(np.delete(moves, i, axis=1), _rest(weights, i, len(moves)))
            weights[i], best = most_admitted(moves[:, i], rest - cells[0], rest + cells[1])
        if best <= before:
            break
    share = best / max(len(stored), 1)
    if not len(weights):
        share = float(((target >= -cells[0]) & (target <= cells[1])).mean()) if len(target) else 0.0
    return share, np.concatenate([[1.0 - weights.sum()], weights])


def _rest(weights: Floats, left_out: int, count: int) -> Floats:
    """Return (count, k - 1) all weights but one, the same in every row."""
    return np.tile(np.delete(weights, left_out), (count, 1))


def _least_squares(moves: Floats, target: Floats) -> Floats:
    """Return (k,) weights of (n, k) columns, 0 of those that can not be told from others."""
    columns = np.concatenate([np.zeros((len(target), 1)), moves, target[:, None]], axis=1)
    count = columns.shape[1]
    gram = np.zeros((1, count, count))
    for i in range(count):
        for j in range(count):
            gram[0, i, j] = float((columns[:, i] * columns[:, j]).sum())
    weights: Floats = np.nan_to_num(fit(gram, list(range(1, count - 1))).weights[0])
    return weights


def most_admitted(moves: Floats, low: Floats, high: Floats) -> tuple[float, int]:
    """Return the factor for which the most of ``factor * moves`` lie from ``low`` to ``high``.

    All are (n,). With it comes for how many; what does not move is admitted by all or by none.

    >>> moves, low, high = np.array([[1.0, 2.0, 0.0], [1.0, 2.2, -1.0], [3.0, 4.0, 1.0]])
    >>> most_admitted(moves, low, high)
    (1.55, 3)
    """
    fixed = moves == 0.0
    held = int(((low <= 0.0) & (high >= 0.0))[fixed].sum())
    if fixed.all():
        return 0.0, held
    with np.errstate(over="ignore"):
        one, other = low[~fixed] / moves[~fixed], high[~fixed] / moves[~fixed]
    first, last = np.sort(np.minimum(one, other)), np.sort(np.maximum(one, other))
    # At each beginning of an interval: those that have begun, less those that ended before it.
    open_ = np.arange(1, len(first) + 1) - np.searchsorted(last, first, side="left")
    place = int(open_.argmax())
    end = last[np.searchsorted(last, first[place], side="left")]
    following = first[place + 1] if place + 1 < len(first) else end
    middle = float((first[place] + min(end, following)) / 2.0)
    # What moves next to nothing admits factors beyond all numbers.
    return middle if np.isfinite(middle) else 0.0, held + int(open_[place])


def summed(values: Floats, weights: Floats) -> Floats:
    """Return (n,) sums of products, added up in the order of columns."""
    total = np.zeros(len(values))
    for i in range(values.shape[1]):
        total += values[:, i] * weights[:, i]
    return total
