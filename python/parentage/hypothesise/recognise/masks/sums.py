"""Which sums of displacements the elements of a child are: of which signs, and of whose."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.recognise.masks.view import BF16_ERROR, deepest_overlap

if TYPE_CHECKING:
    from parentage.hypothesise.recognise.masks.view import Bools, View
    from parentage.support import Floats


def sum_structure(view: View, terms: Floats) -> tuple[bool, bool, Floats]:
    """Return whether signs are elected, whether sums are means, and the weights of the means.

    ``terms`` (parents, elements) are displacements times their coefficients. Told by the elements
    that no parent's term alone explains, for every pair of parents: whether the sum of both is in
    the cell, and if so only where both have one sign, or else one and the same mean of both.
    """
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
        share, depth, tried = _mean_share(low[same], high[same], a[same], b[same])
        total += len(rows)
        total_plain += int((hits & same).sum())
        plain_hits += int(hits.sum())
        mixed += int((hits & ~same).sum())
        total_mean += depth if tried else 0
        if i == 0 and 0.0 < share < 1.0:
            ratios[j] = (1.0 - share) / share
    if total == 0:
        return False, False, shares
    if total_mean > 1.2 * total_plain:
        if np.all(ratios[1:] > 0):
            ratios[0] = 1.0
            shares = ratios / ratios.sum()
        return True, True, shares
    return plain_hits > 0 and mixed < 0.03 * plain_hits, False, shares


def _mean_share(low: Floats, high: Floats, a: Floats, b: Floats) -> tuple[float, int, int]:
    """Return the u for which most cells admit u a + (1 - u) b, how many do, and of how many.

    ``low`` and ``high`` (n,) are the ends of the cells, ``a`` and ``b`` (n,) the terms.
    """
    slope = a - b
    rows = np.flatnonzero(np.abs(slope) > 4.0 * (high - low))
    if len(rows) < 10:
        return float("nan"), 0, 0
    one, two = (low[rows] - b[rows]) / slope[rows], (high[rows] - b[rows]) / slope[rows]
    ends = np.minimum(one, two), np.maximum(one, two)
    inside = (ends[0] > 0.005) & (ends[1] < 0.995)
    owner = np.zeros(int(inside.sum()), np.intp)
    share, _, depth = deepest_overlap(ends[0][inside], ends[1][inside], owner, 1)
    return float(share[0]), int(depth[0]), len(rows)


def assign_masks(
    view: View, terms: Floats, elected: bool, normalized: bool, shares: Floats
) -> tuple[Bools, Bools, float]:
    """Return which displacements are known to be kept, and dropped, and the share explained.

    ``terms`` (parents, elements) are displacements times their coefficients, and so are the first
    two; the third is the share of changed elements whose cell admits some set's sum.
    """
    count = len(terms)
    can_keep, can_drop = np.zeros_like(terms, bool), np.zeros_like(terms, bool)
    explained = np.zeros(view.size, bool)
    size = np.abs(terms)
    votes = terms * (shares[:, None] if normalized else 1.0)
    for chosen in product((False, True), repeat=count):
        inside = [i for i in range(count) if chosen[i]]
        if not inside:
            admitted = view.admits(np.zeros(view.size))
        else:
            part = terms[inside]
            total = part.sum(axis=0)
            if normalized:
                total = (part * shares[inside, None]).sum(axis=0) / shares[inside].sum()
            admitted = view.admits(total, size[inside].sum(axis=0) if len(inside) > 1 else None)
            if elected:
                signs = np.sign(part)
                admitted &= (signs == signs[0]).all(axis=0) & (signs[0] != 0.0)
        explained |= admitted
        for i in range(count):
            if chosen[i]:
                can_keep[i] |= admitted
                continue
            can_drop[i] |= admitted
            if elected and inside:
                # One of the other sign may have been kept and outvoted.
                won = votes[inside].sum(axis=0)
                outvoted = (np.sign(won) != np.sign(terms[i])) & (
                    np.abs(won) >= np.abs(votes[i]) * (1.0 - 1e-6)
                )
                can_keep[i] |= admitted & outvoted
    known = terms != 0.0
    moved = int(view.moved.sum())
    return (
        can_keep & ~can_drop & known,
        can_drop & ~can_keep & known,
        float((explained & view.moved).sum() / moved) if moved else 0.0,
    )
