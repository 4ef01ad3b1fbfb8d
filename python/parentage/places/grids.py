"""Changes told by grids: a slice that was quantised and decoded, whose it was, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.places.change import Change
from parentage.places.pair import cast, every
from parentage.places.schemes import CODES, GROUPS, chosen, grouped
from parentage.support import printable

if TYPE_CHECKING:
    from parentage.places.pair import Pair
    from parentage.places.schemes import Code, Singles
    from parentage.support import Floats

SAMPLE = 4096
"""Elements that every scheme is tried on."""

TRIED = 0.9
"""Least share of a sample that a scheme gives to be tried on all."""

GIVEN = 0.99
"""Least share of the numbers that a scheme gives, to be told."""

MOVED = 0.05
"""Least share of elements that differ from a checkpoint, for it to be quantised: another grid moves
nearly all."""

LEAST = 32
"""Least elements that a scheme moves, to be told."""

CANDIDATES = 2
"""Checkpoints that are requantised, the nearest."""

FAR = 0.7
"""Distance beyond which a checkpoint is not requantised, as a share of its size."""

CASTS = {"F16": "f16", "F8_E4M3": "fp8 e4m3", "F8_E5M2": "fp8 e5m2", "BF16": "bf16"}
"""Dtypes that children are cast to and back, and how they are told."""

BLOCKS = (16, 32, 64, 128, 256)
"""Sizes of blocks whose numbers are counted."""

OWN = 1.5
"""How many times the numbers of the grid the reference holds, at least: it has no such grid."""


def quantised(pair: Pair) -> Change | None:
    """Return the change of a slice that was quantised and decoded, with scheme and source."""
    if pair.count < MOVED * pair.child.size or pair.child.size < 64:
        return None
    for name, values in _nearest(pair):
        found = _cast(pair, name, values) or _requantised(pair, name, values)
        if found is not None:
            return found
    return None


def gridded(pair: Pair) -> Change | None:
    """Return the change of a slice that lies on a grid which no scheme tried gives."""
    if pair.count < MOVED * pair.child.size:
        return None
    for bits in (4, 8):
        levels = 1 << bits
        for group in ("16", "32", "64", "128", "256", "row", "column", "tensor"):
            mine, theirs = grouped(pair.child, group), grouped(pair.stored, group)
            if mine is None or theirs is None or mine.shape[1] < 2 * levels:
                continue
            rows, _ = chosen(len(mine), mine.shape[1], 1 << 16)
            own, other = (_distinct(each[rows]) for each in (mine, theirs))
            if (own <= levels).mean() >= GIVEN and float(np.median(other)) >= OWN * levels:
                pattern = "on a grid of {bits} bits, {group}; requantising gives none of it here"
                labels = {"group": GROUPS[group]}
                return Change("quantised", pattern, {**pair.numbers, "bits": bits}, labels)
    return None


def _distinct(groups: Floats) -> Floats:
    """Return how many distinct numbers each group holds."""
    ordered = np.sort(groups, axis=1)
    found: Floats = 1.0 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    return found


def _nearest(pair: Pair) -> list[tuple[str, Floats]]:
    """Return the checkpoints that the child may have been, the nearest first."""
    places = every(pair.child.size, 1 << 16)
    child = pair.child.flat[places]
    candidates = [(pair.name, pair.reference), *pair.others.items()]
    distances: list[tuple[float, int, str, Floats]] = []
    for name, values in candidates:
        part = values.flat[places]
        size = float((part**2).sum())
        # A factor is no matter of which is nearest.
        along = float((part * child).sum())
        off = float((child**2).sum()) - along**2 / size if size > 0 else float("inf")
        distances.append((off / size if size > 0 else float("inf"), len(distances), name, values))
    near = sorted(distances, key=lambda each: each[:2])[:CANDIDATES]
    return [(name, values) for distance, _, name, values in near if distance <= FAR**2]


def _told(name: str, pattern: str, pair: Pair, share: float, **labels: str) -> Change:
    """Return a change whose phrase begins with whose values they were and ends with how many."""
    every_value = "every value" if share == 1.0 else "{given:percent} of the values"
    source = f"{printable(name)}, " if name else ""
    pattern = f"{{name}}{pattern}: {every_value}"
    return Change(
        "quantised", pattern, {**pair.numbers, "given": share}, {"name": source, **labels}
    )


def _cast(pair: Pair, name: str, values: Floats) -> Change | None:
    """Return the change by a cast to a coarser dtype and back."""
    places = np.flatnonzero(pair.differs)[: 4 * SAMPLE]
    for dtype, word in CASTS.items():
        if dtype == pair.dtype:
            continue
        part = cast(cast(values.flat[places], dtype), pair.dtype)
        if (part == pair.child.flat[places]).mean() < TRIED:
            continue
        share = _given(pair, values, cast(cast(values, dtype), pair.dtype))
        if share >= GIVEN:
            return _told(name, "cast to {dtype} and back", pair, share, dtype=word)
    return None


def _requantised(pair: Pair, name: str, values: Floats) -> Change | None:
    """Return the change by a scheme that gives the child's numbers."""
    found: list[tuple[float, int, Code, str]] = []
    for group in GROUPS:
        theirs, mine = grouped(values, group), grouped(pair.child, group)
        if theirs is None or mine is None:
            continue
        which, inside = chosen(len(theirs), theirs.shape[1], SAMPLE)
        whole = theirs[which]
        low, high = _ends(whole)
        part = whole[:, inside].astype(np.float32)
        target = mine[which][:, inside]
        for code in CODES:
            share = float((_decoded(code, part, low, high, pair.dtype) == target).mean())
            if share >= TRIED:
                found.append((-share, len(found), code, group))
    best: tuple[float, Code, str] | None = None
    for _, _, code, group in sorted(found, key=lambda each: each[:2])[:3]:
        theirs, mine = grouped(values, group), grouped(pair.child, group)
        assert theirs is not None and mine is not None, "as above"
        low, high = _ends(theirs)
        decoded = _decoded(code, theirs.astype(np.float32), low, high, pair.dtype)
        share = _given(pair, theirs, decoded, mine)
        if best is None or share > best[0]:
            best = (share, code, group)
    if best is None or best[0] < GIVEN:
        return None
    share, code, group = best
    pattern = "quantised to {code}, {group}, and decoded"
    return _told(name, pattern, pair, share, code=code.name, group=GROUPS[group])


def _ends(groups: Floats) -> tuple[Singles, Singles]:
    """Return the smallest and largest numbers of groups, (groups, 1), in float32."""
    low = groups.min(axis=1, keepdims=True).astype(np.float32)
    return low, groups.max(axis=1, keepdims=True).astype(np.float32)


def _decoded(code: Code, values: Singles, low: Singles, high: Singles, dtype: str) -> Floats:
    """Return what a coding gives, in the child's dtype."""
    with np.errstate(all="ignore"):
        return cast(code.decoded(values, low, high).astype(np.float64), dtype)


def _given(pair: Pair, source: Floats, result: Floats, child: Floats | None = None) -> float:
    """Return the share of numbers that are a result; 0 where the source has them as well.

    The result has to be right where it is not the source as it is: a copy has any grid's numbers
    where the grid leaves them alone.
    """
    child = pair.child if child is None else child
    same = result == child
    changed = result != cast(source, pair.dtype)
    if int(changed.sum()) < LEAST or changed.mean() < MOVED or same[changed].mean() < GIVEN:
        return 0.0
    return float(same.mean())
