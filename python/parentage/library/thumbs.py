"""Thumbnails: a few thousand elements by which one sketch is looked up among many.

They are of the first tensor of each template of matrices, a few hundred elements from its first
anchor on, and are called by a hash of its name's end and its shape: what two checkpoints have in
common of them can be compared whatever else they have. Beside them stand the sorted lengths of rows
and columns of some matrices, which an order of neurons or a rotation leaves as they are: they
propose, and decide nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import common_name, context_of
from parentage.library.places import Outline, Place, first_anchor, is_vector, natural_order
from parentage.library.said import is_held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.support import Floats

ELEMENTS = 256
"""Elements of each."""

MOST = 12
"""Templates at most: those whose hashes come first."""

MATRICES = 4
"""Matrices whose rows and columns are measured, of those that have a thumbnail: the smallest."""

MOST_ELEMENTS = 1 << 23
"""Elements of a matrix from which on it is not measured."""

QUANTILES = 32
"""Of the lengths of rows, and of columns."""

_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True)
class Spot:
    """Where a thumbnail lies."""

    key: str
    name: str
    place: Place


def spots(tensors: Sequence[Outline]) -> list[Spot]:
    """Return where the thumbnails of a checkpoint lie, by key."""
    context = context_of([each.name for each in tensors])
    first: dict[str, tuple[str, Outline]] = {}
    for each in tensors:
        if not is_held(each.dtype) or is_vector(each.shape) or each.elements < ELEMENTS:
            continue
        common = common_name(each.name, context)
        template = f"{_NUMBERS.sub('#', '.'.join(common.split('.')[-2:]))} {list(each.shape)}"
        known = first.get(template)
        if known is None or natural_order(common) < natural_order(known[0]):
            first[template] = (common, each)
    found = []
    for template, (common, each) in first.items():
        width, row = first_anchor(common, each.shape)
        count = -(-ELEMENTS // width)
        row = min(row, each.elements // width - count)
        place = Place(each.shape, width, tuple(range(row, row + count)))
        key = hashlib.sha256(template.encode()).hexdigest()[:12]
        found.append(Spot(key, each.name, place))
    return sorted(found, key=lambda each: each.key)[:MOST]


def measured(spots_: Sequence[Spot]) -> list[Spot]:
    """Return the matrices whose rows and columns are measured."""
    chosen = [each for each in spots_ if prod(each.place.shape) <= MOST_ELEMENTS]
    return sorted(chosen, key=lambda each: (prod(each.place.shape), each.key))[:MATRICES]


def lengths(values: Floats, shape: Sequence[int]) -> tuple[Floats, Floats]:
    """Return quantiles of the lengths of rows and of columns, over their mean; zeros without any.

    >>> rows, columns = lengths(np.ones(8), (2, 4))
    >>> rows.shape, float(columns.max())
    ((32,), 1.0)
    """
    matrix = np.nan_to_num(values, posinf=0.0, neginf=0.0).reshape(-1, shape[-1])
    out = []
    for axis in (1, 0):
        found = np.sqrt((matrix**2).sum(axis=axis))
        quantiles = np.quantile(found, np.linspace(0.0, 1.0, QUANTILES))
        mean = found.mean()
        out.append(quantiles / mean if mean > 0 else np.zeros(QUANTILES))
    return out[0], out[1]
