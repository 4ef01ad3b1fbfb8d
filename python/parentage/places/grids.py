"""Changes told by grids: a slice that was quantised and decoded, whose it was, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from parentage.places.change import Change
from parentage.places.pair import ARITHMETIC, cast, every, units
from parentage.places.schemes import CODES, GROUPS, chosen, grouped
from parentage.support import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from parentage.places.pair import Pair
    from parentage.places.schemes import Code, Singles
    from parentage.support import Floats

FIRST, SAMPLE = 512, 8192
"""Elements that every scheme is tried on, and those that pass."""

TRIED = 0.9
"""Least share of a sample that a scheme gives to be tried on all."""

GIVEN = 0.99
"""Least share of the numbers that a scheme gives, to be told."""

MOVED = 0.05
"""Least share of elements that differ from a checkpoint, for it to be quantised: another grid moves
nearly all."""

LEAST = 32
"""Least elements that a scheme moves, to be told."""

MOST = 6
"""Schemes that are tried on all, at most."""

PRECISE = ("F32", "F64")
"""Dtypes as precise as quantisers are."""

CANDIDATES = 2
"""Checkpoints that are requantised, the nearest."""

RIVAL = 1.3
"""How many times as far as the nearest another checkpoint may be, to be requantised as well: the
error of quantising adds to what lies between the two."""

FAR = 0.7
"""Distance beyond which a checkpoint is not requantised, as a share of its size."""

CASTS = {"F16": "f16", "F8_E4M3": "fp8 e4m3", "F8_E5M2": "fp8 e5m2", "BF16": "bf16"}
"""Dtypes that children are cast to and back, and how they are told."""

OWN = 1.5
"""How many times the numbers of the grid the reference holds, at least: it has no such grid."""

DOUBLINGS, HALVINGS = 24, 8
"""Steps by which the ends of a number's cell are looked for."""

CENTRED = 0.6
"""Share of a source's numbers in the middle quarter of what is coded alike, from which on it may
have been made from the child: a quarter of what was quantised lies there."""

EDGES = 512
"""Numbers whose cells' ends are looked for."""


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
        for group in ("32", "64", "128", "256", "row", "column", "tensor"):
            mine, theirs = grouped(pair.child, group), grouped(pair.stored, group)
            if mine is None or theirs is None or mine.shape[1] < 2 * levels:
                continue
            rows, _ = chosen(len(mine), mine.shape[1], 2 * SAMPLE)
            if (_distinct(mine[rows]) <= levels).mean() < GIVEN:
                continue
            if float(np.median(_distinct(theirs[rows]))) >= OWN * levels:
                pattern = "on a grid of {bits:count} bits, {group}; no scheme tried gives it"
                labels = {"group": GROUPS[group]}
                return Change("gridded", pattern, {**pair.numbers, "bits": bits}, labels)
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
    candidates = [(pair.name, pair.stored), *pair.others.items()]
    if pair.is_blend:
        candidates.insert(1, (pair.name, pair.reference))
    distances: list[tuple[float, int, str, Floats]] = []
    for name, values in candidates:
        part = values.flat[places]
        size = float((part**2).sum())
        # A factor is no matter of which is nearest.
        along = float((part * child).sum())
        off = float((child**2).sum()) - along**2 / size if size > 0 else float("inf")
        distances.append((off / size if size > 0 else float("inf"), len(distances), name, values))
    near = sorted(distances, key=lambda each: each[:2])[:CANDIDATES]
    furthest = min(FAR**2, RIVAL**2 * near[0][0])
    return [(name, values) for distance, _, name, values in near if distance <= furthest]


def _told(
    name: str, pattern: str, pair: Pair, share: float, is_exact: bool, **labels: str
) -> Change:
    """Return a change whose phrase begins with whose values they were and ends with how many."""
    every_value = "every value" if share == 1.0 else "{given:percent} of the values"
    if not is_exact:
        every_value += ", to two units in the last place"
    source = f"{printable(name)}, " if name else ""
    pattern = f"{{name}}{pattern}: {every_value}"
    return Change(
        "quantised", pattern, {**pair.numbers, "given": share}, {"name": source, **labels}
    )


def _cast(pair: Pair, name: str, values: Floats) -> Change | None:
    """Return the change by a cast to a coarser dtype and back."""
    places = np.flatnonzero(pair.differs)
    places = places[every(len(places), SAMPLE)]
    for dtype, word in CASTS.items():
        if dtype == pair.dtype:
            continue
        part = cast(cast(values.flat[places], dtype), pair.dtype)
        if (part == pair.child.flat[places]).mean() < TRIED:
            continue
        result = cast(cast(values, dtype), pair.dtype)
        if _given(pair, values, result) >= GIVEN:
            share = float((result == pair.child).mean())
            part = values.flat[places]

            def coded(numbers: Floats, dtype: str = dtype) -> Floats:
                return cast(cast(numbers, dtype), pair.dtype)

            if centred(part, coded) >= CENTRED:
                return _may_be_made_of(name, f"a cast to {word} and back", pair)
            return _told(name, "cast to {dtype} and back", pair, share, True, dtype=word)
    return None


def _requantised(pair: Pair, name: str, values: Floats) -> Change | None:
    """Return the change by a scheme that gives the child's numbers."""
    tables: dict[str, tuple[Floats, Floats]] = {}
    for group in GROUPS:
        theirs, mine = grouped(values, group), grouped(pair.child, group)
        if theirs is not None and mine is not None:
            tables[group] = theirs, mine
    left = {group: _possible(mine) for group, (_, mine) in tables.items()}
    for most in (FIRST, SAMPLE):
        left = {group: _tried(tables[group], codes, most, pair) for group, codes in left.items()}
    best: tuple[float, bool, Code, str] | None = None
    tried = [(group, code) for group, codes in left.items() for code in codes]
    for group, code in tried[:MOST]:
        theirs, mine = tables[group]
        decoded = _decoded(code, theirs.astype(np.float32), *_ends(theirs), pair.dtype)
        share = _given(pair, theirs, decoded, mine)
        if best is None or share > best[0]:
            is_exact = pair.dtype not in PRECISE or bool((decoded == mine).all())
            best = (share, is_exact, code, group)
        if share == 1.0:
            break
    if best is None or best[0] < GIVEN:
        return None
    share, is_exact, code, group = best
    theirs, _ = tables[group]
    which, inside = chosen(len(theirs), theirs.shape[1], EDGES)
    low, high = _ends(theirs[which])

    def coded(numbers: Floats) -> Floats:
        return _decoded(code, numbers.astype(np.float32), low, high, pair.dtype)

    if centred(theirs[which[:, None], inside], coded) >= CENTRED:
        return _may_be_made_of(name, f"{code.name}, {GROUPS[group]}", pair)
    pattern = "quantised to {code}, {group}, and decoded"
    labels = {"code": code.name, "group": GROUPS[group]}
    return _told(name, pattern, pair, share, is_exact, **labels)


def _may_be_made_of(name: str, grid: str, pair: Pair) -> Change:
    """Return the change of a slice on a grid in the middle of whose steps its source lies."""
    whose = f"the numbers of {printable(name)}" if name else "what is expected"
    pattern = (
        "on the grid of {grid}, and {whose} in the middle of its steps, as what was made from "
        "numbers of the grid lies and what was quantised does not"
    )
    return Change("gridded", pattern, pair.numbers, {"grid": grid, "whose": whose})


def centred(values: Floats, coded: Callable[[Floats], Floats]) -> float:
    """Return the share of numbers in the middle quarter of what is coded as they are.

    ``values`` is (groups, elements), ``coded`` takes as many and returns what they are decoded to.
    Those whose cell has no end, as the largest codes', and those that are coded as zero, where most
    numbers are small, are left out. 0 where none is left.

    >>> values = np.random.default_rng(0).uniform(-8, 8, (4, 512))
    >>> abs(centred(values, np.rint) - 0.25) < 0.05
    True
    >>> centred(np.rint(values) + 0.01, np.rint)
    1.0
    """
    values = values.astype(np.float64)
    own = coded(values)
    ends = []
    for sign in (-1.0, 1.0):
        inside = np.zeros_like(values)
        beyond = np.maximum(np.abs(values), np.finfo(np.float32).tiny) * 2.0**-12
        for _ in range(DOUBLINGS):
            is_same = coded(values + sign * beyond) == own
            inside = np.where(is_same, beyond, inside)
            beyond = np.where(is_same, 2.0 * beyond, beyond)
        found = coded(values + sign * beyond) != own
        for _ in range(HALVINGS):
            middle = (inside + beyond) / 2.0
            is_same = coded(values + sign * middle) == own
            inside, beyond = np.where(is_same, middle, inside), np.where(is_same, beyond, middle)
        ends.append(np.where(found, inside, np.nan))
    below, above = ends
    with np.errstate(invalid="ignore"):
        off = np.abs(above - below) / (above + below)
    known = np.isfinite(off) & (own != 0.0)
    return float((off[known] <= 0.25).mean()) if known.any() else 0.0


def _possible(groups: Floats) -> list[Code]:
    """Return the codings that have as many numbers as groups of the child hold."""
    rows, _ = chosen(len(groups), groups.shape[1], 2 * FIRST)
    most = float(np.median(_distinct(groups[rows, :SAMPLE])))
    return [code for code in CODES if most <= 1 << code.bits]


def _tried(
    tables: tuple[Floats, Floats], codes: Sequence[Code], most: int, pair: Pair
) -> list[Code]:
    """Return the codings that give enough of a sample of the child's numbers."""
    if not codes:
        return []
    theirs, mine = tables
    which, inside = chosen(len(theirs), theirs.shape[1], most)
    whole = theirs[which]
    low, high = _ends(whole)
    values, child = whole[:, inside].astype(np.float32), mine[which[:, None], inside]
    return [
        code
        for code in codes
        if _same(_decoded(code, values, low, high, pair.dtype), child, pair.dtype).mean() >= TRIED
    ]


def _same(result: Floats, child: Floats, dtype: str) -> NDArray[np.bool_]:
    """Return where a result is the child's: to the bit, or nearly where quantisers are as precise.

    Quantisers compute in float32, in an order that differs from one to the next.
    """
    if dtype in PRECISE:
        found: NDArray[np.bool_] = np.abs(result - child) <= ARITHMETIC * units(child, dtype)
        return found
    return np.equal(result, child)


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
    same = _same(result, child, pair.dtype)
    changed = result != cast(source, pair.dtype)
    if int(changed.sum()) < LEAST or changed.mean() < MOVED or same[changed].mean() < GIVEN:
        return 0.0
    return float(same.mean())
