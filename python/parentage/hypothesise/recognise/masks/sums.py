"""Which sums the elements of a child are: whether of one sign only, and of which parents each."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.masks.view import BF16_ERROR, deepest

if TYPE_CHECKING:
    from parentage.hypothesise.recognise.masks.view import Bools, View
    from parentage.support import Floats


def structure(view: View, terms: Floats) -> tuple[bool, bool, Floats]:
    """Return whether signs are elected, whether sums are means, and the weights of the means."""
    count = len(terms)
    shares = np.full(count, 1.0 / count)
    if count < 2:
        return False, False, shares
    alone = ~view.moved
    for term in terms:
        alone |= view.admits(term)
    large = np.abs(terms) > 2.0 * view.width
    ratios = np.zeros(count)
    total_plain = total_mean = total = mixed = plain_hits = 0
    for i, j in combinations(range(count), 2):
        rows = np.flatnonzero(~alone & large[i] & large[j])
        if len(rows) < 20:
            continue
        a, b = terms[i, rows], terms[j, rows]
        low, high = view.low[rows], view.high[rows]
        extra = BF16_ERROR * (np.abs(a) + np.abs(b)) if view.arithmetic == "bfloat16" else 0.0
        hits = (a + b >= low - extra) & (a + b <= high + extra)
        same = (a > 0) == (b > 0)
        found, depth, tried = _mean(low[same], high[same], a[same], b[same])
        total += len(rows)
        total_plain += int((hits & same).sum())
        plain_hits += int(hits.sum())
        mixed += int((hits & ~same).sum())
        total_mean += depth if tried else 0
        if i == 0 and 0.0 < found < 1.0:
            ratios[j] = (1.0 - found) / found
    if total == 0:
        return False, False, shares
    if total_mean > 1.2 * total_plain:
        if np.all(ratios[1:] > 0):
            ratios[0] = 1.0
            shares = ratios / ratios.sum()
        return True, True, shares
    return plain_hits > 0 and mixed < 0.03 * plain_hits, False, shares


def _mean(low: Floats, high: Floats, a: Floats, b: Floats) -> tuple[float, int, int]:
    """Return the u for which most cells admit u a + (1 - u) b, and how many do of how many."""
    slope = a - b
    rows = np.flatnonzero(np.abs(slope) > 4.0 * (high - low))
    if len(rows) < 10:
        return float("nan"), 0, 0
    one, two = (low[rows] - b[rows]) / slope[rows], (high[rows] - b[rows]) / slope[rows]
    ends = np.minimum(one, two), np.maximum(one, two)
    inside = (ends[0] > 0.005) & (ends[1] < 0.995)
    owner = np.zeros(int(inside.sum()), np.intp)
    found, _, depth = deepest(ends[0][inside], ends[1][inside], owner, 1)
    return float(found[0]), int(depth[0]), len(rows)


def assigned(
    view: View, terms: Floats, elected: bool, normalized: bool, shares: Floats
) -> tuple[Bools, Bools, float]:
    """Return which displacements are known to be kept, and dropped, and the share explained."""
    count = len(terms)
    can_keep, can_drop = np.zeros_like(terms, bool), np.zeros_like(terms, bool)
    explained = np.zeros(view.size, bool)
    size = np.abs(terms)
    votes = terms * (shares[:, None] if normalized else 1.0)
    for chosen in product((False, True), repeat=count):
        inside = [i for i in range(count) if chosen[i]]
        if not inside:
            ok = view.admits(np.zeros(view.size))
        else:
            part = terms[inside]
            total = part.sum(axis=0)
            if normalized:
                total = (part * shares[inside, None]).sum(axis=0) / shares[inside].sum()
            ok = view.admits(total, size[inside].sum(axis=0) if len(inside) > 1 else None)
            if elected:
                signs = np.sign(part)
                ok &= (signs == signs[0]).all(axis=0) & (signs[0] != 0.0)
        explained |= ok
        for i in range(count):
            if chosen[i]:
                can_keep[i] |= ok
                continue
            can_drop[i] |= ok
            if elected and inside:
                # One of the other sign may have been kept and outvoted.
                won = votes[inside].sum(axis=0)
                outvoted = (np.sign(won) != np.sign(terms[i])) & (
                    np.abs(won) >= np.abs(votes[i]) * (1.0 - 1e-6)
                )
                can_keep[i] |= ok & outvoted
    known = terms != 0.0
    moved = int(view.moved.sum())
    return (
        can_keep & ~can_drop & known,
        can_drop & ~can_keep & known,
        float((explained & view.moved).sum() / moved) if moved else 0.0,
    )
