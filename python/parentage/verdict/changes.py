"""What was done where the child is not what it is said to be: asked for only when it is told."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_replayed
from parentage.hypothesise import SampleEstimates
from parentage.places import changes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from parentage.places import Change
    from parentage.statistics import Statistics
    from parentage.support import Floats
    from parentage.verdict.case import TraceInputs
    from parentage.verdict.outcome import Outcome

Changes = tuple[tuple[str, int, "Change"], ...]
"""Name, elements and change of slices."""

MOST = 12
"""Slices that are looked at where a change is told."""


def changes_from(
    case: TraceInputs, statistics: Statistics, outcome: Outcome | None
) -> Callable[[str | None, int], Changes]:
    """Return what tells the changes of slices from a checkpoint's, or from what a recipe gives.

    It takes the checkpoint's name, ``None`` for the recipe, and how many slices are looked at, and
    looks at those that are not equal, the largest first.
    """
    estimates = case.estimates or SampleEstimates(case.alignment, case.inputs.columns, case.options)
    sizes = np.array([each.elements for each in case.alignment.slices])
    floats = np.array([is_replayed(each) for each in case.alignment.slices])

    def changed(name: str | None, most: int) -> Changes:
        if name is not None:
            column = case.inputs.columns[name]
            is_other = statistics.slices.equal[:, column] != statistics.slices.n
            return _looked_at(estimates, is_other & floats, sizes, column, most)
        if outcome is None:
            return ()
        counts = statistics.replayed.mismatched[:, outcome.position].astype(np.int64)
        weights = _weights(estimates, outcome)
        if weights is None:
            return ()
        return _looked_at(estimates, (counts > 0) & floats, counts, weights, most)

    return cache(changed)


def _looked_at(
    estimates: SampleEstimates,
    chosen: np.ndarray,
    size: np.ndarray,
    reference: int | Floats,
    most: int,
) -> Changes:
    """Return the changes of chosen slices (S,), those of the largest ``size`` (S,)."""
    order = [int(i) for i in np.argsort(-size, kind="stable") if chosen[i]][:most]
    if isinstance(reference, np.ndarray) and reference.ndim == 2:
        reference = reference[order]
    return tuple(changes_of(estimates, order, reference, most))


def _weights(estimates: SampleEstimates, outcome: Outcome) -> Floats | None:
    """Return the weights of whole checkpoints, base included: (columns,), or (S, columns)."""
    known = outcome.recipe.effective_weights
    if known is not None:
        return np.array([known.get(name, 0.0) for name in estimates.columns.names])
    if not estimates.columns.parents:
        return None
    whole = estimates.blends[-1].by_slice.copy()
    whole[:, 0] = 1.0 + whole[:, 0] - whole[:, 1:].sum(axis=1)
    return whole


def share_of(changes: Sequence[tuple[str, int, Change]], *kinds: str) -> float:
    """Return the share of the elements looked at that lie in slices changed in one of some kinds.

    Slices without a change count for nothing.
    """
    told = [(size, change.kind) for _, size, change in changes if change.kind != "none"]
    total = sum(size for size, _ in told)
    return sum(size for size, kind in told if kind in kinds) / total if total else 0.0
