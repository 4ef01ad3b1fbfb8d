"""What merges that drop part of each displacement have in common: finding masks, and replaying.

An element of such a child is ``b + sum_{i in A} e_i d_i`` with a set A of parents of its own. With
one parent left it lies on a line through the base, so the coefficients ``e_i`` are where most
rounding cells of those elements meet. Given them, every element says which sets A it admits, and so
which displacements were kept: whether that is a matter of their size, or of chance, and at what
rate.
"""

from __future__ import annotations

from parentage.methods.masks.bands import LARGEST, bands_of, shares_above, within
from parentage.methods.masks.chance import ranks
from parentage.methods.masks.interpreted import outcomes
from parentage.methods.masks.mixture import EXPLAINED, MOST_PARENTS, applies
from parentage.methods.masks.recipes import SEPARATE, named
from parentage.methods.masks.replaying import (
    ARITHMETICS,
    PARAMETERS,
    is_coarse,
    mergekit,
    number,
    replay_by_chance,
    replay_by_size,
    total,
)
from parentage.methods.masks.scales import stepped, table
from parentage.methods.masks.trials import best_of, changed, is_exact, ordered, worthwhile
from parentage.methods.masks.view import Bools, View, cell, deepest

__all__ = [
    "ARITHMETICS",
    "EXPLAINED",
    "LARGEST",
    "MOST_PARENTS",
    "PARAMETERS",
    "SEPARATE",
    "Bools",
    "View",
    "applies",
    "bands_of",
    "best_of",
    "cell",
    "changed",
    "deepest",
    "is_coarse",
    "is_exact",
    "mergekit",
    "named",
    "number",
    "ordered",
    "outcomes",
    "ranks",
    "replay_by_chance",
    "replay_by_size",
    "shares_above",
    "stepped",
    "table",
    "total",
    "within",
    "worthwhile",
]
