"""Changes told by which elements they touch: zeroed, constant, copied, permuted, or a few."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from parentage.places.change import Change, nested, some
from parentage.places.pair import cast
from parentage.support import listed, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from parentage.places.pair import Pair
    from parentage.support import Floats

FEW = 0.01
"""Most share of elements that are called a few."""

PART = 0.10
"""Most share of rows or columns that are told by number."""

LEAST = 8
"""Least rows or columns for some of them to be told apart from all."""

DENSE = 0.5
"""Least share of the elements of changed rows or columns that differ."""

ORDERED = 0.999
"""Least share of elements that are kept above the largest that is zeroed, for those zeroed to be
the smallest. Where order says nothing, it is near one half."""

MATCHED = 0.9
"""Least share of rows that have to be others of the reference, for rows to be permuted: those of a
blend whose arithmetic is not known need not be equal all."""

PROBE = 16
"""Numbers at the beginning of a row that it is found by."""

GROUPS = (2, 4, 8)
"""Elements in a row of which as many are 0 as hardware wants, 2 of 4, or 1 of 2."""

ALL_ZERO = "all 0"
"""What is said of rows and columns of zeros."""

LEAST_COPIED = 32
"""Least elements that differ, for parts to be another checkpoint's: a few may be so by chance."""

LEAST_ROW = 4
"""Least distinct numbers in a row that says which one it is."""


def constant(pair: Pair) -> Change | None:
    """Return the change of a slice that has become one number throughout."""
    first = float(pair.child.flat[0])
    if not (pair.child == first).all():
        return None
    if first == 0.0:
        return Change("zero", "all zero", pair.numbers)
    return Change("constant", "{value} throughout", {**pair.numbers, "value": first})


def zeroed(pair: Pair) -> Change | None:
    """Return the change of a slice of which elements were set to zero, and nothing else was."""
    zeros = pair.differs & (pair.child == 0.0)
    rest = pair.differs & ~zeros
    # What the arithmetic of a blend leaves is nothing that was done.
    arithmetic = pair.is_blend and bool(pair.near[rest].all())
    if not zeros.any() or (rest.any() and not arithmetic):
        return None
    if pair.is_blend and zeros.mean() < FEW / 2.0 and pair.near[zeros].all():
        return None
    after = "; the rest within two units in the last place" if rest.any() else ""
    numbers = {**pair.numbers, "zeroed": zeros.mean()}
    alive = pair.stored != 0.0
    for axis, word in ((1, "rows"), (0, "columns")):
        count = zeros.shape[1 - axis]
        whole = zeros.any(axis=axis) & ~(alive & ~zeros).any(axis=axis)
        if count > 1 and zeros.any(axis=axis).sum() == whole.sum():
            change = _lines(pair, word, np.flatnonzero(whole), ALL_ZERO)
            return replace(change, pattern=change.pattern + after)
    pattern = "{zeroed:percent} of its elements 0"
    size = np.abs(pair.stored)
    if size[alive].min() < size[alive].max() and not zeros.all():
        kept = alive & ~zeros
        above = (size[kept] >= size[zeros].max()).mean()
        per_row = np.where(zeros, size, 0.0).max(axis=1, keepdims=True)
        if above >= ORDERED:
            return Change("zero", f"{pattern}, the smallest in magnitude{after}", numbers)
        if len(size) > 1 and (size >= per_row)[kept].mean() >= ORDERED:
            return Change("zero", f"{pattern}, the smallest of each row{after}", numbers)
        for group in GROUPS:
            if size.shape[1] % group == 0 and _are_smallest(size, zeros, group):
                numbers["group"] = group
                pattern += ", the smallest of every {group:count} in a row"
                return Change("zero", f"{pattern}{after}", numbers)
    return Change("zero", f"{pattern}{after}", numbers)


def _are_smallest(size: Floats, zeros: NDArray[np.bool_], group: int) -> bool:
    """Return whether of every few elements in a row as many were set to 0, and the smallest."""
    size, zeros = size.reshape(-1, group), zeros.reshape(-1, group)
    most = np.where(zeros, size, 0.0).max(axis=1)
    least = np.where(zeros, np.inf, size).min(axis=1)
    counts = zeros.sum(axis=1)
    usual = int(np.bincount(counts).argmax())
    alike = (counts == usual) & (most <= least)
    return 0 < usual < group and float(alike.mean()) >= ORDERED


def copied(pair: Pair) -> Change | None:
    """Return the change of a slice, or of parts of it, that are bit for bit other checkpoints'."""
    stored = {name: cast(other, pair.dtype) for name, other in pair.others.items()}
    for name, values in stored.items():
        if np.array_equal(values, pair.child):
            bits = "bit for bit" if np.array_equal(pair.others[name], values) else "cast to {dtype}"
            labels = {"name": printable(name), "dtype": pair.dtype}
            return Change("copy", f"{{name}}'s, {bits}", pair.numbers, labels)
    if pair.count < LEAST_COPIED:
        return None
    for axis, word in ((0, "rows"), (1, "columns")):
        found = _lines_copied(pair, stored, axis, word)
        if found is not None:
            return found
    for name, values in stored.items():
        if (values == pair.child)[pair.differs].all():
            pattern = "{share:percent} of its elements {name}'s, bit for bit, here and there"
            return Change("copy", pattern, pair.numbers, {"name": printable(name)})
    return None


def _lines_copied(pair: Pair, stored: Mapping[str, Floats], axis: int, word: str) -> Change | None:
    """Return the change of rows or columns that are each another checkpoint's."""
    total = pair.child.shape[axis]
    changed = np.flatnonzero(pair.differs.any(axis=1 - axis))
    values = np.take(pair.child, changed, axis=axis)
    if total < 2 or not _tell(values if axis == 0 else values.T):
        return None
    left = np.ones(len(changed), dtype=bool)
    parts: list[str] = []
    numbers = {**pair.numbers, "of": float(total)}
    labels: dict[str, str] = {}
    for name, other in stored.items():
        same = (np.take(other, changed, axis=axis) == values).all(axis=1 - axis) & left
        if not same.any():
            continue
        key = f"part{len(parts)}"
        lines = pair.numbered(changed[same], axis)
        numbers[key] = float(len(lines))
        labels[f"{key}_name"] = printable(name)
        labels[f"{key}_which"] = f" ({some(lines.tolist())})" if len(lines) < total else ""
        of = f" of its {{of:count}} {word}" if not parts else ""
        parts.append(f"{{{key}:count}}{of}{{{key}_which}} {{{key}_name}}'s")
        left &= ~same
    if left.any():
        return None
    return Change("copy", f"{listed(parts)}, bit for bit", numbers, labels)


def permuted(pair: Pair) -> Change | None:
    """Return the change of a slice whose numbers are those of a checkpoint, elsewhere."""
    candidates = {pair.name: pair.stored}
    for name, other in pair.others.items():
        candidates[name] = cast(other, pair.dtype)
    for name, values in candidates.items():
        source = "{name}'s" if name else "the same"
        labels = {"name": printable(name)}
        if len(values) >= LEAST and values.shape[1] >= LEAST_ROW:
            for word, mine, theirs in (
                ("rows", pair.child, values),
                ("columns", pair.child.T, values.T),
            ):
                moved = _moved_lines(mine, theirs)
                if moved is not None:
                    numbers = {**pair.numbers, "moved": float(moved), "lines": float(len(mine))}
                    pattern = (
                        f"{source} {word} in another order: {{moved:count}} of {{lines:count}}"
                    )
                    return Change("permuted", f"{pattern} moved", numbers, labels)
        if pair.child.size >= LEAST and _same_numbers(pair.child, values):
            pattern = f"{source} numbers in another order"
            return Change("permuted", pattern, pair.numbers, labels)
        size, theirs = np.abs(pair.child), np.abs(values)
        is_elsewhere = bool((size != theirs).any())
        if is_elsewhere and pair.child.size >= LEAST and _same_numbers(size, theirs):
            pattern = f"{source} numbers in another order, some with the other sign"
            return Change("permuted", pattern, pair.numbers, labels)
    return None


def few(
    pair: Pair, differs: NDArray[np.bool_], near: str = ""
) -> Change | NDArray[np.bool_] | None:
    """Return the change of a slice of which a few elements differ; or a mask of rows or columns.

    ``near`` is what is said of the rest where it is not equal throughout.
    """
    count = int(differs.sum())
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    height, width = differs.shape
    for lines, total, across, axis in ((rows, height, width, 0), (columns, width, height, 1)):
        is_part = total >= LEAST and len(lines) <= max(PART * total, 1)
        if is_part and across >= LEAST and count >= DENSE * len(lines) * across:
            mask = np.zeros(differs.shape, dtype=bool)
            mask[(lines, slice(None)) if axis == 0 else (slice(None), lines)] = True
            return mask
    if count > max(FEW * differs.size, 1):
        return None
    numbers = {**pair.numbers, "few": float(count), "largest": float(np.abs(pair.gap).max())}
    pattern = "{few:count} of its {elements:count} elements differ{which}, by up to {largest}"
    which = (
        _named("row", pair.numbered(rows), height) if height > 1 else f": {some(columns.tolist())}"
    )
    return Change("few", pattern + near, numbers, {"which": which})


def lines_of(pair: Pair, word: str, lines: NDArray[np.intp], rest: Change) -> Change:
    """Return the change of rows or columns in which ``rest`` was done, and nothing elsewhere."""
    change = _lines(pair, word, lines, "differ")
    said, numbers, labels = nested(rest)
    said = said.replace("its elements", "their elements")
    numbers, labels = {**change.numbers, **numbers}, {**change.labels, **labels}
    return Change(word, f"{change.pattern}: {said}", numbers, labels)


def nan_places(pair: Pair, places: NDArray[np.bool_]) -> str:
    """Return in which rows elements are, as `` in row 3``."""
    if len(places) == 1:
        return f": {some(np.flatnonzero(places[0]).tolist())}"
    return _named("row", pair.numbered(np.flatnonzero(places.any(axis=1))), len(places))


def _named(word: str, lines: NDArray[np.intp], total: int) -> str:
    """Return `` in row 3``, `` in rows 3 and 5``, or nothing where there are too many to name."""
    if len(lines) == total or len(lines) > 1000:
        return ""
    return f" in {word}{'s' if len(lines) > 1 else ''} {some(lines.tolist())}"


def _lines(pair: Pair, word: str, lines: NDArray[np.intp], done: str) -> Change:
    """Return the change of some rows or columns, with their numbers."""
    total = pair.child.shape[0 if word == "rows" else 1]
    pattern = f"{{lines:count}} of its {{of:count}} {word}{{which}}"
    numbers = {**pair.numbers, "lines": float(len(lines)), "of": float(total)}
    kind = "zero" if done == ALL_ZERO else word
    is_all = len(lines) == total
    named = pair.numbered(lines, 0 if word == "rows" else 1)
    which = "" if is_all else f" ({some(named.tolist())})"
    return Change(kind, f"{pattern} {done}".rstrip(), numbers, {"which": which})


def _tell(rows: Floats) -> bool:
    """Return whether rows have numbers enough to say whose they are."""
    return len(np.unique(rows[:16])) >= LEAST_ROW


def _same_numbers(one: Floats, other: Floats) -> bool:
    """Return whether two arrays hold the same numbers, each as often."""
    if one.max() != other.max() or one.min() != other.min():
        return False
    total = float(np.abs(other).sum())
    if abs(float(np.abs(one).sum()) - total) > 1e-9 * total:
        return False
    return np.array_equal(np.sort(one, axis=None), np.sort(other, axis=None))


def _moved_lines(mine: Floats, theirs: Floats) -> int | None:
    """Return how many rows are others of ``theirs``; ``None`` if they are not those in some order.

    Equal rows are found by sums of their first numbers, and compared then.
    """
    # Rows that are equal have equal products with any vector, computed in one order.
    probe = np.cos(np.arange(1.0, min(PROBE, mine.shape[1]) + 1.0) ** 2)
    left, right = (
        np.sum(np.ascontiguousarray(values[:, :PROBE]) * probe, axis=1) for values in (mine, theirs)
    )
    order = np.argsort(right, kind="stable")
    at = np.minimum(np.searchsorted(right[order], left), len(order) - 1)
    source = order[at]
    found = right[source] == left
    if found.mean() < MATCHED:
        return None
    mine, theirs = np.ascontiguousarray(mine), np.ascontiguousarray(theirs)
    rows = np.flatnonzero(found)
    rows = rows[(mine[rows] == theirs[source[rows]]).all(axis=1)]
    in_place = (mine[rows] == theirs[rows]).all(axis=1)
    telling = np.array([len(np.unique(row)) >= LEAST_ROW for row in mine[rows[:64]]])
    if len(rows) < MATCHED * len(mine) or not telling.mean() >= MATCHED:
        return None
    distinct = len(np.unique(source[rows]))
    moved = int((~in_place).sum())
    # Repeats of a few rows are no permutation.
    return moved if moved >= 2 and distinct >= MATCHED * len(rows) else None
