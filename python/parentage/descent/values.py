"""Values that one checkpoint alone has, and how many of them the child kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from parentage.descent.points import Points


@dataclass(frozen=True, slots=True)
class OwnValues:
    """Of one checkpoint: sampled values that no other one has, and the share the child kept."""

    elements: int
    """Sampled elements in which it differs from every other checkpoint, and that were not set to
    zero in the child."""
    kept: float
    """Share of them in which the child has its value, rounded to the child's dtype; 0 without."""


def of_somebody(points: Points) -> tuple[float, float]:
    """Return the shares of sampled elements in which the child has some checkpoint's value.

    That of any checkpoint, and that of another than the base where the base has another. Values
    are rounded to the child's dtype. A blend has values that nobody has.
    """
    below, above = points.cells(points.values.shape[1] - 1)
    gaps = points.values[:, :-1] - points.values[:, -1:]
    held = (gaps >= -below[:, None]) & (gaps <= above[:, None])
    if not len(held):
        return 0.0, 0.0
    others = held[:, 1:].any(axis=1) & ~held[:, 0]
    return float(held.any(axis=1).mean()), float(others.mean())


def own_values(points: Points, names: tuple[str, ...]) -> dict[str, OwnValues]:
    """Return, per checkpoint, how many of the values that it alone has the child kept.

    Relatives share many bits, so equal bits say little; bits that one of them alone has say whose
    they are. The child of a blend keeps next to none of anybody's.
    """
    below, above = points.cells(points.values.shape[1] - 1)
    child = points.values[:, -1]
    # What was set to zero says nothing of whose it was.
    is_set = child == 0.0
    # A value is another one where the child's dtype tells the two apart.
    found: dict[str, OwnValues] = {}
    for i, name in enumerate(names):
        mine = points.values[:, i]
        is_kept = (mine - child >= -below) & (mine - child <= above)
        own = ~is_set | (mine == 0.0)
        for j in range(len(names)):
            if j != i:
                own &= np.abs(points.values[:, j] - mine) > below + above
        count = int(own.sum())
        found[name] = OwnValues(count, float(is_kept[own].mean()) if count else 0.0)
    return found
