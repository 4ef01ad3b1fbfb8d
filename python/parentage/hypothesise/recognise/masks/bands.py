"""Masks by size: the sizes of displacements that were kept in each slice, and their share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parentage.methods import masked

if TYPE_CHECKING:
    from parentage.hypothesise.recognise.masks.view import Bools, Places, View
    from parentage.support import Floats

OUTLIERS = 1e-3
"""Share of known masks that may contradict a threshold without moving it."""


@dataclass(frozen=True)
class Band:
    """The sizes of displacements that were kept in a slice, as far as known masks tell them.

    The lower threshold lies between ``low`` and ``high``, the upper one, if there is any, between
    ``top_low`` and ``top_high``.
    """

    low: float = 0.0
    """Displacements smaller than this were dropped."""
    high: float = masked.LARGEST
    """Displacements larger than this were kept, up to the upper threshold."""
    top_low: float = masked.LARGEST
    """Displacements larger than this may have been dropped as too large."""
    top_high: float = masked.LARGEST
    """Displacements larger than this were dropped as too large."""
    errors: int = 0
    """Known masks that contradict the thresholds."""
    known: int = 0
    """Known masks: elements that were certainly kept or certainly dropped."""


def band(size: Floats, kept: Bools, dropped: Bools, *, is_capped: bool) -> Band:
    """Return the band of sizes that was kept in a slice.

    ``size`` (n,) are the absolute displacements of its elements, ``kept`` and ``dropped`` (n,) the
    known masks. With ``is_capped`` there is an upper threshold, too.
    """
    known = kept | dropped
    total = int(known.sum())
    if total == 0:
        return Band()
    values, inverse = np.unique(size[known], return_inverse=True)
    score = np.bincount(inverse, np.where(kept[known], 1.0, -1.0), len(values))
    sums = np.concatenate([[0.0], np.cumsum(score)])
    if is_capped:
        # The run of values with the largest sum of kept less dropped.
        lowest = np.minimum.accumulate(sums[:-1])
        end = int(np.argmax(sums[1:] - lowest))
        start = int(np.argmin(sums[: end + 1]))
    else:
        end = len(values) - 1
        start = int(np.argmin(sums))
    edge = values[start] if start < len(values) else np.inf
    cap = values[end] if start <= end else np.inf
    k, d = np.sort(size[kept]), np.sort(size[dropped])
    spare = int(OUTLIERS * total)
    k_in = k[k <= cap]
    inner = d[d <= (edge + cap) / 2.0] if is_capped else d
    smallest = float(k_in[min(spare, len(k_in) - 1)]) if len(k_in) else masked.LARGEST
    largest = float(inner[max(len(inner) - 1 - spare, 0)]) if len(inner) else 0.0
    errors = int((k < min(edge, cap)).sum() + (k > cap).sum() + ((d >= edge) & (d <= cap)).sum())
    top_low = top_high = masked.LARGEST
    if is_capped and start <= end:
        outer = d[d > (edge + cap) / 2.0]
        k_max = float(k[max(len(k) - 1 - spare, 0)]) if len(k) else 0.0
        d_min = float(outer[min(spare, len(outer) - 1)]) if len(outer) else masked.LARGEST
        top_low, top_high = min(k_max, d_min), max(k_max, d_min)
    return Band(min(smallest, largest), max(smallest, largest), top_low, top_high, errors, total)


def bands_of(
    size: Floats, kept: Bools, dropped: Bools, view: View, *, is_capped: bool
) -> list[Band]:
    """Return the band of every slice.

    ``size`` (elements,) is what masks go by; ``kept`` and ``dropped`` (elements,) are known masks.
    """
    order = np.argsort(view.owner, kind="stable")
    ends = np.cumsum(np.bincount(view.owner, minlength=view.slices))
    bands = []
    start = 0
    for end in ends:
        rows = order[start:end]
        bands.append(band(size[rows], kept[rows], dropped[rows], is_capped=is_capped))
        start = int(end)
    return bands


def shares_above(
    sizes: Floats, owner: Places, low: Floats, high: Floats
) -> tuple[float, float, float]:
    """Return the least and the greatest share of elements above thresholds, and what rounding adds.

    ``sizes`` and ``owner`` (elements,) are sizes and slices of elements; ``low`` and ``high`` (S,)
    bound the threshold of each slice. Slices in which any threshold is possible do not count. Of
    each slice a whole number of elements is kept, up to one less than the density says: that is the
    third share.
    """
    count = len(low)
    total = np.bincount(owner, minlength=count).astype(np.float64)
    least = np.bincount(owner, sizes > high[owner], count)
    most = np.bincount(owner, sizes >= low[owner], count)
    informed = (total > 0) & ~((least == 0) & (most == total))
    if not informed.any():
        return 0.0, 1.0, 0.0
    weight = float(total[informed].sum())
    return (
        float(least[informed].sum()) / weight,
        float(most[informed].sum()) / weight,
        float(informed.sum()) / weight,
    )


def shortest_between(bottom: float, top: float) -> float:
    """Return the shortest decimal between two numbers, of the shortest the one nearest the middle.

    >>> shortest_between(0.4987, 0.507), shortest_between(0.0093, 0.0101)
    (0.5, 0.01)
    """
    middle = (bottom + top) / 2.0
    for digits in range(1, 5):
        near = round(middle, digits)
        if bottom - 1e-9 <= near <= top + 1e-9:
            return near
    return round(middle, 5)
