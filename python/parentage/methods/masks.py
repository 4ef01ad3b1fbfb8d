"""What merges that drop part of each displacement have in common: finding masks, and replaying.

An element of such a child is ``b + sum_{i in A} e_i d_i`` with a set A of parents of its own. With
one parent left it lies on a line through the base, so the coefficients ``e_i`` are where most
rounding cells of those elements meet. Given them, every element says which sets A it admits, and so
which displacements were kept: whether that is a matter of their size, or of chance, and at what
rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations, permutations, product
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from parentage.methods.linear import bf16
from parentage.methods.method import Replaying, configuration
from parentage.recipe import Ingredient, Recipe, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.findings import Findings
    from parentage.gram import Floats
    from parentage.replay import Program, Value
    from parentage.sample import Sample

Bools = NDArray[np.bool_]
Places = NDArray[np.intp]

ARITHMETICS = {
    "float32": "d_i, its scale, w_i d_i, sums in order, the quotient, lambda times it and b plus "
    "that, each rounded to float32",
    "bfloat16": "the same rounded to bf16, sums once; weights and scales are bf16, lambda is not",
}
PARAMETERS = {
    "normalize": "divide by the sum of the weights that were added up",
    "lambda": "what the sum is multiplied by (default 1)",
}
MOST_PARENTS = 4
"""Parents whose masks are told apart."""
LARGEST = float(np.finfo(np.float32).max)
"""A threshold that nothing exceeds."""
SHARP = 0.99
"""Share of a blend from which on there is nothing to be masked."""
NARROW = 0.04
"""Relative width of an interval of coefficients up to which it says where the peak is."""
RANGE = (0.02, 30.0)
"""Coefficients that are considered."""
STEP = 0.005
"""Relative width of the bins of the first search."""
PROMINENT = 4.0
"""Least height of a peak over the median around it."""
LEAST_PEAK = 0.02
"""Least share of narrow intervals at a peak."""
MOST_OPERATIONS, MOST_RESULTS = 200, 32
"""What programs of the core may have; see ``replay/program.rs``."""
EXPLAINED = 0.9
"""Least share of changed elements that a mask has to explain, and to exceed decoys' clearly."""
AT_FIRST = 0.15
"""How much less a part of the sample may explain, with coefficients less well known."""
DECOYS = 0.75
"""Largest share of changed elements that decoys may explain."""
SEPARATE = 0.03
"""Share of masks that may contradict a threshold."""
OUTLIERS = 1e-3
"""Share of masks that are no evidence against a threshold."""
LEAST_DROPPED = 0.01
"""Share of large displacements that have to be missing for there to be a mask."""
SMALL = 2048
"""Elements of a slice up to which its coefficients are searched for on a grid."""
GRID = 31
"""Points of a side of that grid."""
BF16_ERROR = 3.0 * 2.0**-9
"""Relative error of a displacement that was rounded to bf16 at every step."""

_SIGNIFICANDS = {"BF16": (7, -126), "F16": (10, -14), "F32": (23, -126)}


def cell(values: Floats, dtype: str) -> tuple[Floats, Floats]:
    """Return the lower and the upper end of the rounding cells of values of a dtype.

    >>> [end.tolist() for end in cell(np.array([1.0, -3.0]), "BF16")]
    [[0.998046875, -3.0078125], [1.00390625, -2.9921875]]
    """
    digits, least = _SIGNIFICANDS[dtype]
    fraction, exponent = np.frexp(np.abs(values))
    exponent = np.where(fraction == 0.0, least, np.maximum(exponent - 1, least))
    half = np.ldexp(0.5, exponent - digits)
    # Below a power of two numbers are twice as dense.
    inner = np.where((fraction == 0.5) & (exponent > least), half / 2.0, half)
    return (
        values - np.where(values > 0, inner, half),
        values + np.where(values < 0, inner, half),
    )


def deepest(
    low: Floats, high: Floats, owner: Places, count: int
) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Return where most intervals meet, by owner: (count,) middle, half width, and how many do.

    >>> middle, half, depth = deepest(
    ...     np.array([0.0, 0.5, 3.0]), np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), 3
    ... )
    >>> middle.tolist(), half.tolist(), depth.tolist()
    ([0.75, 3.5, nan], [0.25, 0.5, nan], [2, 1, 0])
    """
    middle, half = np.full(count, np.nan), np.full(count, np.nan)
    depth = np.zeros(count, dtype=np.intp)
    if len(low) == 0:
        return middle, half, depth
    at = np.concatenate([low, high])
    group = np.concatenate([owner, owner])
    change = np.repeat([1, -1], len(low))
    # Opening ends come first in memory, so a stable sort puts them before closing ones.
    order = np.lexsort((at, group))
    at, group, change = at[order], group[order], change[order]
    depths = np.cumsum(change)
    start = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    most = np.maximum.reduceat(depths, start)
    lengths = np.diff(np.concatenate([start, [len(at)]]))
    highest = np.flatnonzero(depths == np.repeat(most, lengths))
    owners = group[highest]
    first = highest[np.concatenate([[True], owners[1:] != owners[:-1]])]
    after = np.minimum(first + 1, len(at) - 1)
    middle[group[start]] = (at[first] + at[after]) / 2.0
    half[group[start]] = (at[after] - at[first]) / 2.0
    depth[group[start]] = most
    return middle, half, depth


def rows_of(sample: Sample) -> Places:
    """Return (elements,) a number for each row of each matrix of a sample that is whole."""
    lengths = []
    for owner, count in zip(sample.owner, sample.counts, strict=True):
        shape, elements = sample.slices[owner].shape, int(count)
        width = shape[-1] if len(shape) > 1 and shape[-1] > 1 else elements
        lengths.append(np.full(elements // width, width) if elements % width == 0 else [elements])
    every = np.concatenate(lengths)
    return np.repeat(np.arange(len(every)), every)


def view_dtype(f: Findings) -> str:
    """Return the dtype whose cells are looked at."""
    return f.out_dtype if f.out_dtype in _SIGNIFICANDS else "F32"


class View:
    """Sampled elements as an arithmetic sees them."""

    def __init__(self, f: Findings, sample: Sample, arithmetic: str) -> None:
        values = sample.elements
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            values = values[finite]
        self.owner: Places = sample.element_owner[finite]
        self.sample = sample
        self.slices = len(sample.slices)
        self.rows: Places = self.owner
        """(elements,) the row of each element, or its slice where rows are not in the sample."""
        if sample.is_whole and finite.all():
            self.rows = rows_of(sample)
        self.arithmetic = arithmetic
        base = values[:, 0].astype(np.float32)
        deltas = [values[:, i].astype(np.float32) - base for i in range(1, 1 + len(f.parents))]
        if arithmetic == "bfloat16":
            deltas = [bf16(delta).astype(np.float32) for delta in deltas]
        self.deltas: Floats = np.array([delta.astype(np.float64) for delta in deltas])
        """(parents, elements)"""
        child, base64 = values[:, -1], values[:, 0]
        low, high = cell(child, view_dtype(f))
        self.change: Floats = child - base64
        slack = 2.0**-23 * (np.abs(base64) + np.abs(self.change))
        if arithmetic == "bfloat16":
            slack = slack + BF16_ERROR * np.abs(self.change)
            if f.out_dtype != "BF16":
                # The file has more digits than the arithmetic.
                low, high = cell(child, "BF16")
        self.low: Floats = low - base64 - slack
        """(elements,) the lower end of the cell of what was added to the base."""
        self.high: Floats = high - base64 + slack
        grain = cell(base64, "BF16" if arithmetic == "bfloat16" else view_dtype(f))
        self.width: Floats = grain[1] - grain[0]
        """(elements,) the width of the cell of the base, which no mask has a part in."""
        self.moved: Bools = child != base64

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.owner)

    def admits(self, change: Floats, size: Floats | None = None) -> Bools:
        """Return whether cells admit that ``change`` was added; terms of ``size`` were summed."""
        extra = BF16_ERROR * size if self.arithmetic == "bfloat16" and size is not None else 0.0
        out: Bools = (change >= self.low - extra) & (change <= self.high + extra)
        return out

    def intervals(self, axis: int) -> tuple[Floats, Floats, Places]:
        """Return the narrow intervals of the coefficient of a parent, and their slices."""
        delta = self.deltas[axis]
        rows = np.flatnonzero(self.moved & (delta != 0.0))
        one, two = self.low[rows] / delta[rows], self.high[rows] / delta[rows]
        low, high = np.minimum(one, two), np.maximum(one, two)
        reach = NARROW if self.arithmetic == "float32" else NARROW + 2.0 * BF16_ERROR
        narrow = (low > RANGE[0]) & (high < RANGE[1]) & (high < low * (1.0 + reach))
        return low[narrow], high[narrow], self.owner[rows[narrow]]


def prominent(view: View, axis: int) -> float | None:
    """Return the coefficient that stands out among the intervals of a parent, to half a percent."""
    low, high, _ = view.intervals(axis)
    if len(low) < 50:
        return None
    first = ((np.log(low) - np.log(RANGE[0])) / STEP).astype(np.intp)
    last = ((np.log(high) - np.log(RANGE[0])) / STEP).astype(np.intp)
    bins = int(np.log(RANGE[1] / RANGE[0]) / STEP) + 2
    cover = np.cumsum(
        np.bincount(first, minlength=bins + 1) - np.bincount(last + 1, minlength=bins + 1)
    )
    peak = int(cover.argmax())
    around = cover[max(0, peak - 140) : peak + 140]
    if cover[peak] < LEAST_PEAK * len(low) or cover[peak] < PROMINENT * np.median(around):
        return None
    return float(RANGE[0] * np.exp((peak + 0.5) * STEP))


@dataclass
class Mixture:
    """What elements that are sums of some displacements show."""

    view: View
    axes: list[int]
    """The parents that take part, counted from 0."""
    coefficients: Floats
    """(axes, S) of a displacement that is left alone."""
    constant: Bools
    """(axes,) whether that is the same for all slices."""
    elected: bool
    """Whether only displacements of one sign are added up."""
    normalized: bool
    """Whether several are a mean of them."""
    shares: Floats
    """(axes,) weights of that mean, their sum 1."""
    kept: Bools
    """(axes, elements) whether the displacement is known to have been kept."""
    dropped: Bools
    """(axes, elements) whether it is known to have been dropped."""
    explained: float
    """Share of changed elements that some set of parents explains."""


_MIXTURES: WeakKeyDictionary[Findings, Mixture | None] = WeakKeyDictionary()
_RECIPES: WeakKeyDictionary[Findings, tuple[Recipe, ...]] = WeakKeyDictionary()


def mixture(f: Findings) -> Mixture | None:
    """Return what the sample shows of masks; ``None`` if it shows none."""
    if f not in _MIXTURES:
        _MIXTURES[f] = _mixture(f)
    return _MIXTURES[f]


def applies(f: Findings) -> bool:
    """Return whether there is something to explain that no blend explains."""
    if f.sample.plan is None or not f.parents or f.out_dtype not in _SIGNIFICANDS:
        return False
    return max(blend.share for blend in f.blends) < SHARP


def _mixture(f: Findings) -> Mixture | None:
    if not applies(f):
        return None
    for arithmetic in ARITHMETICS:
        look = View(f, f.small, arithmetic)
        found = {i: prominent(look, i) for i in range(len(f.parents))}
        starts = {i: start for i, start in found.items() if start is not None}
        if not starts:
            continue
        axes = sorted(starts)[:MOST_PARENTS]
        enough = SHARP if arithmetic == "float32" else EXPLAINED
        view = look
        if f.small is not f.sample:
            if _described(look, axes, starts).explained < enough - AT_FIRST:
                continue
            view = View(f, f.sample, arithmetic)
        best = _without_idle(view, _described(view, axes, starts), starts)
        if not is_masked(best, best.kept, best.dropped):
            continue
        if enough - AT_FIRST <= best.explained < enough:
            best = _looser(best)
        if best.explained >= enough:
            return best
    return None


def _looser(found: Mixture) -> Mixture:
    """Return the mixture with coefficients of their own for every slice, told by all elements."""
    view = found.view
    coefficients = _refitted(found)
    terms = coefficients[:, view.owner] * view.deltas[found.axes]
    kept, dropped, explained = _assigned(view, terms, found.elected, found.normalized, found.shares)
    if explained <= found.explained:
        return found
    return replace(
        found,
        coefficients=coefficients,
        constant=np.zeros(len(found.axes), bool),
        kept=kept,
        dropped=dropped,
        explained=explained,
    )


def _without_idle(view: View, found: Mixture, starts: Mapping[int, float]) -> Mixture:
    for axis in list(found.axes):
        if len(found.axes) == 1:
            break
        rest = [i for i in found.axes if i != axis]
        less = _described(view, rest, starts)
        if less.explained >= found.explained - 2e-3:
            found = less
    return found


def _described(view: View, axes: list[int], starts: Mapping[int, float]) -> Mixture:
    """Describe the mixture of some parents, given their coefficients to a percent."""
    located = [_located(view, axis, starts[axis]) for axis in axes]
    coefficients = np.array([each[0] for each in located])
    constant = np.array([each[1] for each in located])
    terms = coefficients[:, view.owner] * view.deltas[axes]
    elected, normalized, shares = _structure(view, terms)
    kept, dropped, explained = _assigned(view, terms, elected, normalized, shares)
    return Mixture(
        view, axes, coefficients, constant, elected, normalized, shares, kept, dropped, explained
    )


def _located(view: View, axis: int, start: float) -> tuple[Floats, bool]:
    """Return (S,) the coefficient of a parent by slice, and whether it is the same for all."""
    low, high, owner = view.intervals(axis)
    sizes = np.bincount(view.owner, minlength=view.slices)
    reach = 0.03 + 4.0 / np.sqrt(np.maximum(sizes, 1.0))
    near = (high > start * 0.97) & (low < start * 1.03)
    one, _, depth = deepest(low[near], high[near], np.zeros(int(near.sum()), np.intp), 1)
    near = (high > start * (1.0 - reach[owner])) & (low < start * (1.0 + reach[owner]))
    each, _, depths = deepest(low[near], high[near], owner[near], view.slices)
    # Slices with next to no evidence follow the others; their weight in the test is as small.
    if int(depth[0]) >= 0.85 * float(depths[depths >= 8].sum()):
        return np.full(view.slices, float(one[0])), True
    known = depths >= 3
    middle = float(np.median(np.repeat(each[known], depths[known]))) if known.any() else start
    return np.where(known, each, middle), False


def _structure(view: View, terms: Floats) -> tuple[bool, bool, Floats]:
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


def _assigned(
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


@dataclass(frozen=True)
class Band:
    """What sizes are kept of a slice: at least ``low`` where ``high`` is exceeded for certain."""

    low: float = 0.0
    """Smaller ones are dropped."""
    high: float = LARGEST
    """Larger ones are kept."""
    top_low: float = LARGEST
    """Larger ones may be dropped again."""
    top_high: float = LARGEST
    """Larger ones are dropped again."""
    errors: int = 0
    """Masks that contradict it."""
    known: int = 0


def band(size: Floats, kept: Bools, dropped: Bools, *, is_capped: bool) -> Band:
    """Return the band of sizes that was kept, by the known masks of a slice's elements."""
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
    smallest = float(k_in[min(spare, len(k_in) - 1)]) if len(k_in) else LARGEST
    largest = float(inner[max(len(inner) - 1 - spare, 0)]) if len(inner) else 0.0
    errors = int((k < min(edge, cap)).sum() + (k > cap).sum() + ((d >= edge) & (d <= cap)).sum())
    top_low = top_high = LARGEST
    if is_capped and start <= end:
        outer = d[d > (edge + cap) / 2.0]
        k_max = float(k[max(len(k) - 1 - spare, 0)]) if len(k) else 0.0
        d_min = float(outer[min(spare, len(outer) - 1)]) if len(outer) else LARGEST
        top_low, top_high = min(k_max, d_min), max(k_max, d_min)
    return Band(min(smallest, largest), max(smallest, largest), top_low, top_high, errors, total)


def bands(found: Mixture, axis: int, *, is_capped: bool) -> list[Band]:
    """Return the bands of all slices for one of the parents that take part."""
    return bands_of(
        np.abs(found.view.deltas[found.axes[axis]]),
        found.kept[axis],
        found.dropped[axis],
        found.view,
        is_capped=is_capped,
    )


def bands_of(
    size: Floats, kept: Bools, dropped: Bools, view: View, *, is_capped: bool
) -> list[Band]:
    """Return the bands of all slices for what the masks go by."""
    order = np.argsort(view.owner, kind="stable")
    ends = np.cumsum(np.bincount(view.owner, minlength=view.slices))
    out = []
    start = 0
    for end in ends:
        rows = order[start:end]
        out.append(band(size[rows], kept[rows], dropped[rows], is_capped=is_capped))
        start = int(end)
    return out


def shares_above(
    sizes: Floats, owner: Places, low: Floats, high: Floats
) -> tuple[float, float, float]:
    """Return bounds of the share of ``sizes`` above a threshold per slice, and what rounding adds.

    ``low`` and ``high`` (S,) bound the threshold. Slices that say nothing of it do not count. Of
    each slice a whole number of elements is kept, up to one less than the share says.
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


def within(bottom: float, top: float) -> float:
    """Return the number between two that is nearest their middle among those with fewest digits.

    >>> within(0.4987, 0.507), within(0.0093, 0.0101)
    (0.5, 0.01)
    """
    middle = (bottom + top) / 2.0
    for digits in range(1, 5):
        near = round(middle, digits)
        if bottom - 1e-9 <= near <= top + 1e-9:
            return near
    return round(middle, 5)


def short(value: float, tolerance: float, most: int = 4) -> float:
    """Return the shortest decimal within ``tolerance``, or the value to six digits.

    >>> short(0.5996, 0.001), short(0.123456, 1e-5)
    (0.6, 0.12346)
    """
    for digits in range(1, most + 2):
        if abs(round(value, digits) - value) <= tolerance:
            return round(value, digits)
    return float(f"{value:.6g}")


# Replays


def is_coarse(recipe: Recipe) -> bool:
    """Return whether the arithmetic is that of bf16."""
    return recipe.arithmetic.startswith("bfloat16")


def total(values: Sequence[Value]) -> Value:
    """Return the sum in order."""
    return reduce(lambda a, b: a + b, values)


def number(recipe: Recipe, name: str, default: float) -> Setting:
    """Return a parameter that is a number."""
    value = recipe.parameters.get(name, default)
    return default if isinstance(value, bool | str) else value


def finished(r: Replaying, base: Value, change: Value, divisor: Value | None) -> Value:
    """Return the base plus a sum of displacements, divided and multiplied as the recipe says."""
    dtype = "BF16" if is_coarse(r.recipe) else None
    change = change.round(dtype)
    if divisor is not None:
        one = r.scalar(1.0)
        divisor = divisor.round(dtype)
        change = (change / r.program.select(divisor, divisor, one)).round(dtype)
    if "lambda" in r.recipe.parameters:
        factor = r.scalar(r.resolve(number(r.recipe, "lambda", 1.0)))
        change = (change * factor).round(dtype)
    result = base + change
    # Results are rounded to the dtype of the file anyway.
    return result if r.recipe.out_dtype == "BF16" else result.round(dtype)


def displacements(r: Replaying) -> tuple[Value, list[Value], list[Floats]]:
    """Return the base, displacements and weights, rounded as the arithmetic rounds them."""
    base = r.column(r.recipe.base or "")
    dtype = "BF16" if is_coarse(r.recipe) else None
    deltas = [(r.column(each.name) - base).round(dtype) for each in r.recipe.ingredients]
    weights = r.weights()
    if is_coarse(r.recipe):
        weights = [bf16(weight) for weight in weights]
    return base, deltas, weights


def replay_by_size(r: Replaying, *, elected: bool, normalize: bool) -> list[Value]:
    """Return sums of the displacements whose size is in its band.

    What is at a threshold is free: alternatives keep it or drop it, for each parent by itself.
    """
    base, deltas, weights = displacements(r)
    dtype = "BF16" if is_coarse(r.recipe) else None
    zero = r.scalar(0.0)
    choices: list[tuple[Value, Value]] = []
    for each, delta, weight in zip(r.recipe.ingredients, deltas, weights, strict=True):
        size = abs(delta)
        term = (delta * r.scalar(weight)).round(dtype)
        low, high = r.fitted(f"low:{each.name}", 0.0), r.fitted(f"high:{each.name}", LARGEST)
        at_most = r.program.select(size >= r.scalar(low), term, zero)
        at_least = r.program.select(size > r.scalar(high), term, zero)
        if f"top_low:{each.name}" in r.recipe.fitted:
            top_low = r.scalar(r.fitted(f"top_low:{each.name}", LARGEST))
            top_high = r.scalar(r.fitted(f"top_high:{each.name}", LARGEST))
            at_most = r.program.select(size > top_high, zero, at_most)
            at_least = r.program.select(size >= top_low, zero, at_least)
        choices.append((at_least, at_most))
    normalize = bool(r.recipe.parameters.get("normalize", normalize))
    results = []
    bits_of = settings_of_bits(len(choices), few=elected and len(choices) > 2)
    if elected and normalize and len(choices) > 3:
        # More than these are more than a program can have.
        bits_of = [bits_of[0], bits_of[-1]]
    for bits in bits_of:
        terms = [choice[bit] for choice, bit in zip(choices, bits, strict=True)]
        if elected:
            results.append(elected_sum(r, base, terms, weights, normalize=normalize))
        else:
            divisor = r.scalar(sum(weights)) if normalize else None
            results.append(finished(r, base, total(terms), divisor))
    return results


def settings_of_bits(count: int, *, few: bool) -> list[tuple[int, ...]]:
    """Return settings of ``count`` bits: all of them, or none, each alone, and all at once.

    >>> settings_of_bits(2, few=False), len(settings_of_bits(4, few=True))
    ([(0, 0), (0, 1), (1, 0), (1, 1)], 6)
    """
    if not few:
        return list(product((0, 1), repeat=count))
    single = [tuple(int(i == j) for j in range(count)) for i in range(count)]
    return [(0,) * count, *single, (1,) * count]


def elected_sum(
    r: Replaying, base: Value, terms: Sequence[Value], weights: Sequence[Floats], *, normalize: bool
) -> Value:
    """Return the sum, or the mean, of the terms whose sign is that of the sum of all."""
    zero = r.scalar(0.0)
    is_positive = total(terms) >= zero
    agreeing = [
        r.program.select(is_positive, r.program.maximum(term, zero), r.program.minimum(term, zero))
        for term in terms
    ]
    divisor = None
    if normalize:
        pairs = zip(agreeing, weights, strict=True)
        divisor = total([r.program.select(each, r.scalar(weight), zero) for each, weight in pairs])
    return finished(r, base, total(agreeing), divisor)


def replay_by_chance(r: Replaying, *, elected: bool, normalize: bool) -> list[Value]:
    """Return the sums of all sets of displacements: masks drawn at random may be any.

    With elected signs those are the sets of one sign: whichever of them is meant, it may be all
    that was kept.
    """
    base, deltas, weights = displacements(r)
    dtype = "BF16" if is_coarse(r.recipe) else None
    zero = r.scalar(0.0)
    terms = []
    for each, delta, weight in zip(r.recipe.ingredients, deltas, weights, strict=True):
        if f"scale:{each.name}" in r.recipe.fitted:
            delta = (delta * r.scalar(r.fitted(f"scale:{each.name}", 1.0))).round(dtype)
        terms.append((delta * r.scalar(weight)).round(dtype))
    normalize = bool(r.recipe.parameters.get("normalize", normalize))
    scalars = [r.scalar(weight) for weight in weights]
    results = [finished(r, base, zero, None)]
    for count in range(1, 1 + len(terms)):
        for chosen in combinations(range(len(terms)), count):
            if not elected:
                divisor = r.scalar(sum(weights)) if normalize else None
                results.append(finished(r, base, total([terms[i] for i in chosen]), divisor))
            elif count == 1:
                divisor = scalars[chosen[0]] if normalize else None
                results.append(finished(r, base, terms[chosen[0]], divisor))
            else:
                for is_above in (True, False):
                    results.append(_one_sign(r, base, terms, scalars, chosen, is_above, normalize))
    return results


def _one_sign(
    r: Replaying,
    base: Value,
    terms: Sequence[Value],
    weights: Sequence[Value],
    chosen: Sequence[int],
    is_above: bool,
    normalize: bool,
) -> Value:
    zero = r.scalar(0.0)
    side = r.program.maximum if is_above else r.program.minimum
    agreeing = [side(terms[i], zero) for i in chosen]
    change = total(agreeing)
    divisor = None
    if normalize:
        counts = [
            r.program.select(each, weights[i], zero)
            for i, each in zip(chosen, agreeing, strict=True)
        ]
        divisor = total(counts)
    return finished(r, base, change, divisor)


def mergekit(recipe: Recipe, paths: Mapping[str, str]) -> dict[str, Any]:
    """Return mergekit's configuration."""
    parameters = {name: value for name, value in recipe.parameters.items() if name not in PER_MODEL}
    config = configuration(
        replace(recipe, parameters=parameters),
        paths,
        "bfloat16" if is_coarse(recipe) else "float32",
    )
    for name in PER_MODEL:
        if name in recipe.parameters:
            for model in config["models"]:
                model.setdefault("parameters", {})[name] = recipe.parameters[name]
    return config


PER_MODEL = ("gamma", "epsilon")
"""Parameters that mergekit wants with the models."""


# From what a sample shows to recipes


def outcomes(f: Findings, view: View, recipe: Recipe) -> list[Bools]:
    """Return, for each result of a recipe's program, which sampled elements have its bits."""
    from parentage.hypothesise import build

    program, results = build(recipe, f.columns, f.slices)
    values = view.sample.elements
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        values = values[finite]
    child = values[:, -1].astype(np.float32)
    found = interpreted(program, [each.number for each in results], values, view.owner)
    return [each == child for each in found]


def interpreted(
    program: Program, results: Sequence[int], values: Floats, owner: Places
) -> list[NDArray[np.float32]]:
    """Return results of a program, element by element, in numpy's float32."""
    registers: list[NDArray[np.float32] | None] = []
    operations = program._operations
    last = {}
    for index, (name, operands, _) in enumerate(operations):
        if name not in ("column", "reversed", "scalar"):
            for operand in operands:
                last[operand] = index
    for each in results:
        last[each] = len(operations)
    for index, (name, operands, dtype) in enumerate(operations):
        if name == "column":
            registers.append(values[:, operands[0]].astype(np.float32))
            continue
        if name == "scalar":
            registers.append(program._scalars[operands[0]][owner])
            continue
        taken = [registers[operand] for operand in operands]
        registers.append(_operation(name, [each for each in taken if each is not None], dtype))
        for operand in operands:
            if last[operand] == index:
                registers[operand] = None
    out = [registers[each] for each in results]
    return [each for each in out if each is not None]


def _operation(
    name: str, operands: list[NDArray[np.float32]], dtype: str | None
) -> NDArray[np.float32]:
    a = operands[0]
    if name == "round":
        if dtype == "BF16":
            return bf16(a).astype(np.float32)
        with np.errstate(over="ignore"):
            return a.astype({"F16": np.float16, "F64": np.float64}[str(dtype)]).astype(np.float32)
    with np.errstate(all="ignore"):
        match name:
            case "abs":
                return np.abs(a)
            case "select":
                return np.where(a != 0, operands[1], operands[2])
            case "greater":
                return (a > operands[1]).astype(np.float32)
            case "greater_equal":
                return (a >= operands[1]).astype(np.float32)
            case "max":
                return np.where(a > operands[1], a, operands[1])
            case "min":
                return np.where(a < operands[1], a, operands[1])
        plain = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
        out: NDArray[np.float32] = plain[name](a, operands[1])
        return out


def known_masks(f: Findings, found: Mixture, recipe: Recipe) -> tuple[Bools, Bools, Bools]:
    """Return which displacements are known to be kept and dropped, by bits, and what is explained.

    ``recipe`` is one whose masks are drawn at random.
    """
    view = found.view
    count = len(found.axes)
    matches = outcomes(f, view, recipe)
    deltas = view.deltas[found.axes]
    weights = [each.weight for each in recipe.ingredients]
    factors = np.array([float(w) if isinstance(w, int | float) else 1.0 for w in weights])
    votes = deltas * factors[:, None]
    # Votes that round to the same are a draw, which the positive ones win.
    spare = 1.0 - (2.0**-6 if is_bf16(found) else 1e-6)
    can_keep, can_drop = np.zeros(deltas.shape, bool), np.zeros(deltas.shape, bool)
    explained = np.zeros(view.size, bool)
    at = 0

    def record(inside: Sequence[int], ok: Bools) -> None:
        nonlocal explained
        explained |= ok
        for i in range(count):
            if i in inside:
                can_keep[i] |= ok
                continue
            can_drop[i] |= ok
            if found.elected and inside:
                won = votes[list(inside)].sum(axis=0)
                can_keep[i] |= (
                    ok
                    & (np.sign(won) != np.sign(votes[i]))
                    & (np.abs(won) >= np.abs(votes[i]) * spare)
                )

    record((), matches[0])
    # Results of different sets may be one operation; the program has them one after the other.
    for number_ in range(1, 1 + count):
        for chosen in combinations(range(count), number_):
            if not found.elected or number_ == 1:
                at += 1
                record(chosen, matches[at])
                continue
            part = deltas[list(chosen)]
            for sign in (1.0, -1.0):
                at += 1
                record(chosen, matches[at] & (np.sign(part) == sign).all(axis=0))
    known = deltas != 0.0
    return can_keep & ~can_drop & known, can_drop & ~can_keep & known, explained


def recipes(f: Findings) -> tuple[Recipe, ...]:
    """Return recipes of masked sums that are worth replaying, of whatever method."""
    if f not in _RECIPES:
        found = mixture(f)
        made = [] if found is None else list(_recipes(f, found))
        _RECIPES[f] = tuple(each for each in made if worthwhile(f, each))
    return _RECIPES[f]


def named(f: Findings, name: str) -> Iterator[Recipe]:
    """Yield those of one method."""
    return (each for each in recipes(f) if each.method == name)


def worthwhile(f: Findings, recipe: Recipe) -> bool:
    """Return whether a recipe explains the changed elements as decoys for its parents do not."""
    from parentage.hypothesise import build

    # All at once: a parent that adds little is hardly missed.
    columns = frozenset(f.columns[each.name] for each in recipe.ingredients)
    if not fits(f, recipe, columns):
        columns = frozenset({f.columns[recipe.ingredients[0].name]})
        if not fits(f, recipe, columns):
            return False
    ours = build(recipe, f.columns, f.slices)
    decoys = build(recipe, f.columns, f.slices, decoys=columns)
    share, by_decoys = (changed(f, float(x)) for x in f.sample.replay([ours, decoys]).share)
    return share >= EXPLAINED and by_decoys <= DECOYS * share


def fits(f: Findings, recipe: Recipe, decoys: frozenset[int] = frozenset()) -> bool:
    """Return whether the core can carry out a recipe: programs have at most so many operations."""
    from parentage.hypothesise import build

    program, results = build(recipe, f.columns, f.slices, decoys)
    count = len({each.number for each in results})
    return len(program.operations) <= MOST_OPERATIONS and count <= MOST_RESULTS


def changed(f: Findings, share: float) -> float:
    """Return the share of changed elements that are in a share of all, which has the others."""
    rows = f.sample.weight > 0
    n = float(f.sample.gram.n[rows].sum())
    same = float(f.sample.gram.equal[rows][:, 0].sum()) / max(n, 1.0)
    return (share - same) / max(1.0 - same, 1e-12)


def mismatches(f: Findings, candidates: Sequence[Recipe]) -> NDArray[np.int64]:
    """Return mismatched elements of the sample, (S, candidates)."""
    from parentage.hypothesise import evaluate

    if not all(fits(f, each) for each in candidates):
        return interpreted_mismatches(f, candidates)
    found = evaluate(candidates, f.sample, f)
    return np.concatenate([each.mismatched.astype(np.int64) for each in found], axis=1)


def interpreted_mismatches(f: Findings, candidates: Sequence[Recipe]) -> NDArray[np.int64]:
    """Return mismatched elements of a part of the sample, (S, candidates), for any program."""
    columns = []
    for each in candidates:
        view = View(f, f.small, each.arithmetic)
        wrong = ~np.any(outcomes(f, view, each), axis=0)
        columns.append(np.bincount(view.owner[wrong], minlength=view.slices))
    return np.stack(columns, axis=1).astype(np.int64)


def best_of(f: Findings, candidates: Sequence[Recipe]) -> Recipe:
    """Return the first recipe that has next to the fewest mismatches."""
    if len(candidates) == 1:
        return candidates[0]
    counts = mismatches(f, candidates).sum(axis=0)
    return candidates[int(np.argmax(counts <= 1.5 * counts.min() + 2.0))]


def is_exact(f: Findings, recipe: Recipe) -> bool:
    """Return whether a recipe explains so much that its arithmetic can only be the right one."""
    return float(mismatches(f, [recipe]).sum()) <= 1e-3 * float(f.sample.counts.sum())


def _recipes(f: Findings, found: Mixture) -> Iterator[Recipe]:
    """Yield the recipe that a mixture comes from."""
    if not is_masked(found, found.kept, found.dropped):
        return
    is_scaled = not bool(found.constant.all())
    plain = _spelled(f, found) if not is_scaled or is_bf16(found) else None
    if plain is not None and is_scaled:
        # Rounding blurs scales that differ little; none at all is the simpler explanation.
        is_scaled = float(mismatches(f, [plain]).sum()) > 1e-3 * found.view.size
    recipe = _scaled(f, found) if is_scaled or plain is None else plain
    kept, dropped, _ = known_masks(f, found, recipe)
    if not is_masked(found, kept, dropped):
        return
    if not is_scaled:
        masks = [
            bands_of(
                np.abs(found.view.deltas[axis]), kept[i], dropped[i], found.view, is_capped=True
            )
            for i, axis in enumerate(found.axes)
        ]
        known = sum(each.known for group in masks for each in group)
        errors = sum(each.errors for group in masks for each in group)
        if known and errors <= SEPARATE * known:
            yield _by_size(f, found, recipe, kept, dropped)
            return
    made = _by_chance(f, found, recipe, kept, dropped, is_scaled=is_scaled)
    if made is not None:
        yield made


def is_masked(found: Mixture, kept: Bools, dropped: Bools) -> bool:
    """Return whether displacements that are large enough to tell were both kept and dropped."""
    terms = found.coefficients[:, found.view.owner] * found.view.deltas[found.axes]
    large = np.abs(terms) > 2.0 * found.view.width
    lost, left = (dropped & large).sum(axis=1), (kept & large).sum(axis=1)
    return bool(np.any(lost > LEAST_DROPPED * (lost + left)) and left.sum() > 0)


def is_bf16(found: Mixture) -> bool:
    """Return whether the arithmetic is that of bf16."""
    return found.view.arithmetic == "bfloat16"


def _spelled(f: Findings, found: Mixture) -> Recipe:
    """Return a recipe with random masks and no scales, its weights as they may be written."""
    names = [f.parents[axis] for axis in found.axes]
    method = "della" if found.elected else "dare_linear"
    values = np.median(found.coefficients, axis=1)

    def recipe(weights: Sequence[float], **parameters: Setting | bool) -> Recipe:
        return Recipe(
            method,
            tuple(Ingredient(name, w) for name, w in zip(names, weights, strict=True)),
            f.base,
            {"normalize": found.normalized, **parameters},
            found.view.arithmetic,
            f.out_dtype,
        )

    if not found.normalized:
        chosen = [short(float(value), 3e-6) for value in values]
        if is_bf16(found):
            chosen = _descended(f, chosen, lambda weights: recipe(weights))
        return recipe(chosen)
    scale = float(np.mean(values))
    # What multiplies the mean is written with few digits, or is 1.
    tolerance = 4e-3 if is_bf16(found) else 3e-6
    scales = [1.0] if abs(scale - 1.0) <= tolerance else []
    if is_bf16(found):
        near = [short(scale, t) for t in (4e-3, 1e-3)] + [scale]
        scales += [x for x in dict.fromkeys([*near, round(scale, 2)]) if x not in scales]
    elif not scales:
        scales = [short(scale, tolerance)]
    candidates = []
    for factor in scales:
        extra: dict[str, Setting | bool] = {} if factor == 1.0 else {"lambda": factor}
        candidates += [recipe(weights, **extra) for weights in ratios(found.shares, tolerance)]
    return best_of(f, candidates)


def ratios(shares: Floats, tolerance: float) -> list[list[float]]:
    """Return weights in the ratio of ``shares``, short decimals, those that sum to 1 first.

    >>> ratios(np.array([2 / 3, 1 / 3]), 1e-6)[:2]
    [[0.66666667, 0.33333333], [0.7, 0.35]]
    """
    found = []
    if len(shares) == 1:
        return [[1.0]]
    for k in range(1, 61):
        scaled = shares * k / 20.0
        weights = [round(float(x), 2) for x in scaled]
        sum_ = sum(weights)
        if all(weights) and all(
            abs(w / sum_ - s) <= tolerance for w, s in zip(weights, shares, strict=True)
        ):
            found.append((round(abs(sum_ - 1.0), 6), weights))
    found.sort(key=lambda each: each[0])
    out = [each[1] for each in found][:16]
    if not found or found[0][0] > 0.0:
        out.insert(0, [round(float(x), 8) for x in shares])
    return out


def _descended(f: Findings, weights: list[float], recipe: Any) -> list[float]:
    """Return weights, each the shortest decimal of a bf16 number near to its start, by replay."""
    starts = list(weights)
    weights = [near_bf16(start, 0)[0] for start in starts]
    for _ in range(2):
        before = list(weights)
        for i, start in enumerate(starts):
            options = near_bf16(start, 2)
            tries = [recipe([*weights[:i], option, *weights[i + 1 :]]) for option in options]
            weights[i] = options[int(mismatches(f, tries).sum(axis=0).argmin())]
        if weights == before:
            break
    return weights


def near_bf16(value: float, steps: int) -> list[float]:
    """Return bf16 numbers near ``value``, nearest first, as short as they may be written.

    >>> near_bf16(0.601, 1)
    [0.6, 0.598, 0.605]
    """
    middle = float(bf16(np.array([value]))[0])
    step = float(np.ldexp(1.0, int(np.frexp(middle)[1]) - 8))
    offsets = sorted(range(-steps, steps + 1), key=lambda k: abs(middle + k * step - value))
    out = []
    for k in offsets:
        at = middle + k * step
        out.append(
            next(
                (
                    round(at, digits)
                    for digits in range(1, 6)
                    if float(bf16(np.array([round(at, digits)]))[0]) == at
                ),
                at,
            )
        )
    return out


def _by_size(f: Findings, found: Mixture, recipe: Recipe, kept: Bools, dropped: Bools) -> Recipe:
    """Return the recipe whose masks go by the size of displacements."""
    view = found.view
    fitted: dict[str, dict[str, float]] = {}
    ingredients = []
    groups, capped = [], []
    for i, axis in enumerate(found.axes):
        size = np.abs(view.deltas[axis])
        capped.append(bands_of(size, kept[i], dropped[i], view, is_capped=True))
        groups.append(bands_of(size, kept[i], dropped[i], view, is_capped=False))
    errors = [sum(each.errors for group in some for each in group) for some in (groups, capped)]
    known = sum(each.known for group in groups for each in group)
    # Ties at a threshold are errors of either; outliers that were dropped are errors of one.
    is_capped = errors[0] - errors[1] > max(3e-4 * known, 0.1 * errors[1])
    gammas = []
    for i, axis in enumerate(found.axes):
        name = f.parents[axis]
        size = np.abs(view.deltas[axis])
        chosen = capped[i] if is_capped else groups[i]
        low, high = (np.array([getattr(each, k) for each in chosen]) for k in ("low", "high"))
        keys = {"low": low, "high": high}
        bottom, top, spare = shares_above(size, view.owner, low, high)
        if is_capped:
            top_low, top_high = (
                np.array([getattr(each, k) for each in chosen]) for k in ("top_low", "top_high")
            )
            keys |= {"top_low": top_low, "top_high": top_high}
            least, most, _ = shares_above(size, view.owner, top_low, top_high)
            gammas.append(within(least, most + spare))
            bottom, top = bottom - most, top - least
        for key, values in keys.items():
            fitted[f"{key}:{name}"] = table(f, values, view.owner)
        share = within(bottom, top + spare)
        ingredients.append(replace(recipe.ingredients[i], density=share))
    parameters = dict(recipe.parameters)
    if is_capped:
        parameters["gamma"] = short(float(np.mean(gammas)), 2e-3)
        method = "breadcrumbs_ties" if found.elected else "breadcrumbs"
        default = False
    else:
        # Of a single parent there is nothing to elect.
        is_ties = found.elected or len(found.axes) == 1
        method, default = ("ties", True) if is_ties else ("breadcrumbs", False)
        if not is_ties:
            parameters["gamma"] = 0.0
    if len(found.axes) == 1:
        # A mean of one is that one; its weight shows only where there is none.
        parameters["normalize"] = method == "ties" and recipe.ingredients[0].weight == 1.0
    if parameters["normalize"] == default:
        del parameters["normalize"]
    made = replace(
        recipe,
        method=method,
        ingredients=tuple(ingredients),
        parameters=parameters,
        fitted=fitted,
    )
    return ordered(f, made)


def table(f: Findings, values: Floats, owner: Places) -> dict[str, float]:
    """Return numbers by slice, of the slices that have elements in the sample."""
    present = np.bincount(owner, minlength=len(f.slices)) > 0
    return {
        each.name: float(np.float32(value))
        for each, value, here in zip(f.slices, values, present, strict=True)
        if here
    }


def ordered(f: Findings, recipe: Recipe) -> Recipe:
    """Return the recipe with its ingredients in the order that gives the fewest mismatches."""
    if len(recipe.ingredients) < 3:
        return recipe
    return best_of(f, [replace(recipe, ingredients=p) for p in permutations(recipe.ingredients)])


def rates(found: Mixture, kept: Bools, dropped: Bools) -> list[tuple[float, float, float]]:
    """Return, by parent, the rate at which displacements are kept, its slope over ranks, its error.

    The rate is of elements whose outcome is plain whatever it is, so that it is no rate of what
    happens to be plain.
    """
    view = found.view
    terms = found.coefficients[:, view.owner] * view.deltas[found.axes]
    plain = (np.abs(terms) > 4.0 * view.width).all(axis=0)
    if found.elected:
        plain &= (np.sign(terms) == np.sign(terms[0])).all(axis=0)
    out = []
    for i in range(len(found.axes)):
        rank = ranks(np.abs(view.deltas[found.axes[i]]), view.rows)
        rows = np.flatnonzero(plain & (kept[i] | dropped[i]))
        if len(rows) < 20:
            rows = np.flatnonzero(kept[i] | dropped[i])
        if len(rows) < 2:
            out.append((1.0, 0.0, 1.0))
            continue
        y, x = kept[i, rows].astype(np.float64), rank[rows]
        x0, y0 = float(x.mean()), float(y.mean())
        spread = float(((x - x0) ** 2).sum())
        slope = float(((x - x0) * (y - y0)).sum()) / spread if spread > 0 else 0.0
        error = float(np.sqrt(max(y0 * (1.0 - y0), 1e-4) / max(spread, 1e-12)))
        at_middle = y0 + slope * (0.5 - x0) if abs(slope) > 5.0 * error else y0
        out.append((at_middle, slope, error))
    return out


def ranks(sizes: Floats, owner: Places) -> Floats:
    """Return each element's rank in its slice, from 0 to 1."""
    order = np.lexsort((sizes, owner))
    counts = np.bincount(owner)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    out = np.empty(len(sizes))
    out[order] = np.arange(len(sizes)) - starts[owner[order]]
    return out / np.maximum(counts[owner] - 1, 1)


def _scaled(f: Findings, found: Mixture) -> Recipe:
    """Return a recipe with random masks and the scales that make up for what was dropped."""
    view = found.view
    coefficients = _searched(found, _refitted(found))
    found.coefficients = coefficients
    terms = coefficients[:, view.owner] * view.deltas[found.axes]
    kept, dropped, _ = _assigned(view, terms, found.elected, found.normalized, found.shares)
    found_rates = rates(found, kept, dropped)
    names = [f.parents[axis] for axis in found.axes]
    weights, scales = [], []
    for i, axis in enumerate(found.axes):
        size = np.abs(view.deltas[axis])
        rate, slope, error = found_rates[i]
        expected = np.full(view.size, rate)
        if abs(slope) > 5.0 * error:
            expected = rate + slope * (ranks(size, view.rows) - 0.5)
        mask = np.where(kept[i], 1.0, np.where(dropped[i], 0.0, expected))
        # Outvoted displacements look dropped only where they could not have been kept.
        if found.elected:
            mask = expected
        all_ = np.bincount(view.owner, size, view.slices)
        left = np.bincount(view.owner, size * mask, view.slices)
        good = (left > 0) & (all_ > 0)
        own = coefficients[i, good] * left[good] / all_[good]
        weight = float(np.average(own, weights=all_[good])) if good.any() else 1.0
        weights.append(short(weight, 6e-3 * max(abs(weight), 0.1)))
    parameters: dict[str, Setting | bool | str] = {"normalize": found.normalized}
    if found.normalized:
        factor = short(float(np.mean(weights)), 1e-2)
        if abs(factor - 1.0) > 0.02:
            parameters["lambda"] = factor
        else:
            factor = 1.0
        spelled = ratios(found.shares, 4e-3 if is_bf16(found) else 2e-4)
        scales = [each / factor for each in coefficients]
    else:
        spelled = [weights]
        scales = [
            each / (float(bf16(np.array([w]))[0]) if is_bf16(found) else w)
            for each, w in zip(coefficients, weights, strict=True)
        ]
    method = "della" if found.elected else "dare_linear"

    def recipe(weights: Sequence[float], scales: Sequence[Floats]) -> Recipe:
        return Recipe(
            method,
            tuple(Ingredient(name, w) for name, w in zip(names, weights, strict=True)),
            f.base,
            parameters,
            view.arithmetic,
            f.out_dtype,
            fitted={
                f"scale:{name}": table(f, each, view.owner)
                for name, each in zip(names, scales, strict=True)
            },
        )

    if not is_bf16(found):
        weights = spelled[0]
        scales = stepped(
            f, scales, lambda some: recipe(weights, some), ((9.0, 4), (3.0, 3), (1.0, 2)), -24
        )
        return best_of(f, [recipe(each, scales) for each in spelled])
    weights = list(spelled[0])
    if not found.normalized:
        weights = _weights_of_bf16(f, weights, coefficients, recipe)
        scales = [
            each / float(bf16(np.array([w]))[0])
            for each, w in zip(coefficients, weights, strict=True)
        ]
        spelled = [weights]
    scales = stepped(
        f,
        [bf16(each) for each in scales],
        lambda some: recipe(weights, some),
        ((1.0, 4), (1.0, 1), (1.0, 1)),
        -8,
    )
    return best_of(f, [recipe(each, scales) for each in spelled])


def _searched(found: Mixture, coefficients: Floats) -> Floats:
    """Return coefficients by slice, those of small slices from a grid around what others have.

    In norms few intervals are narrow enough to meet anywhere, but all of them together leave little
    room for a pair of coefficients.
    """
    view, count = found.view, len(found.axes)
    if found.normalized or count > 2:
        return coefficients
    out = coefficients.copy()
    sizes = np.bincount(view.owner, minlength=view.slices)
    order = np.argsort(view.owner, kind="stable")
    ends = np.concatenate([[0], np.cumsum(sizes)])
    for slice_ in np.flatnonzero((sizes > 0) & (sizes <= SMALL)):
        rows = order[ends[slice_] : ends[slice_ + 1]]
        deltas = view.deltas[found.axes][:, rows]
        low, high = view.low[rows], view.high[rows]

        def explained(
            *trial: Floats,
            deltas: Floats = deltas,
            low: Floats = low,
            high: Floats = high,
        ) -> NDArray[np.intp]:
            """Return (trials,) how many elements coefficients (trials,) of each explain."""
            terms = [t[:, None] * delta for t, delta in zip(trial, deltas, strict=True)]
            good = np.broadcast_to((low <= 0.0) & (high >= 0.0), terms[0].shape).copy()
            for term in terms:
                good |= (low <= term) & (term <= high)
            if count == 2:
                both = (low <= terms[0] + terms[1]) & (terms[0] + terms[1] <= high)
                if found.elected:
                    both &= terms[0] * terms[1] > 0.0
                good |= both
            counted: NDArray[np.intp] = good.sum(axis=1)
            return counted

        best = out[:, slice_]
        most = int(explained(*best[:, None])[0])
        spread = 4.0 / np.sqrt(len(rows))
        for reach in (min(spread, 0.5), 0.03, 0.004):
            if most == len(rows):
                break
            line = np.linspace(1.0 - reach, 1.0 + reach, GRID)
            grid = np.stack(np.meshgrid(*[c * line for c in best], indexing="ij"))
            trial = grid.reshape(count, -1)
            counts = explained(*trial)
            if int(counts.max()) > most:
                most = int(counts.max())
                # The middle of the best, not their corner.
                among = np.flatnonzero(counts == most)
                middle = trial[:, among].mean(axis=1, keepdims=True)
                nearest = np.abs(trial[:, among] / middle - 1.0).max(axis=0).argmin()
                best = trial[:, among[nearest]]
        out[:, slice_] = best
    return out


def _weights_of_bf16(
    f: Findings, weights: list[float], coefficients: Floats, recipe: Any
) -> list[float]:
    """Return weights whose products with scales, all bf16 numbers, leave the fewest mismatches.

    Scales follow the weights: only their rounding tells one from another.
    """

    def scaled(some: Sequence[float]) -> list[Floats]:
        return [
            bf16(each / float(bf16(np.array([w]))[0]))
            for each, w in zip(coefficients, some, strict=True)
        ]

    def left(some: Sequence[float], axis: int) -> int:
        scales = scaled(some)
        step = np.ldexp(1.0, np.frexp(scales[axis])[1] - 8)
        tries = [
            recipe(some, [*scales[:axis], scales[axis] + k * step, *scales[axis + 1 :]])
            for k in (0, -1, 1)
        ]
        return int(mismatches(f, tries).min(axis=1).sum())

    weights = [round(w, 2) for w in weights]
    for axis, start in enumerate(weights):
        options = [round(start + k / 100.0, 2) for k in (0, -1, 1, -2, 2)]
        options = [x for x in options if x > 0.0]
        tried = [left([*weights[:axis], x, *weights[axis + 1 :]], axis) for x in options]
        weights[axis] = options[int(np.argmin(tried))]
    return weights


def stepped(
    f: Findings,
    scales: list[Floats],
    recipe: Any,
    steps: Sequence[tuple[float, int]],
    digits: int,
) -> list[Floats]:
    """Return scales with, slice by slice, the fewest mismatches: by some units of the last place.

    ``steps`` are units and how many of them either way; the last place is that of 2^``digits``.
    """
    for units, reach in steps:
        for i, each in enumerate(scales):
            step = units * np.ldexp(1.0, np.frexp(each)[1] + digits)
            options = [each + k * step for k in sorted(range(-reach, reach + 1), key=abs)]
            tries = [recipe([*scales[:i], option, *scales[i + 1 :]]) for option in options]
            best = mismatches(f, tries).argmin(axis=1)
            scales = [*scales[:i], np.choose(best, options), *scales[i + 1 :]]
    return scales


def _refitted(found: Mixture) -> Floats:
    """Return coefficients by slice, each from all sets that it may be part of, the others held."""
    view = found.view
    coefficients = found.coefficients.copy()
    sizes = np.maximum(np.bincount(view.owner, minlength=view.slices), 1.0)
    count = len(found.axes)
    reach = 0.03 + 2.0 / np.sqrt(sizes)
    for round_ in range(2):
        for i in range(count):
            delta = view.deltas[found.axes[i]]
            terms = coefficients[:, view.owner] * view.deltas[found.axes]
            lows, highs, owners = [], [], []
            others = [j for j in range(count) if j != i]
            for number_ in range(0, count):
                for chosen in combinations(others, number_):
                    rest, factor = np.zeros(view.size), np.ones(view.size)
                    ok = view.moved & (delta != 0.0)
                    for j in chosen:
                        if found.elected:
                            ok &= np.sign(terms[j]) == np.sign(delta)
                    if found.normalized and chosen:
                        shares = found.shares
                        inside = shares[i] + sum(shares[j] for j in chosen)
                        for j in chosen:
                            rest = rest + shares[j] / inside * terms[j]
                        factor = factor * shares[i] / inside
                    else:
                        for j in chosen:
                            rest = rest + terms[j]
                    rows = np.flatnonzero(ok)
                    slope = factor[rows] * delta[rows]
                    one = (view.low[rows] - rest[rows]) / slope
                    two = (view.high[rows] - rest[rows]) / slope
                    low, high = np.minimum(one, two), np.maximum(one, two)
                    owner = view.owner[rows]
                    at = coefficients[i, owner]
                    near = (
                        (high > at * (1.0 - reach[owner]))
                        & (low < at * (1.0 + reach[owner]))
                        & (high - low < 0.3 * at)
                    )
                    lows.append(low[near])
                    highs.append(high[near])
                    owners.append(owner[near])
            middle, half, depth = deepest(
                np.concatenate(lows), np.concatenate(highs), np.concatenate(owners), view.slices
            )
            inside_reach = np.abs(middle / coefficients[i] - 1.0) <= reach
            good = (depth >= 3) & inside_reach & (half <= 0.1 * np.abs(middle))
            coefficients[i] = np.where(good, middle, coefficients[i])
        reach = np.minimum(reach, 0.01 + 1.0 / np.sqrt(sizes) if round_ == 0 else reach)
    return coefficients


def _by_chance(
    f: Findings,
    found: Mixture,
    recipe: Recipe,
    kept: Bools,
    dropped: Bools,
    *,
    is_scaled: bool,
) -> Recipe | None:
    """Return the recipe whose masks are drawn at random: at one rate, or by rank.

    ``None`` if rates rise with rank by more than they can: from above 0 to below 1.
    """
    found_rates = rates(found, kept, dropped)
    is_ranked = all(slope > max(5.0 * error, 0.03) for _, slope, error in found_rates)
    ingredients = tuple(
        replace(each, density=short(rate, max(6e-3, 3.0 * error / np.sqrt(12.0))))
        for each, (rate, _, error) in zip(recipe.ingredients, found_rates, strict=True)
    )
    parameters = dict(recipe.parameters)
    if is_ranked:
        slope = float(np.mean([slope for _, slope, _ in found_rates]))
        if any(abs(slope / 2.0) >= min(rate, 1.0 - rate) for rate, _, _ in found_rates):
            return None
        parameters["epsilon"] = short(slope / 2.0, 6e-3)
        method = "della" if found.elected else "della_linear"
    else:
        method = "dare_ties" if found.elected else "dare_linear"
    if not is_scaled:
        parameters["rescale"] = False
    default = method == "della"
    if len(found.axes) == 1:
        parameters["normalize"] = default
    if parameters["normalize"] == default:
        del parameters["normalize"]
    made = replace(recipe, method=method, ingredients=ingredients, parameters=parameters)
    return ordered(f, made)
