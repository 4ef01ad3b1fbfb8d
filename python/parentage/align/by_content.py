"""Tensors without a name in common: paired by shape, and by what their first elements are.

Fine-tuning leaves tensors so like their origin, and tensors of one model so unlike each other, that
values tell which is which: not a proof of descent, but of what has to be compared with what.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from parentage.align.content import layer_map
from parentage.align.layouts.strides import Composed, Piece, transposed
from parentage.align.moving_averages import seen_averaged
from parentage.align.order import sentences
from parentage.align.orders.matching import LEAST_LIKE
from parentage.align.orders.reading import runs
from parentage.align.orders.rearranged import rearranged
from parentage.align.pairing import LEAST_SHARE
from parentage.align.slices import UNPAIRED
from parentage.align.view import Views, is_named_alike, views
from parentage.checkpoint import decoded, dtype_class
from parentage.support import listed, printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from parentage.align.layouts.by_layer import LayerMap
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.stream import Options
    from parentage.support import Floats

    Shape = tuple[int, ...]
    Found = tuple[str, bool]
    """What the child calls it, and whether it is transposed."""

ELEMENTS = 1 << 12
"""Elements of each tensor that are looked at, the first."""

CHANCE = 5.0
"""Standard deviations of the correlation of independent values that one has to exceed."""

LEAST_ELEMENTS = 1 << 10
"""Elements from which on a tensor that has no partner by name is looked for by values."""

MOST_OF_A_SHAPE = 512
"""Tensors of one shape, at most, for values to tell them apart."""


def seen_by(child: Checkpoint, others: Sequence[Checkpoint], options: Options) -> Views:
    """Return a child and others under the child's names: by what names say, or else by values.

    Names decide where they can (:func:`parentage.align.views`); a checkpoint that has none in
    common with the child is paired by shape and values. What is in another order than the child's
    is then seen in that of the child, where values tell it.
    """
    named = _paired_views(child, others, options)
    layers: list[LayerMap] = [layer_map(named.child, x, options) for x in named.others]
    found = rearranged(named.child, named.others, layers, options)
    remarks = [*named.remarks, *sentences(found.orders)]
    if found.unordered:
        remarks.append(
            f"Some matrices of {listed(found.unordered)} are not alike in place. Whether experts, "
            "rows or columns are in another order was not looked for, since everything would have "
            "to be fetched: a full pass looks for it."
        )
    return Views(
        found.child,
        found.others,
        tuple(remarks),
        tuple(layers),
        found.orders,
        named.aside,
        found.unordered,
    )


def _paired_views(child: Checkpoint, others: Sequence[Checkpoint], options: Options) -> Views:
    """Return a child and others under the child's names, or under those that values tell."""
    child = decoded(child)
    others = [decoded(other) for other in others]
    averaged = {
        at: found
        for at, other in enumerate(others)
        if (found := seen_averaged(child, other, options)) is not None
    }
    whole = [averaged[at].checkpoint if at in averaged else x for at, x in enumerate(others)]
    named = views(child, whole)
    seen: list[Checkpoint] = []
    strange: list[str] = []
    left: list[str] = []
    for other in named.others:
        if is_named_alike(named.child, other):
            seen.append(other)
            continue
        is_named = _is_named(named.child, other)
        names = _paired(named.child, other, options, is_named=is_named)
        if not names:
            seen.append(other)
            continue
        seen.append(_as_paired(named.child, other, names, is_named=is_named))
        turned = sum(is_transposed for _, is_transposed in names.values())
        also = f", {turned:,} of them transposed" if turned else ""
        told = f"{len(names):,} of {len(other.tensors):,} of {other.name}{also}"
        (left if is_named else strange).append(told)
    remarks = [*map(str, averaged.values()), *named.remarks]
    if strange:
        remarks.append(
            "Names have next to nothing in common with the child's: tensors are paired by shape "
            f"and by the likeness of values, not by name ({listed(strange)})."
        )
    if left:
        remarks.append(
            "Tensors whose names the child has not are paired by shape and by the likeness of "
            f"values ({listed(left)})."
        )
    return Views(named.child, tuple(seen), tuple(map(printable, remarks)), aside=named.aside)


def _as_paired(
    child: Checkpoint, other: Checkpoint, names: Mapping[str, Found], *, is_named: bool
) -> Checkpoint:
    """Return a checkpoint under the names, and as the transposes, that values tell.

    Where names in common are a coincidence, not ``is_named``, what has a name of the child's and is
    not paired is called otherwise, unless it is so small that values do not tell, and of one shape.
    """
    mine = child.tensors
    composed = Composed(other)
    given = {name for name, _ in names.values()}
    for each in other.tensors.values():
        if each.name in names:
            name, is_transposed = names[each.name]
            composed.add(each, _whole(name, each, is_transposed=is_transposed), name)
            continue
        is_coincidence = not is_named and each.name in mine and not _is_small(each, mine[each.name])
        taken = each.name in given or is_coincidence
        composed.keep(each._replace(name=f"{UNPAIRED}{each.name}") if taken else each)
    return composed.view()


def _is_small(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of one name and shape are too small for values to tell them."""
    return one.elements < LEAST_ELEMENTS and one.shape == other.shape


def _whole(name: str, tensor: Tensor, *, is_transposed: bool) -> Piece:
    """Return all of a tensor as a piece, which may be the transpose."""
    return transposed(name, tensor.shape) if is_transposed else Piece(name, 0, tensor.shape)


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


def _paired(
    child: Checkpoint, other: Checkpoint, options: Options, *, is_named: bool
) -> dict[str, Found]:
    """Return the child's names by those of another checkpoint, as far as values tell them.

    Where some names are in common, ``is_named``, the rest is looked at: of tensors that are large
    enough.
    """
    shared = set(child.core.names()) & set(other.core.names()) if is_named else set()
    least = LEAST_ELEMENTS if is_named else 2
    mine, theirs = _by_shape(child, shared, least), _by_shape(other, shared, least)
    out: dict[str, Found] = {}
    for shape, tensors in mine.items():
        turned = shape[::-1] if len(shape) == 2 else ()
        mates = [(each, False) for each in theirs.get(shape, ())]
        mates += [
            (each, True)
            for each in theirs.get(turned, ())
            # Elements of less than a byte are not moved.
            if min(turned) > 1 and each.has_whole_bytes
        ]
        mates = [(each, is_turned) for each, is_turned in mates if each.name not in out]
        if not mates or max(len(tensors), len(mates)) > MOST_OF_A_SHAPE:
            continue
        lowest = max(LEAST_LIKE, CHANCE / min(tensors[0].elements, ELEMENTS) ** 0.5)
        alike = _correlations(
            _values(child, tensors, options), _values(*_turned(other, mates), options)
        )
        owners = [each.name for each, _ in mates]
        for row, column in _matched(alike, lowest, owners):
            out[owners[column]] = tensors[row].name, mates[column][1]
    return out


def _turned(
    other: Checkpoint, mates: Sequence[tuple[Tensor, bool]]
) -> tuple[Checkpoint, list[Tensor]]:
    """Return a view of some tensors, some of them transposed, in this order."""
    if not any(is_turned for _, is_turned in mates):
        return other, [each for each, _ in mates]
    composed = Composed(other)
    for number, (each, is_turned) in enumerate(mates):
        name = f"{number:09}"
        composed.add(each, _whole(name, each, is_transposed=is_turned), name)
    view = composed.view()
    return view, list(view.tensors.values())


def _by_shape(
    checkpoint: Checkpoint, without: Container[str], least: int
) -> dict[Shape, list[Tensor]]:
    """Return tensors of numbers with a fraction, by shape, but for some."""
    out: dict[Shape, list[Tensor]] = defaultdict(list)
    for each in checkpoint.tensors.values():
        is_large = each.elements >= least and each.name not in without
        if is_large and dtype_class(each.dtype) == "float":
            out[each.shape].append(each)
    return out


def _values(checkpoint: Checkpoint, tensors: Sequence[Tensor], options: Options) -> Floats:
    """Return (T, n) the first elements of tensors of one shape, less their mean.

    What is not finite is 0.
    """
    count = min(tensors[0].elements, ELEMENTS)
    values = runs(checkpoint, [(each.index, 0) for each in tensors], count, options)
    moved: Floats = values - values.mean(axis=1, keepdims=True)
    return moved


def _correlations(mine: Floats, theirs: Floats) -> Floats:
    """Return (mine, theirs) correlations of rows; 0 where a row is constant."""
    lengths = np.sqrt((mine**2).sum(axis=1)), np.sqrt((theirs**2).sum(axis=1))
    scale = np.outer(*lengths)
    inner = np.einsum("in,jn->ij", mine, theirs)
    found: Floats = np.divide(inner, scale, out=np.zeros_like(inner), where=scale > 0.0)
    return found


def _matched(alike: Floats, least: float, owners: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows and columns that are alike, the most alike first, each once.

    ``owners`` say of columns whose they are; an owner has one row at most.

    >>> list(_matched(np.array([[0.9, 0.2], [0.95, 0.8]]), 0.5, "ab"))
    [(1, 0)]
    >>> list(_matched(np.array([[0.9, 0.2], [0.3, 0.8]]), 0.5, "ab"))
    [(0, 0), (1, 1)]
    >>> list(_matched(np.array([[0.9, 0.2], [0.3, 0.8]]), 0.5, "aa"))
    [(0, 0)]
    """
    left = alike.copy()
    while left.size:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        if left[row, column] < least:
            return
        yield int(row), int(column)
        left[row, :] = -1.0
        left[:, [owner == owners[int(column)] for owner in owners]] = -1.0
