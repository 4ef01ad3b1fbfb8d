"""What was done to one slice: tests in order, the simplest that is passed is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.checkpoint import DTYPES
from parentage.places import elements, factors, grids, spectra
from parentage.places.change import Change, nested
from parentage.places.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from parentage.support import Floats

RESTS = ("none", "copy", "scaled", "units", "quantised")
"""What is told of the rest where zeros were set as well."""

EXACT = (
    elements.constant,
    elements.copied,
    elements.zeroed,
    factors.signs,
    elements.permuted,
)
"""Tests that compare numbers and nothing else."""

FAR = 8.0
"""Least units in the last place by which half of those differ that are told apart."""

STRAY = 0.10
"""Most share of elements beyond what arithmetic leaves, all others within it, to be told apart."""


def describe_change(
    child: Floats,
    reference: Floats,
    others: Mapping[str, Floats],
    shape: Sequence[int],
    dtype: str,
    name: str = "",
    rows: NDArray[np.intp] | None = None,
) -> Change:
    """Return what was done to a slice: the simplest kind of change whose test is passed.

    Parameters
    ----------
    child
        (n,) its elements, decoded exactly; a part of a slice is given by whole rows.
    reference
        (n,) those of a checkpoint, or those that a recipe gives, before they are rounded.
    others
        (n,) those of every checkpoint offered, by name.
    shape
        That of the slice; the first size is not looked at.
    dtype
        The child's, by its safetensors name.
    name
        What the reference is called in phrases; nothing where it is what is spoken of.
    rows
        The number of each row that is given, where not all are.

    Raises
    ------
    ValueError
        If the sizes do not agree, or the dtype has no arithmetic.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base = rng.normal(0, 0.02, 64 * 48).astype(np.float32).astype(np.float64)
    >>> child = base.copy()
    >>> child[7 * 48 : 8 * 48] = 0.0
    >>> describe_change(child, base, {}, (64, 48), "F32").text
    '1 of its 64 rows (7) all 0'
    """
    if dtype not in DTYPES:
        raise ValueError(f"{dtype} has no arithmetic here")
    if any(values.shape != child.shape for values in (reference, *others.values())):
        raise ValueError("child, reference and others are of different sizes")
    columns = max(int(np.prod(shape[1:])), 1) if len(shape) > 1 else max(child.size, 1)
    if child.size % columns:
        raise ValueError(f"{child.size} elements are no whole rows of {columns}")
    if child.size == 0:
        return Change("none", "empty", _nothing())

    def matrix(values: Floats) -> Floats:
        return np.ascontiguousarray(values, dtype=np.float64).reshape(-1, columns)

    tables = {each: matrix(values) for each, values in others.items()}
    with np.errstate(all="ignore"):
        return _finite(Pair(matrix(child), matrix(reference), tables, dtype, name, rows))


def _nothing() -> dict[str, float]:
    """Return the numbers of a slice without elements."""
    return dict.fromkeys(("elements", "differing", "share", "rms", "roundings"), 0.0)


def _finite(pair: Pair) -> Change:
    """Return what was done; what is not finite is told first, and the rest without it."""
    mine, theirs = np.isfinite(pair.child), np.isfinite(pair.stored)
    others = {
        name: np.where(np.isfinite(values), values, 0.0) for name, values in pair.others.items()
    }
    if mine.all() and theirs.all():
        return _described(replace(pair, others=others))
    same = (pair.child == pair.stored) | (np.isnan(pair.child) & np.isnan(pair.stored))
    odd = ~mine & ~same
    gone = ~theirs & ~same & ~odd
    filled = np.where(mine, pair.child, 0.0)
    reference = np.where(theirs, pair.reference, filled)
    reference = np.where(~mine, 0.0, reference)
    rest = _described(Pair(filled, reference, others, pair.dtype, pair.name, pair.rows))
    pattern, inner, texts = nested(rest)
    numbers = {**rest.numbers, **inner}
    numbers["nan"] = float(np.isnan(pair.child[odd]).sum())
    numbers["infinite"] = float(odd.sum()) - numbers["nan"]
    numbers["gone"] = float(gone.sum())
    numbers["differing"] += float(odd.sum() + gone.sum())
    numbers["share"] = numbers["differing"] / pair.child.size
    if not odd.any() and not gone.any():
        return rest
    told = []
    for key, word in (("nan", "NaN"), ("infinite", "infinite")):
        if numbers[key] == pair.child.size:
            return Change("nan", f"all {word}", numbers)
        if numbers[key]:
            told.append(f"{{{key}:count}} of its {{elements:count}} numbers {word}")
    labels = {**texts, "which": elements.nan_places(pair, odd if odd.any() else gone)}
    if told:
        text = " and ".join(told) + "{which}"
    else:
        text = "{gone:count} of its {elements:count} numbers were infinite or NaN{which}"
    after = "the rest bit for bit the same" if rest.kind == "none" else f"the rest: {pattern}"
    return Change("nan", f"{text}; {after}", numbers, labels)


def _described(pair: Pair, inside: bool = False) -> Change:
    """Return what was done to finite numbers; ``inside`` of rows or columns that are told."""
    if not pair.count:
        return Change("none", "bit for bit the same", pair.numbers)
    for test in EXACT:
        found = test(pair)
        if found is not None:
            return found
    return (
        _partial(pair, inside)
        or factors.scaled(pair)
        or grids.quantised(pair)
        or spectra.rounded_otherwise(pair)
        or factors.weighed(pair)
        or spectra.within_units(pair)
        or _zeroed_and(pair)
        or _strays(pair)
        or spectra.low_rank(pair)
        or grids.gridded(pair)
        or spectra.foreign(pair)
        or spectra.noise(pair)
        or spectra.moved(pair)
    )


def _partial(pair: Pair, inside: bool) -> Change | None:
    """Return the change of a few elements, rows or columns of a slice that is equal elsewhere."""
    # Of a blend, what arithmetic leaves is told from the rest, elsewhere.
    if inside or pair.is_blend or (pair.near.all() and pair.count > elements.LEAST):
        return None
    return _few(pair, pair, "")


def _strays(pair: Pair) -> Change | None:
    """Return the change of a few elements, rows or columns where the rest is within a unit."""
    far = ~pair.near
    # Only a blend has arithmetic that is not known; and light training has no gap.
    if not pair.is_blend or far.mean() > STRAY:
        return None
    steps = np.abs(pair.gap[far]) / pair.unit_of_terms[far]
    if float(np.median(steps)) < FAR:
        return None
    return _few(pair, pair.without(pair.near), "; the rest within two units in the last place")


def _few(pair: Pair, without: Pair, near: str) -> Change | None:
    """Return the change where ``without`` differs, with the numbers of the whole."""
    found = elements.few(pair, without.differs, near)
    if found is None or isinstance(found, Change):
        return found
    rows, columns = found.all(axis=1), found.all(axis=0)
    if rows.any() and not columns.any():
        lines, word = np.flatnonzero(rows), "rows"
        rest = _described(pair.part(lines), inside=True)
    else:
        lines, word = np.flatnonzero(columns), "columns"
        rest = _described(pair.part(None, lines), inside=True)
    change = elements.lines_of(pair, word, lines, rest)
    return replace(change, pattern=change.pattern + near)


def _zeroed_and(pair: Pair) -> Change | None:
    """Return the change of a slice that was thinned out, where the rest is a plain change."""
    zeros = pair.differs & (pair.child == 0.0)
    share = float(zeros.mean())
    if share < elements.FEW:
        return None
    rest = _rest_of(pair, ~zeros & (pair.stored != 0.0))
    if rest.kind not in RESTS:
        return None
    said, inner, labels = nested(rest)
    numbers = {**pair.numbers, **inner, "zeroed": share}
    pattern = f"{{zeroed:percent}} of its elements 0, the rest: {said}"
    return Change("zero", pattern, numbers, labels)


def _rest_of(pair: Pair, places: NDArray[np.bool_]) -> Change:
    """Return what was done to the elements of some places, taken as a vector."""

    def cut(values: Floats) -> Floats:
        return values[places].reshape(1, -1)

    others = {name: cut(values) for name, values in pair.others.items()}
    rest = Pair(cut(pair.child), cut(pair.reference), others, pair.dtype, pair.name)
    if not rest.child.size or not rest.count:
        return Change("none", "bit for bit the same", pair.numbers)
    return (
        elements.copied(rest)
        or factors.scaled(rest)
        or spectra.within_units(rest)
        or spectra.moved(rest)
    )
