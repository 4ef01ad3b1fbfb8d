"""First look at a whole library: thumbnails say who is a relative, and who is worth reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.relatives.degrees import Degrees

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
    mine = {key: child.thumbs[at] for at, key in enumerate(child.keys)}
    found: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []
    for names, members in groups.items():
        shared = [at for at, key in enumerate(names) if key in mine]
        if not shared or len(shared) * width < LEAST_ELEMENTS:
            continue
        values = _stacked(thumbs, members, len(names), width)
        if len(shared) < len(names):
            values = values[:, shared]
        values = values.reshape(len(members), -1)
        ours = np.nan_to_num(np.concatenate([mine[names[at]] for at in shared]))
        ours = ours.astype(np.float32)
        squares = np.einsum("ij,ij->i", values, values)
        lengths = np.sqrt(squares * float(ours @ ours))
        rows = np.array(members, dtype=np.intp)
        cosines[rows] = np.divide(
            values @ ours, lengths, out=np.zeros(len(rows), np.float32), where=lengths > 0
        )
        common[rows] = values.shape[1]
        near = cosines[rows] >= limits.family
        if near.any():
            found.append((rows[near], values[near] - ours))
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
        worth_reading(alike, found),
        _proposed(child, index, is_kin),
    )


def _stacked(thumbs: pl.Series, rows: Sequence[int], keys: int, width: int) -> NDArray[np.float32]:
    """Return (rows, keys, width) thumbnails; zeros for one of another size, or not finite."""
    size = 4 * keys * width
    found = thumbs.gather(list(rows)).to_list()
    raw = bytearray().join(each if len(each) == size else bytes(size) for each in found)
    values = np.frombuffer(raw, "<f4").reshape(len(rows), -1)
    values[~np.isfinite(values.sum(axis=1))] = 0.0
    return values.reshape(len(rows), keys, width)


def worth_reading(
    alike: Floats, found: Sequence[tuple[NDArray[np.intp], NDArray[np.float32]]]
) -> NDArray[np.intp]:
    """Return relatives that are worth reading, the nearest first.

    Those are the nearest, those that lines to others meet at, and those that by orthogonal matching
    pursuit explain what the nearest leaves. Of those that have less in common with the child than
    most, the most alike.

    Parameters
    ----------
    alike
        (N,) cosines of all.
    found
        By what relatives have in common with the child, which they are, and their thumbnails less
        the child's.
    """
    if not found:
        return np.zeros(0, dtype=np.intp)
    rows, values = max(found, key=lambda each: len(each[0]))
    others = [each for each, _ in found if each is not rows]
    squares = np.einsum("ij,ij->i", values, values)
    order = np.argsort(squares, kind="stable")
    chosen: list[int] = list(order[:NEAREST].tolist())
    chosen += [at for at in _meeting(values, squares) if at not in chosen][:CENTRAL]
    chosen += [at for at in _pursued(values, squares, int(order[0])) if at not in chosen]
    kept = sorted(chosen, key=lambda at: float(squares[at]))
    rest = np.concatenate([np.zeros(0, dtype=np.intp), *others])
    rest = rest[np.argsort(-alike[rest], kind="stable")][: NEAREST // 4]
    return np.concatenate([rows[kept], rest])


def _meeting(values: NDArray[np.float32], squares: NDArray[np.float32]) -> list[int]:
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


def _pursued(values: NDArray[np.float32], squares: NDArray[np.float32], nearest: int) -> list[int]:
    """Return rows that explain, one after the other, what the nearest leaves of the child."""
    directions = values - values[nearest]
    residual = -values[nearest]
    lengths = np.sqrt(np.einsum("ij,ij->i", directions, directions))
    usable = lengths > 1e-4 * np.sqrt(squares.max(initial=0.0))
    chosen: list[int] = []
    basis: list[NDArray[np.float32]] = []
    for _ in range(EXPLAINING):
        match = np.abs(directions @ residual)
        match = np.divide(match, lengths, out=np.zeros(len(values), np.float32), where=usable)
        match[chosen] = 0.0
        best = int(match.argmax())
        if match[best] <= 0.0:
            break
        chosen.append(best)
        step = directions[best].copy()
        for each in basis:
            step -= (step @ each) * each
        norm = float(np.linalg.norm(step))
        if norm <= 1e-4 * lengths[best]:
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
    groups: dict[tuple[tuple[str, ...], int], list[int]] = {}
    lengths = index["lengths"].to_list()
    for row, names in enumerate(index["measured"].to_list()):
        if not is_kin[row]:
            groups.setdefault((tuple(names), len(lengths[row])), []).append(row)
    for (called, size), rows in groups.items():
        shared = [at for at, key in enumerate(called) if key in mine]
        if not shared or size % (4 * len(called)):
            continue
        width = size // (4 * len(called))
        if any(len(mine[called[at]]) != width for at in shared):
            continue
        raw = b"".join(lengths[row] for row in rows)
        theirs = np.frombuffer(raw, "<f4").reshape(len(rows), len(called), width)[:, shared]
        ours = np.stack([mine[called[at]] for at in shared])
        unlike = np.sqrt(((theirs - ours) ** 2).mean(axis=(1, 2)))
        distances[rows] = np.where(np.isfinite(unlike), unlike, np.inf)
    order = np.argsort(distances, kind="stable")[:PROPOSED]
    return order[distances[order] <= LIKE_LENGTHS]
