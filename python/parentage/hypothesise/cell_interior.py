"""Interior-point steps: weights of several columns moved at once, to where more cells admit them.

The rounding cell of an element whose value is linear in unknown weights admits the weights between
two parallel planes, a slab. What lies in all slabs is a polytope, thin in some directions: a search
along one coordinate at a time stops on its edges, so steps here move all weights at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import half_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parentage.support import Floats

SLACK = 2.0**-23
"""One unit in the last place of a float32 at 1: products are rounded relative to the summands."""

CLOSE = 3e-3
"""How far above the largest distance the bound is, as a share of it: steps end about as far from
where the largest distance is least."""

CLOSEST, FARTHEST = 1e-6, 0.3
"""The least and the greatest such share: steps end where the least is undercut."""

STEPS = 60
"""Most Newton steps of :func:`refine_inside_cells`."""

LIMIT = 3.0
"""Half cells from the middle of its cell beyond which no rounding puts an element of a blend."""


def newton(a: Floats, b: Floats, middle: Floats, half: Floats, close: float = CLOSE) -> Floats:
    """Return a (m, r), of which every row made one Newton step towards the inside of its slabs.

    Row i is to have ``|u_j| < 1`` for all j, where ``u = (a b - middle) / half``; b is (r, n), the
    other two (m, n). The step is on the barrier ``-sum_j log(s^2 - u_j^2)`` with a bound s that is
    above the largest ``|u|`` of all rows by the share ``close``, and stays within it (Boyd and
    Vandenberghe 2004, section 11.3).
    """
    u = (a @ b - middle) / half
    bound = (1.0 + close) * float(np.abs(u).max())
    squares = u * u
    room = bound**2 - squares
    inverse = 1.0 / (room * half)
    slope = 2.0 * u * inverse
    squares += bound**2
    inverse *= inverse
    normal = weighted_products(2.0 * squares * inverse, b)
    ridge = 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(b.shape[0])
    step = -np.linalg.solve(normal + ridge, (slope @ b.T)[..., None])[..., 0]
    change = (step @ b) / half
    # The step at which one u reaches the bound it goes towards, turned round: 0 for what stays.
    nearness = (np.abs(change) * bound + change * u) / room
    with np.errstate(divide="ignore"):
        reach = 1.0 / nearness.max(axis=1)
    moved: Floats = a + np.minimum(1.0, 0.8 * reach)[:, None] * step
    return moved


def weighted_products(weights: Floats, b: Floats) -> Floats:
    """Return (m, r, r) the sums over j of ``weights[i, j] b[r, j] b[s, j]``; (m, n) and (r, n)."""
    rank = len(b)
    first, second = np.triu_indices(rank)
    # Symmetric: one matrix product of half the pairs.
    pairs = weights @ (b[first] * b[second]).T
    out = np.empty((len(weights), rank, rank))
    out[:, first, second] = pairs
    out[:, second, first] = pairs
    return out


def refine_inside_cells(
    elements: Floats, weights: Floats, axes: list[int], dtype: str
) -> tuple[Floats, NDArray[np.int64]]:
    """Return weights, those of several columns moved together to where more cells admit them.

    Parameters
    ----------
    elements
        (n, columns) base, parents, controls and child.
    weights
        (columns - 1,) those of the base (beyond what makes the sum one), parents and controls.
    axes
        The columns whose weights may move.
    dtype
        The dtype whose rounding the child has.

    Returns
    -------
    tuple
        The weights, and (2,) how many elements' cells admit those given, and those found. Where
        no more admit what was found, the weights are those given.
    """
    rows, middle, half = _slabs(elements, weights, axes, dtype)
    start = weights[axes].astype(np.float64)
    distance = _distance(rows, middle, half, start)
    before = int((distance <= 1.0).sum())
    refined = weights.copy()
    if (distance <= LIMIT).sum() < 2 * len(axes):
        return refined, np.array([before, before])
    refined[axes], after = _climb(rows, middle, half, start)
    return refined, np.array([before, after])


def _slabs(
    elements: Floats, weights: Floats, axes: list[int], dtype: str
) -> tuple[Floats, Floats, Floats]:
    """Return rows (n, axes), and the middles and half widths (n,) of what the cells admit of them.

    The cell of an element admits weights of the columns ``axes`` whose product with its row is no
    farther than the half width from the middle. Elements that are not finite are left out.
    """
    elements = np.where(np.isinf(elements), np.nan, elements)
    base, child = elements[:, 0], elements[:, -1]
    columns = np.concatenate([base[:, None], elements[:, 1:-1] - base[:, None]], axis=1)
    used = sorted({i for i, weight in enumerate(weights) if weight != 0.0} | set(axes) - {0})
    size = np.abs(base) + np.abs(elements[:, [i for i in used if i > 0]]).sum(axis=1)
    below, above = half_cells(child, dtype)
    slack = SLACK * size
    half = (below + above) / 2.0 + slack
    held = [i for i in range(len(weights)) if i not in axes]
    middle = child + (above - below) / 2.0 - base - _dot(columns[:, held], weights[held])
    rows = columns[:, axes]
    finite = np.isfinite(half) & np.isfinite(middle) & np.isfinite(rows).all(axis=1)
    return rows[finite], middle[finite], half[finite]


def _distance(rows: Floats, middle: Floats, half: Floats, weights: Floats) -> Floats:
    """Return (n,) how far weights (axes,) are from the middles of slabs, in half widths."""
    distance: Floats = np.abs(_dot(rows, weights) - middle) / half
    return distance


def _climb(rows: Floats, middle: Floats, half: Floats, start: Floats) -> tuple[Floats, int]:
    """Return the weights (axes,) of all Newton steps that most slabs hold, and how many do.

    Steps go by the slabs that are not beyond :data:`LIMIT` at first. Of weights that as many hold,
    if more than at the start, the last ones that came nearer to the middles are taken.
    """
    distance = _distance(rows, middle, half, start)
    kept = distance <= LIMIT
    slabs = np.ascontiguousarray(rows[kept].T), middle[None, kept], half[None, kept]
    before = count = int((distance <= 1.0).sum())
    best, at = start, start[None]
    close, largest = CLOSE, float(distance[kept].max(initial=0.0))
    try:
        for _ in range(STEPS):
            if close < CLOSEST or largest == 0.0:
                break
            at = newton(at, *slabs, close)
            distance = _distance(rows, middle, half, at[0])
            inside = int((distance <= 1.0).sum())
            reached = float(distance[kept].max(initial=0.0))
            if inside > count or (inside == count > before and reached < largest):
                best, count = at[0], inside
            # A step is about as long as the bound lets it be: longer ones while that is of use.
            is_short = reached > largest * (1.0 - 0.1 * close)
            close = close / 4.0 if is_short else min(2.0 * close, FARTHEST)
            largest = reached
    except np.linalg.LinAlgError:
        # Columns that are multiples of each other: what was found so far has to do.
        pass
    return best, count


def _dot(rows: Floats, weights: Floats) -> Floats:
    """Return (n,) the products of rows (n, k) with weights (k,), added up in the order of columns.

    The order of a library's matrix product depends on the machine.
    """
    total = np.zeros(len(rows))
    for i, weight in enumerate(weights):
        total += rows[:, i] * weight
    return total
