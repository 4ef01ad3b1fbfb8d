"""What is known of descent before any recipe is looked for, and of the blends found then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.align import is_matrix
from parentage.descent.points import points_of
from parentage.descent.replays import both_ways, whole_weights
from parentage.descent.values import of_somebody, own_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from parentage.descent.points import Points
    from parentage.descent.replays import BothWays
    from parentage.descent.values import OwnValues
    from parentage.hypothesise import SampleEstimates

WHOLLY = 0.99
"""Share of a checkpoint that a blend of the child has to give for it to be made from the child. It
is 1 where it was rounded once. Of what is stored with more digits than the child much less says as
much: arithmetic in float32 that rounds more than once gives 0.6 of it."""

LEAST_WEIGHT = 0.02
"""Least weight of the child in such a blend."""

FARTHEST = 30.0
"""Values beyond so many times the median size of their slice count as that much: a few elements
must not turn the likeness of millions."""


@dataclass(frozen=True, slots=True)
class Relations:
    """What a sample shows of who is related to whom, and who came first."""

    both_ways: BothWays | None = None
    """The best blend of all candidates, and the same turned round; ``None`` without one."""
    own: Mapping[str, OwnValues] = field(default_factory=dict)
    """Per checkpoint: values that it alone has, and the share of them that the child kept."""
    likeness: Mapping[str, float] = field(default_factory=dict)
    """Per checkpoint: cosine of its weights with the child's, over matrices, far values limited."""
    of_somebody: tuple[float, float] = (0.0, 0.0)
    """Shares of sampled elements in which the child has some checkpoint's value, and another's than
    the base's."""
    descendants: tuple[str, ...] = ()
    """Checkpoints that were offered as candidates, and were made from the child."""
    remarks: tuple[str, ...] = ()
    """Sentences on checkpoints that do not play the part in which they were offered."""

    @property
    def made_from_child(self) -> tuple[str, ...]:
        """Candidates that are wholly a blend of the child and others, where the child is not."""
        both = self.both_ways
        if both is None:
            return ()
        return tuple(
            name
            for name in both.made_from_child()
            if (both.back[name] >= WHOLLY or both.finer[name] > 0)
            and abs(both.of_child[name]) >= LEAST_WEIGHT
        )


def relations_of(estimates: SampleEstimates) -> Relations:
    """Return what a search sample shows of descent."""
    points = points_of(estimates)
    columns = estimates.columns
    likeness = _likeness(points, is_matrix(estimates.slices)[points.owner])
    return Relations(
        both_ways(points, columns.candidates),
        own_values(points, columns.names),
        dict(zip(columns.names, likeness, strict=True)),
        of_somebody(points),
    )


def with_blends(relations: Relations, estimates: SampleEstimates, enough: float) -> Relations:
    """Return relations with the blend that gives the most of the child, of those that were found.

    Weights that a blend of the sample has by layer or slice are tried beside one weight for all,
    unless that gives the share that is ``enough``.
    """
    known, columns = relations.both_ways, estimates.columns
    if not columns.parents or (known is not None and known.forward >= enough):
        return relations
    blends = [
        whole_weights(blend.by_slice)
        for blend in estimates.blends
        if blend.kind != "constant" or bool(np.any(blend.weights[:, 0] != 0.0))
    ]
    if not blends:
        return relations
    return replace(relations, both_ways=both_ways(points_of(estimates), columns.candidates, blends))


def _likeness(points: Points, rows: NDArray[np.bool_]) -> list[float]:
    """Return the cosine of each checkpoint with the child over chosen rows; NaN without any."""
    values, owner = points.values[rows], points.owner[rows]
    if not len(values):
        return [float("nan")] * (points.values.shape[1] - 1)
    limited = values.copy()
    for slice_ in np.unique(owner):
        own = owner == slice_
        size = FARTHEST * np.median(np.abs(values[own]), axis=0)
        limited[own] = np.clip(values[own], -size, size)
    child = limited[:, -1]
    found = []
    for i in range(limited.shape[1] - 1):
        lengths = float((limited[:, i] ** 2).sum()) * float((child**2).sum())
        # A child of zeros is like nothing.
        inner = float((limited[:, i] * child).sum())
        found.append(inner / lengths**0.5 if lengths > 0 else 0.0)
    return found
