"""Elements that a checkpoint and its relatives all hold, as sketches have them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint import Checkpoint, Inputs, half_cells
from parentage.library import seen_alike
from parentage.support import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.stream import Options
    from parentage.support import Floats


@dataclass(frozen=True)
class Values:
    """Elements of matrices that the child and K others all hold."""

    columns: NDArray[np.float32]
    """(n, K + 1), the child's last; what is not finite is 0."""
    starts: NDArray[np.intp]
    """(T + 1,) where tensors begin, and the last ends."""
    floor: float
    """The energy of the child's rounding: the sum of ulp^2 / 12."""
    kept: tuple[Checkpoint, ...]

    def products(self) -> tuple[Floats, Floats, float]:
        """Return inner products of the others' differences from the child, and with the child.

        (T, K, K) by tensor, (K,) over all, and the child's squared length.
        """
        grams, inner, square = [], np.zeros(self.columns.shape[1] - 1), 0.0
        for first, last in pairwise(self.starts.tolist()):
            part = self.columns[first:last].astype(np.float64)
            child = part[:, -1]
            differences = part[:, :-1] - child[:, None]
            grams.append(differences.T @ differences)
            inner += child @ differences
            square += float(child @ child)
        return np.stack(grams), inner, square


def values_of(mine: Checkpoint, others: Sequence[Checkpoint], options: Options) -> Values | None:
    """Return what child and others all hold; ``None`` if that is nothing.

    Others take part that hold at least half of what the most alike does.
    """
    if not others:
        return None
    try:
        inputs, _ = seen_alike(Inputs(mine, others[0], tuple(others[1:]), ()), options)
    except PlanError:
        inputs = None
    kept = list(others)
    if inputs is None or 2 * len(_shared(inputs)) < len(mine.tensors):
        # Some hold little of it, and would leave little of all.
        kept = _holding(mine, others, options)
        if not kept:
            return None
        inputs, _ = seen_alike(Inputs(mine, kept[0], tuple(kept[1:]), ()), options)
    given, shared = (*inputs.others, inputs.child), _shared(inputs)
    child = [
        each
        for each in inputs.child.tensors.values()
        if each.name in shared and sum(size > 1 for size in each.shape) >= 2
    ]
    if not child:
        return None
    names = {each.name for each in child}
    columns = np.stack([_column(each, names, options) for each in given], axis=1)
    starts = np.cumsum([0, *(each.elements for each in child)])
    floor = 0.0
    for tensor, first, last in zip(child, starts[:-1], starts[1:], strict=True):
        below, above = half_cells(columns[first:last, -1].astype(np.float64), tensor.dtype)
        floor += float(((below + above) ** 2).sum()) / 12.0
    return Values(columns, starts, floor, tuple(kept))


def _shared(inputs: Inputs) -> set[str]:
    """Return the names of the tensors that all of them hold something of."""
    given = (*inputs.others, inputs.child)
    return set.intersection(*(set(each.core.names()) for each in given))


def _holding(mine: Checkpoint, others: Sequence[Checkpoint], options: Options) -> list[Checkpoint]:
    """Return the others that hold at least half of what the first that holds anything does."""
    kept: list[Checkpoint] = []
    usual: set[str] = set()
    for each in others:
        try:
            inputs, _ = seen_alike(Inputs(mine, each, (), ()), options)
        except PlanError:
            continue
        usual = usual or _shared(inputs)
        if 2 * len(_shared(inputs) & usual) >= len(usual):
            kept.append(each)
    return kept


def _column(checkpoint: Checkpoint, names: set[str], options: Options) -> NDArray[np.float32]:
    """Return all elements of tensors of some names, in their order; what is not finite is 0."""
    tensors = [each for each in checkpoint.tensors.values() if each.name in names]
    index = np.array([[each.index] * 2 for each in tensors], dtype=np.uint64)
    counts = np.array([each.elements for each in tensors], dtype=np.uint64)
    plan = _core.Plan([checkpoint.core] * 2, counts, index, np.zeros_like(index))
    runs = options.for_runs()
    found = runs.backend.elements(plan, 0, plan.slices, threads=runs.threads, io=runs.io)
    column: NDArray[np.float32] = np.nan_to_num(found[:, 0], posinf=0.0, neginf=0.0).astype("<f4")
    return column
