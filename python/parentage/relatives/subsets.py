"""Which relatives explain a checkpoint best, and where the lines between all of them meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.verdict import Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.support import Floats

MOST = 3
"""Checkpoints of a blend that is looked for."""

GAIN = 0.5
"""Most of what a smaller blend leaves that a larger one may leave, to be preferred: one more
relative at random takes next to nothing off what rounding leaves, and siblings of what was not
offered take half at most."""

CLEAR = 0.75
"""Most of the next one's mean cosine that the one has at which lines meet."""

SAME_PLACE = 0.1
"""Distance of two relatives, as a share of the median distance from the child, up to which lines
that meet at one of them meet at the other."""

OUTSIDE = 0.02
"""How far below zero a weight of a convex combination may be for rounding."""

BETWEEN = 2.0
"""Most that a convex combination leaves, in roundings: merges computed in bfloat16 reach 1.9."""

MEANS = 0.25
"""Most of the squared distance from the nearest that a blend leaves: the mean of three independent
ones leaves a third."""

CHUNK = 2048
"""Subsets that are tried at once."""

LEAST_RELATIVES = 3
"""Checkpoints beside one, from which on lines can meet there and nowhere else."""

SAME = 0.05
"""Most distance of two relatives, in root mean square roundings of the child, for them to be the
same numbers: float16 loses as little of what bfloat16 holds."""


@dataclass(frozen=True)
class Blend:
    """A combination of checkpoints that explains another one, in part or whole."""

    members: tuple[int, ...]
    """Which they are, the one of the largest weight first."""
    weights: tuple[float, ...]
    """Their sum is one; over all tensors, although each may have its own to explain more."""
    r2: float
    """Share of the squared distance from the nearest of all relatives that it explains, with
    weights for each tensor."""
    floors: float
    """What it leaves, in root mean square roundings of the child."""
    tried: int
    """How many subsets were tried to find it."""
    log10_p: float
    """That chance alone takes off as much, of that many: Bonferroni's bound, elements taken as
    independent; 0 for a single one."""

    @property
    def is_good(self) -> bool:
        """Whether it explains as much as a blend has to, or all but rounding."""
        limits = Thresholds()
        is_rounding = self.floors <= limits.merge_residual
        return len(self.members) > 1 and (self.r2 >= limits.explained or is_rounding)


def same_numbers(gram: Floats, floor: float) -> list[list[int]]:
    """Return relatives that are the same numbers, up to what a cast loses, each with its like.

    ``gram`` (K, K) is of differences from the child, ``floor`` the energy of its rounding.
    """
    squares = np.diagonal(gram)
    groups: list[list[int]] = []
    for at in range(len(gram)):
        for group in groups:
            first = group[0]
            distance = squares[at] + squares[first] - 2.0 * gram[at, first]
            if distance <= SAME**2 * floor:
                group.append(at)
                break
        else:
            groups.append([at])
    return groups


def best_blend(grams: Floats, floor: float, elements: int) -> Blend:
    """Return the smallest combination of K checkpoints that explains another one well.

    Parameters
    ----------
    grams
        (T, K, K) inner products, by tensor, of their differences from it.
    floor
        The energy of its rounding: the sum of ulp^2 / 12.
    elements
        Over how many elements.

    Notes
    -----
    All subsets of up to three are tried, with weights of their own for each tensor whose sum is
    one. A larger one takes the place of a smaller one if it leaves half of what that leaves.
    """
    total = grams.sum(axis=0)
    squares = np.diagonal(total)
    nearest = int(squares.argmin())
    left = distance = float(squares[nearest])
    count = len(total)
    best: tuple[int, ...] = (nearest,)
    tried = count
    for size in range(2, min(MOST, count) + 1) if distance > 0.0 else ():
        members = _subsets(count, size)
        tried += len(members)
        energies = _lefts(grams, members)
        first = int(energies.argmin())
        if energies[first] <= GAIN * left:
            left, best = float(energies[first]), tuple(members[first].tolist())
    weights = combination(total, best)
    order = np.argsort(-np.abs(weights), kind="stable").tolist()
    r2 = 1.0 - left / distance if distance > 0.0 else 0.0
    return Blend(
        tuple(best[at] for at in order),
        tuple(float(weights[at]) for at in order),
        r2,
        math.sqrt(left / floor) if floor > 0.0 else math.inf if left > 0.0 else 0.0,
        tried,
        min(0.0, _log10_chance(r2, elements) + math.log10(tried)),
    )


def _lefts(grams: Floats, members: NDArray[np.intp], *, inside: bool = False) -> Floats:
    """Return (P,) energies left of a checkpoint by (P, 2) or (P, 3) subsets, the best weights each.

    ``grams`` are (T, K, K), of differences from it; each tensor has weights of its own. With
    ``inside``, what is no convex combination in every tensor leaves infinity.
    """
    out = []
    for first in range(0, len(members), CHUNK):
        one, *middle, last = members[first : first + CHUNK].T
        apex = grams[:, last, last]
        # In differences from the last one, whose weight is what the others' leave of one.
        aa = grams[:, one, one] - 2.0 * grams[:, one, last] + apex
        ya = apex - grams[:, one, last]
        if not middle:
            usable = aa > 1e-12 * apex
            weights = [np.divide(ya, aa, out=np.zeros_like(ya), where=usable)]
            gained = weights[0] * ya
        else:
            two = middle[0]
            bb = grams[:, two, two] - 2.0 * grams[:, two, last] + apex
            ab = grams[:, one, two] - grams[:, one, last] - grams[:, two, last] + apex
            yb = apex - grams[:, two, last]
            det = aa * bb - ab * ab
            usable = det > 1e-9 * aa * bb
            weights = [
                np.divide(top, det, out=np.zeros_like(ya), where=usable)
                for top in (ya * bb - yb * ab, yb * aa - ya * ab)
            ]
            gained = weights[0] * ya + weights[1] * yb
        left = np.maximum(apex - gained, 0.0).sum(axis=0)
        if inside:
            every = np.stack([*weights, 1.0 - sum(weights)])
            left = np.where((every >= -OUTSIDE).all(axis=(0, 1)), left, np.inf)
        out.append(left)
    return np.concatenate(out) if out else np.zeros(0)


@lru_cache(maxsize=8)
def _subsets(count: int, size: int) -> NDArray[np.intp]:
    """Return (P, size) subsets of so many, each ascending."""
    found = np.array(list(combinations(range(count), size)), dtype=np.intp).reshape(-1, size)
    found.flags.writeable = False
    return found


def seen_from(grams: Floats, at: int) -> Floats:
    """Return (T, K, K) inner products of differences from one of K, and not from the child."""
    row = grams[:, at, :]
    return grams - row[:, None, :] - row[:, :, None] + grams[:, at, at][:, None, None]


def derived(grams: Floats, floor: float) -> list[int]:
    """Return those of K relatives that are blends of two or three of the others, all but rounding.

    With one set of weights, only the one that was computed is given up to the rounding of its own:
    turned round, a blend has that rounding enlarged. With weights for each tensor, and more
    rounding, only what lies between others counts: what a blend was made of never does. ``floor``
    is taken for that of each, as they are stored alike.
    """
    limits = Thresholds()
    near = limits.near**2 * floor
    whole = grams.sum(axis=0)[None]
    out: list[int] = []
    for at in range(grams.shape[1]):
        others = [each for each in range(grams.shape[1]) if each != at]
        pick = np.ix_(range(len(grams)), others, others)
        total = seen_from(whole, at)[:, others][:, :, others]
        # What is as near as rounding to another one is its copy, and no blend.
        nearest = float(np.diagonal(total[0]).min()) if others else 0.0
        if nearest <= near:
            continue
        # The mean of a few that lie around it is nearer by chance.
        most = MEANS * nearest
        each_tensor = seen_from(grams, at)[pick]
        for size in range(2, min(MOST, len(others)) + 1):
            subsets = _subsets(len(others), size)
            left = float(_lefts(total, subsets).min(initial=math.inf))
            between = float(_lefts(each_tensor, subsets, inside=True).min(initial=math.inf))
            if left <= min(limits.merge_residual**2 * floor, most) or between <= min(
                BETWEEN**2 * floor, most
            ):
                out.append(at)
                break
    return out


def combination(gram: Floats, members: Sequence[int]) -> Floats:
    """Return weights with sum one of the shortest combination of some differences.

    >>> combination(np.array([[4.0, -2.0], [-2.0, 1.0]]), (0, 1)).round(6).tolist()
    [0.333333, 0.666667]
    """
    chosen = gram[np.ix_(members, members)]
    last = chosen[-1, -1]
    inner = chosen[:-1, :-1] - chosen[:-1, -1:] - chosen[-1:, :-1] + last
    right = last - chosen[:-1, -1]
    free = np.linalg.lstsq(inner, right, rcond=1e-10)[0]
    weights: Floats = np.append(free, 1.0 - free.sum())
    return weights


def _log10_chance(share: float, elements: int) -> float:
    """Return log10 of the chance that a direction at random explains that share of n elements.

    The tail of a normal variable z = sqrt(n share / (1 - share)), exp(-z^2 / 2) / (z sqrt(2 pi)).
    """
    if not 0.0 < share < 1.0:
        return 0.0 if share <= 0.0 else -elements / 2.0
    z = math.sqrt(elements * share / (1.0 - share))
    if z <= 1.0:
        return 0.0
    return (-z * z / 2.0 - math.log(z * math.sqrt(2.0 * math.pi))) / math.log(10.0)


@dataclass(frozen=True)
class Meeting:
    """Where the lines between relatives meet."""

    members: tuple[int, ...]
    """Those at which they may, the likeliest first: they lie at nearly one place."""
    cosine: float
    """The mean size of the cosines at the first, between the lines to the child and to others."""
    is_decided: bool
    """Whether it is one, clearly, and at right angles to all lines, not the child's alone."""


def meeting(gram: Floats) -> Meeting | None:
    """Return at which of the relatives the lines to all others meet; ``None`` with too few.

    Trainings of one base are at right angles seen from it, and at 45 degrees and less seen from
    each other. ``gram`` (K, K) is of differences from the child, which is one of those that lines
    lead to. That the lines meet there does not say that what lies there came first: a mean of many
    lies there as well.
    """
    count = len(gram)
    if count < LEAST_RELATIVES:
        return None
    full = np.zeros((count + 1, count + 1))
    full[:count, :count] = gram
    angles = np.array([_mean_cosine(full, at) for at in range(count)])
    between = np.array([_mean_cosine(full, at, pairs=True) for at in range(count)])
    squares = np.diagonal(gram)
    first = int(angles.argmin())
    distances = np.sqrt(np.maximum(squares + squares[first] - 2.0 * gram[first], 0.0))
    near = SAME_PLACE * float(np.sqrt(np.median(squares)))
    order = [int(each) for each in np.argsort(angles, kind="stable")]
    there = tuple(at for at in order if at == first or distances[at] <= near)
    rest = [float(angles[at]) for at in order if at not in there]
    is_right = max(float(angles[first]), float(between[first])) <= Thresholds().meeting
    is_clear = not rest or float(angles[first]) <= CLEAR * rest[0]
    is_one = len(there) == 1 and int(between.argmin()) == first
    return Meeting(there, float(angles[first]), is_right and is_clear and is_one)


def _mean_cosine(full: Floats, at: int, *, pairs: bool = False) -> float:
    """Return the mean size of the cosines at one of several points, the child being the last.

    Of the lines to the child with those to the others; with ``pairs``, of any two lines.
    """
    seen = full - full[at] - full[:, at : at + 1] + full[at, at]
    lengths = np.sqrt(np.maximum(np.diagonal(seen), 0.0))
    there = lengths > 1e-6 * lengths.max(initial=0.0)
    if not there[-1]:
        return 1.0
    cosine = np.abs(seen[np.ix_(there, there)] / np.outer(lengths[there], lengths[there]))
    found = cosine[np.triu_indices(len(cosine), 1)] if pairs else cosine[-1, :-1]
    return float(found.mean()) if len(found) else 1.0
