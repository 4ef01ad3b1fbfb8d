"""Which elements of checkpoints are read to measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.align import align

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.checkpoint import Checkpoint

PARENTS = (1, 2, 4, 8)
"""Numbers of parents that are measured, as far as there are as many; and all of them."""

SAMPLE_ELEMENTS = 1 << 15
"""Elements of each slice that are compared with float64."""

SAMPLE_SLICES = 64
"""Slices of which elements are compared with float64."""


@dataclass(frozen=True)
class Plans:
    """The same slices of a base, some of the parents, and a child."""

    by_parents: dict[int, _core.Plan]
    """For some numbers of parents, up to all of them: a plan with the first parents."""
    sample: _core.Plan
    """The first elements of the first slices, of all checkpoints."""

    @property
    def one_parent(self) -> _core.Plan:
        """The plan of base, first parent and child."""
        return self.by_parents[1]

    @property
    def all_parents(self) -> _core.Plan:
        """The plan of all checkpoints."""
        return self.by_parents[max(self.by_parents)]

    @property
    def bytes(self) -> int:
        """Bytes of the slices, over all checkpoints."""
        return self.all_parents.bytes(0, self.all_parents.slices)


def plan_reading(checkpoints: Sequence[Checkpoint], size: int) -> Plans:
    """Plan to read slices in the order of the child's files: up to ``size`` bytes, one at least.

    ``checkpoints`` are the base, parents, and last the child.

    Raises
    ------
    PlanError
        If nothing of them pairs.
    """
    *others, child = checkpoints
    alignment = align(child, others)
    slices = np.arange(_slices_within(alignment.plan, size))
    parents = len(checkpoints) - 2
    numbers = sorted({number for number in PARENTS if number <= parents} | {parents})
    by_parents = {
        number: alignment.part(slices, columns=[*range(number + 1), parents + 1])
        for number in numbers
    }
    first = slices[:SAMPLE_SLICES]
    counts = np.minimum(alignment.elements[first], np.uint64(SAMPLE_ELEMENTS))
    return Plans(by_parents, alignment.part(first, counts=counts))


def _slices_within(plan: _core.Plan, size: int) -> int:
    """Return how many slices, from the first on, are ``size`` bytes at most; one at least."""
    slices, total = 1, plan.bytes(0, 1)
    while slices < plan.slices and total + plan.bytes(slices, slices + 1) <= size:
        total += plan.bytes(slices, slices + 1)
        slices += 1
    return slices
