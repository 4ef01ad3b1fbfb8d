"""Layers that are told by sums of rows: these stay the same when rows change places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.align.orders.matching import NONE, least_alike, matched, units
from parentage.align.orders.reading import runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

    Kinds = Mapping[tuple[str, tuple[int, ...]], Mapping[int, Tensor]]

ELEMENTS = 256
"""Elements of each row that are looked at, the first."""

LEAST_ROWS = 16
"""Fewest rows of a matrix that is looked at."""

KINDS = 2
"""Kinds of matrix that are looked at, the smallest."""


def layers_by_sums(
    mine: Kinds,
    theirs: Kinds,
    checkpoints: tuple[Checkpoint, Checkpoint],
    known: Mapping[int, int],
    options: Options,
) -> dict[int, int]:
    """Return the other's layer that each of the child's is of, as far as sums of rows tell.

    Those that are ``known`` are left out, of both. ``mine`` and ``theirs`` are matrices of the
    child and of another checkpoint, by kind and layer. Neurons and heads in another order leave a
    layer like none, and the sums of its rows as they were.
    """
    kinds = [
        kind
        for kind in sorted(mine, key=lambda kind: (kind[1][0] * kind[1][1], kind))
        if kind in theirs and ".experts." not in kind[0] and kind[1][0] >= LEAST_ROWS
    ]
    for kind in kinds[:KINDS]:
        left = [layer for layer in sorted(mine[kind]) if layer not in known]
        free = [layer for layer in sorted(theirs[kind]) if layer not in known.values()]
        if not left or not free:
            continue
        one = _sums(checkpoints[0], [mine[kind][layer] for layer in left], options)
        two = _sums(checkpoints[1], [theirs[kind][layer] for layer in free], options)
        home = np.array([free.index(x) if x in free else NONE for x in left], dtype=np.intp)
        found = matched(one, two, least_alike(one.shape[1]), home).tolist()
        pairs = {a: free[b] for a, b in zip(left, found, strict=True) if b != NONE}
        if pairs:
            return pairs
    return {}


def _sums(checkpoint: Checkpoint, matrices: list[Tensor], options: Options) -> Floats:
    """Return (M, n) the sums of all rows of M matrices of one shape, in their first n columns."""
    rows, width = matrices[0].shape
    count = min(width, ELEMENTS)
    out = []
    for each in matrices:
        places = [(each.index, row * width) for row in range(rows)]
        out.append(units(runs(checkpoint, places, count, options).sum(axis=0)[None])[0])
    return np.array(out, dtype=np.float64)
