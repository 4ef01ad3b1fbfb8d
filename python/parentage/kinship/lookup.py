"""First look at a whole library: thumbnails say who is a relative, and who is worth reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.kinship.degrees import Degrees

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

    from parentage.library import Sketch
    from parentage.support import Floats

LEAST_ELEMENTS = 256
"""Elements in common from which on a cosine of thumbnails means something."""

CHANCE = 6.0
"""Standard deviations of the cosine of independent weights that one has to exceed as well."""

WITNESSES = 256
"""Relatives by which it is judged where lines meet, at most."""

NEAREST = 24
"""Relatives that are read because they are the nearest."""

CENTRAL = 8
"""Those that are read because lines to the others meet there."""

EXPLAINING = 8
"""Those that are read because they explain what the nearest leaves."""

LIKE_LENGTHS = 0.02
"""Most root mean square difference of the lengths of rows and columns, over their mean, of one that
is proposed where elements are not alike."""

PROPOSED = 5
"""How many of those are told."""


@dataclass(frozen=True)
class Look:
    """What thumbnails say of N sketches."""

    names: list[str]
    files: list[str]
    cosines: Floats
    """(N,) of the child's and each one's, NaN where they have too little in common."""
    common: NDArray[np.int64]
    """(N,) elements in common."""
    relatives: NDArray[np.intp]
    """Those that are of one family at least, the most alike first."""
    read: NDArray[np.intp]
    """Those of them that are worth reading, at most forty."""
    proposed: NDArray[np.intp]
    """Those whose elements are not alike, and whose rows and columns have the same lengths."""


def look(child: Sketch, index: pl.DataFrame, degrees: Degrees | None = None) -> Look:
    """Return what thumbnails say of all sketches in an index."""
    limits = degrees or Degrees()
    count = len(index)
    cosines, common = np.full(count, np.nan), np.zeros(count, dtype=np.int64)
    keys = [tuple(each) for each in index["keys"].to_list()]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, each in enumerate(keys):
        groups.setdefault(each, []).append(row)
    width = child.thumbs.shape[1] if child.keys else 0
    thumbs = index["thumbs"]
    values = np.zeros((count, 0), dtype=np.float32)
    mine = {key: child.thumbs[at] for at, key in enumerate(child.keys)}
    vectors: dict[int, Floats] = {}
    for names, rows in groups.items():
        shared = [at for at, key in enumerate(names) if key in mine]
        if not shared or len(shared) * width < LEAST_ELEMENTS:
            continue
        values = _stacked(thumbs, rows, len(names), width)[:, shared].reshape(len(rows), -1)
        ours = np.nan_to_num(np.concatenate([mine[names[at]] for at in shared]))
        ours = ours.astype(np.float32)
        lengths = np.linalg.norm(values, axis=1) * np.linalg.norm(ours)
        inner = values @ ours
        cosines[rows] = np.divide(inner, lengths, out=np.zeros(len(rows)), where=lengths > 0)
        common[rows] = values.shape[1]
        near = np.flatnonzero(cosines[rows] >= limits.family).tolist()
        vectors |= {rows[at]: values[at] - ours for at in near}
    alike = np.nan_to_num(cosines, nan=-1.0)
    is_kin = (alike >= limits.family) & (alike > CHANCE / np.sqrt(np.maximum(common, 1)))
    relatives = np.flatnonzero(is_kin)
    relatives = relatives[np.argsort(-alike[relatives], kind="stable")]
    return Look(
        index["name"].to_list(),
        index["file"].to_list(),
        cosines,
        common,
        relatives,
        worth_reading(relatives, vectors),
        _proposed(child, index, is_kin),
    )


def _stacked(thumbs: pl.Series, rows: Sequence[int], keys: int, width: int) -> NDArray[np.float32]:
    """Return (rows, keys, width) thumbnails; zeros for one of another size."""
    size = 4 * keys * width
    found = thumbs.gather(list(rows)).to_list()
    raw = b"".join(each if len(each) == size else bytes(size) for each in found)
    values = np.frombuffer(raw, "<f4").reshape(len(rows), keys, width)
    out: NDArray[np.float32] = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    return out


def worth_reading(relatives: NDArray[np.intp], vectors: dict[int, Floats]) -> NDArray[np.intp]:
    """Return relatives that are worth reading, the nearest first.

    ``vectors`` are their thumbnails less the child's. Those are the nearest, those that lines to
    others meet at, and those that by orthogonal matching pursuit explain what the nearest leaves.
    Thumbnails of another length than most are judged by how near they are alone.
    """
    sizes = [len(vectors[row]) for row in relatives.tolist()]
    if not sizes:
        return relatives
    usual = max(set(sizes), key=sizes.count)
    rows = np.array(
        [row for row in relatives.tolist() if len(vectors[row]) == usual], dtype=np.intp
    )
    others = np.array([row for row in relatives.tolist() if len(vectors[row]) != usual], np.intp)
    values = np.stack([vectors[row] for row in rows.tolist()]).astype(np.float64)
    squares = (values**2).sum(axis=1)
    order = np.argsort(squares, kind="stable")
    chosen = list(order[:NEAREST].tolist())
    chosen += [at for at in _meeting(values, squares) if at not in chosen][:CENTRAL]
    chosen += [at for at in _pursued(values, squares, int(order[0])) if at not in chosen]
    kept = sorted(chosen, key=lambda at: squares[at])
    return np.concatenate([rows[kept], others[: NEAREST // 4]])


def _meeting(values: Floats, squares: Floats) -> list[int]:
    """Return rows, first those at which the line to the child is at right angles to the others."""
    step = max(1, len(values) // WITNESSES)
    witness = np.arange(0, len(values), step)[:WITNESSES]
    inner = values @ values[witness].T
    # At b, (y - b).(w - b) with the child y at the origin.
    product = squares[:, None] - inner
    distance = squares[:, None] + squares[witness][None, :] - 2.0 * inner
    scale = np.sqrt(np.maximum(squares[:, None] * distance, 0.0))
    cosine = np.divide(product, scale, out=np.full_like(product, np.nan), where=scale > 1e-12)
    with np.errstate(all="ignore"):
        cosine[np.isnan(cosine)] = 1.0
        middle = np.median(np.abs(cosine), axis=1)
    return [int(each) for each in np.argsort(middle, kind="stable")]


def _pursued(values: Floats, squares: Floats, nearest: int) -> list[int]:
    """Return rows that explain, one after the other, what the nearest leaves of the child."""
    directions = values - values[nearest]
    residual = -values[nearest]
    lengths = np.linalg.norm(directions, axis=1)
    usable = lengths > 1e-9 * np.sqrt(squares.max(initial=1.0))
    chosen: list[int] = []
    basis: list[Floats] = []
    for _ in range(EXPLAINING):
        match = np.abs(directions @ residual)
        match = np.divide(match, lengths, out=np.zeros(len(values)), where=usable)
        match[chosen] = 0.0
        best = int(match.argmax())
        if match[best] <= 0.0:
            break
        chosen.append(best)
        step = directions[best].copy()
        for each in basis:
            step -= (step @ each) * each
        norm = float(np.linalg.norm(step))
        if norm <= 1e-9 * lengths[best]:
            continue
        basis.append(step / norm)
        residual = residual - (residual @ basis[-1]) * basis[-1]
    return chosen


def _proposed(child: Sketch, index: pl.DataFrame, is_kin: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return sketches that are not alike, and whose rows and columns have the child's lengths."""
    mine = {key: np.array(each) for key, each in child.invariants.items()}
    if not mine:
        return np.zeros(0, dtype=np.intp)
    distances = np.full(len(index), np.inf)
    pairs = zip(index["measured"].to_list(), index["lengths"].to_list(), strict=True)
    for row, (names, raw) in enumerate(pairs):
        shared = [at for at, key in enumerate(names) if key in mine]
        if is_kin[row] or not shared or len(raw) % (4 * len(names)):
            continue
        theirs = np.frombuffer(raw, "<f4").reshape(len(names), -1)
        if any(theirs.shape[1] != len(mine[names[at]]) for at in shared):
            continue
        unlike = [np.mean((theirs[at] - mine[names[at]]) ** 2) for at in shared]
        distances[row] = float(np.sqrt(np.mean(unlike)))
    order = np.argsort(distances, kind="stable")[:PROPOSED]
    return order[distances[order] <= LIKE_LENGTHS]
