"""What was done where the child is not what it is said to be: asked for only when it is told."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_replayed
from parentage.descent import weighted_median, whole_weights
from parentage.places import changes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise import SampleEstimates
    from parentage.places import Change
    from parentage.statistics import Statistics
    from parentage.support import Floats
    from parentage.verdict.outcome import Outcome

Changes = tuple[tuple[str, int, "Change"], ...]
"""Name, elements and change of slices."""

TRIED = (2, 1, 3)
"""Digits in which weights are tried that least squares give."""

OFF, NEAR = 0.03, (-1, 1, -2, 2)
"""How far least squares may be off where most of the difference is rounding to a coarse grid; and
hundredths beside it that are tried."""

MOST = 12
"""Slices that are looked at where a change is told."""


def changes_from(
    view: SampleEstimates, statistics: Statistics, outcome: Outcome | None
) -> Callable[[str | None, int], Changes]:
    """Return what tells the changes of slices from a checkpoint's, or from what a recipe gives.

    It takes the checkpoint's name, ``None`` for the recipe, and how many slices are looked at, and
    looks at those that are not equal, the largest first.
    """
    sizes, floats = _sizes(view)

    def changed(name: str | None, most: int) -> Changes:
        if name is not None:
            column = view.columns[name]
            is_other = statistics.slices.equal[:, column] != statistics.slices.n
            return _looked_at(view, is_other & floats, sizes, column, most)
        if outcome is None:
            return ()
        counts = statistics.replayed.mismatched[:, outcome.position].astype(np.int64)
        weights = _weights(view, outcome)
        if weights is None:
            return ()
        return _looked_at(view, (counts > 0) & floats, counts, weights, most)

    return cache(changed)


def changes_of_blend(view: SampleEstimates) -> Callable[[tuple[float, ...], int], Changes]:
    """Return what tells the changes of slices from a blend of candidates.

    It takes the weights of all checkpoints, the base's first, and how many slices are looked at,
    and looks at the largest.
    """
    sizes, floats = _sizes(view)

    def changed(weights: tuple[float, ...], most: int) -> Changes:
        return _looked_at(view, floats, sizes, np.array(weights), most)

    return cache(changed)


def likely_blends(
    statistics: Statistics, parents: int, count: int
) -> tuple[tuple[float, ...], ...]:
    """Return weights of all checkpoints that most slices may have up to a factor, the likely first.

    The median over slices of least squares with the base as a column of its own: what scales a
    slice scales the base's part and the parents'. In two digits, in one, in three, and of one
    parent all of two digits that are near: what was quantised is off by as much. Controls have
    none; empty where there is no fit.
    """
    free = statistics.slices.estimates.free.weights
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = free[:, 1 : 1 + parents] / (1.0 + free[:, :1])
    known = np.isfinite(shares).all(axis=1)
    if not parents or not known.any():
        return ()
    sizes = statistics.slices.used[known]
    found = np.array([weighted_median(column, sizes) for column in shares[known].T])
    tried = [np.round(found, digits) for digits in TRIED]
    if parents == 1:
        tried += [found.round(2) + step / 100.0 for step in NEAR]
    blends = [
        (round(1.0 - float(weights.sum()), 3), *weights.round(3).tolist(), *rest)
        for weights in tried
        if np.abs(weights - found).max() <= OFF
        for rest in [[0.0] * (count - 1 - parents)]
    ]
    return tuple(dict.fromkeys(blends))


def _sizes(view: SampleEstimates) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (S,) elements of each slice, and whether it holds numbers that can be changed."""
    sizes = np.array([each.elements for each in view.slices])
    return sizes, np.array([is_replayed(each) for each in view.slices])


def _looked_at(
    view: SampleEstimates,
    chosen: np.ndarray,
    size: np.ndarray,
    reference: int | Floats,
    most: int,
) -> Changes:
    """Return the changes of chosen slices (S,), those of the largest ``size`` (S,)."""
    order = [int(i) for i in np.argsort(-size, kind="stable") if chosen[i]][:most]
    if isinstance(reference, np.ndarray) and reference.ndim == 2:
        reference = reference[order]
    return tuple(changes_of(view, order, reference, most))


def _weights(view: SampleEstimates, outcome: Outcome) -> Floats | None:
    """Return the weights of whole checkpoints, base included: (columns,), or (S, columns)."""
    known = outcome.recipe.effective_weights
    if known is not None:
        return np.array([known.get(name, 0.0) for name in view.columns.names])
    if not view.columns.parents:
        return None
    return whole_weights(view.blends[-1].by_slice)


def share_of(
    changes: Sequence[tuple[str, int, Change]], *kinds: str, of: str | None = None
) -> float:
    """Return the share of the elements looked at that lie in slices changed in one of some kinds.

    Slices without a change count for nothing. With ``of``, what is told by another checkpoint's
    numbers than this one's is of no such kind.
    """
    told = [(size, change) for _, size, change in changes if change.kind != "none"]
    total = sum(size for size, _ in told)
    own = ("", of)
    found = sum(
        size
        for size, change in told
        if change.kind in kinds and (of is None or change.source in own)
    )
    return found / total if total else 0.0
