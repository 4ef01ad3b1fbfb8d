"""Tensors without a name in common: paired by shape, and by what their first elements are.

Fine-tuning leaves tensors so like their origin, and tensors of one model so unlike each other, that
values tell which is which: not a proof of descent, but of what has to be compared with what.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from parentage.align.content import layer_map
from parentage.align.order import sentences
from parentage.align.orders.rearranged import rearranged
from parentage.align.pairing import LEAST_SHARE
from parentage.align.slices import UNPAIRED
from parentage.align.view import Views, views
from parentage.checkpoint import decoded, dtype_class
from parentage.stream import read_elements
from parentage.support import listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

    Shape = tuple[int, ...]

ELEMENTS = 1 << 12
"""Elements of each tensor that are looked at, the first."""

CHANCE = 5.0
"""Standard deviations of the correlation of independent values that one has to exceed."""

MOST_OF_A_SHAPE = 512
"""Tensors of one shape, at most, for values to tell them apart."""

LEAST_LIKE = 0.5
"""Least correlation of two tensors of one origin: continued training keeps 0.9, strangers 0.01."""


def seen_by(child: Checkpoint, others: Sequence[Checkpoint], options: Options) -> Views:
    """Return a child and others under the child's names: by what names say, or else by values.

    Names decide where they can (:func:`parentage.align.views`); a checkpoint that has none in
    common with the child is paired by shape and values. What is in another order than the child's
    is then seen in that of the child, where values tell it.
    """
    named = _paired_views(child, others, options)
    layers: list[LayerMap] = [layer_map(named.child, x, options) for x in named.others]
    found = rearranged(named.child, named.others, layers, options)
    remarks = (*named.remarks, *sentences(found.orders))
    return Views(found.child, found.others, remarks, tuple(layers), found.orders)


def _paired_views(child: Checkpoint, others: Sequence[Checkpoint], options: Options) -> Views:
    """Return a child and others under the child's names, or under those that values tell."""
    named = views(decoded(child), [decoded(other) for other in others])
    seen: list[Checkpoint] = []
    paired: list[str] = []
    for other in named.others:
        names = {} if _is_named(named.child, other) else _paired(named.child, other, options)
        if not names:
            seen.append(other)
            continue
        seen.append(
            other.seen_as(
                each._replace(name=names.get(each.name, each.name))
                if each.name in names or each.name not in named.child.tensors
                else each._replace(name=f"{UNPAIRED}{each.name}")
                for each in other.tensors.values()
            )
        )
        paired.append(f"{len(names):,} of {len(other.tensors):,} of {other.name}")
    if not paired:
        return named
    said = (
        "Names have nothing in common with the child's: tensors are paired by shape and by the "
        f"likeness of values, not by name ({listed(paired)})."
    )
    return Views(named.child, tuple(seen), (*named.remarks, printable(said)))


def _is_named(child: Checkpoint, other: Checkpoint) -> bool:
    """Return whether names in common are of more than a coincidence, of either checkpoint."""
    mine, theirs = child.core.names(), other.core.names()
    if mine == theirs:
        return True
    shared = set(mine) & set(theirs)
    return any(
        sum(each.tensors[name].elements for name in shared) > LEAST_SHARE * each.elements
        for each in (child, other)
    )


def _paired(child: Checkpoint, other: Checkpoint, options: Options) -> dict[str, str]:
    """Return the child's names by those of another checkpoint, as far as values tell them."""
    mine, theirs = _by_shape(child), _by_shape(other)
    out: dict[str, str] = {}
    for shape, tensors in mine.items():
        mates = theirs.get(shape, [])
        if not mates or max(len(tensors), len(mates)) > MOST_OF_A_SHAPE:
            continue
        least = max(LEAST_LIKE, CHANCE / min(tensors[0].elements, ELEMENTS) ** 0.5)
        alike = _correlations(_values(child, tensors, options), _values(other, mates, options))
        for row, column in _matched(alike, least):
            out[mates[column].name] = tensors[row].name
    return out


def _by_shape(checkpoint: Checkpoint) -> dict[Shape, list[Tensor]]:
    """Return tensors of numbers with a fraction, by shape."""
    out: dict[Shape, list[Tensor]] = defaultdict(list)
    for each in checkpoint.tensors.values():
        if dtype_class(each.dtype) == "float" and each.elements > 1:
            out[each.shape].append(each)
    return out


def _values(checkpoint: Checkpoint, tensors: Sequence[Tensor], options: Options) -> Floats:
    """Return (T, n) the first elements of tensors of one shape, less their mean.

    What is not finite is 0.
    """
    count = min(tensors[0].elements, ELEMENTS)
    index = [[each.index] for each in tensors]
    found = read_elements([checkpoint.core], index, 0, count, options)
    values = np.nan_to_num(found[:, 0].reshape(len(tensors), count), posinf=0.0, neginf=0.0)
    moved: Floats = values - values.mean(axis=1, keepdims=True)
    return moved


def _correlations(mine: Floats, theirs: Floats) -> Floats:
    """Return (mine, theirs) correlations of rows; 0 where a row is constant."""
    lengths = np.sqrt((mine**2).sum(axis=1)), np.sqrt((theirs**2).sum(axis=1))
    scale = np.outer(*lengths)
    inner = np.einsum("in,jn->ij", mine, theirs)
    found: Floats = np.divide(inner, scale, out=np.zeros_like(inner), where=scale > 0.0)
    return found


def _matched(alike: Floats, least: float) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows and columns that are alike, the most alike first, each once.

    >>> list(_matched(np.array([[0.9, 0.2], [0.95, 0.8]]), 0.5))
    [(1, 0)]
    >>> list(_matched(np.array([[0.9, 0.2], [0.3, 0.8]]), 0.5))
    [(0, 0), (1, 1)]
    """
    left = alike.copy()
    while left.size:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        if left[row, column] < least:
            return
        yield int(row), int(column)
        left[row, :] = -1.0
        left[:, column] = -1.0
