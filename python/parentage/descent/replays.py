"""Replays both ways: whether the child is a blend of the others, or one of them a blend with it.

Arithmetic is symmetric: if ``c = w p + (1 - w) b`` then ``p`` is a blend of ``c`` and ``b``.
Rounding is not. What was computed lies in its rounding cell of the blend; what it was computed from
lies there by chance alone, in about the share w of the elements, since the child's rounding error
is divided by w on the way back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.statistics import fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from parentage.descent.points import Points
    from parentage.support import Floats

SLACK = 2.0**-40
"""What is allowed for rounding in float64, as a share of the summands."""

NEGLIGIBLE = 2e-3
"""Weights below this are left out of a blend by way of trial."""

LEAST_WEIGHT = 1e-3
"""Weights below this are not turned round: their checkpoint would be known to no digit."""

MARGIN = 0.02
"""Difference between the shares forward and back from which on they decide."""

LEAST_GIVEN = 0.3
"""Least share that a blend gives of what has more digits, for the digits to decide."""

RATIO = 10.0
"""How many times more elements one way has to miss than the other, where both miss few."""

FAR = 8.0
"""Units in the child's last place that checkpoints lie apart where a blend tells the most."""

LEAST_MISSED = 8
"""Least elements that the way that is refuted has to miss: by chance they would be as many on
either side once in 256 times."""


TOLD = 2.0**-12
"""Rounding in float64, as a share of a cell, up to which it is told what lies halfway."""

LEAST_TIES = 100
"""Ties, at least, by which it is told whether anything decided them alike."""

ALIKE = 0.7
"""Least share of ties that one way of rounding decides: arithmetic decides 1, or 0.87 where weights
have no end in binary, coincidence 0.51 at most."""

LEAST_EXCUSED = 50
"""Elements that a blend misses, at least, by which it is told where it misses."""

EXCUSED = 0.98
"""Least share of them where a checkpoint of the blend has coarser units than the child, for their
rounding to be what is missed; of what was computed, as many are missed elsewhere."""

MOST_COARSE = 0.9
"""Most share of such elements among all for that to tell anything."""

REPRODUCED = 0.99
"""Least share that a recipe gives, whose arithmetic then decides ties as the child has them."""

ROUNDS = 6
"""Most rounds in which each weight in turn goes where most cells admit it."""


@dataclass(frozen=True, slots=True)
class BothWays:
    """What a blend gives of the child, and of each of its checkpoints when it is turned round."""

    elements: int
    """Sampled elements where the checkpoints of the blend differ, and two or more have weights."""
    forward: float
    """Share of them that the blend, rounded once, gives of the child."""
    back: Mapping[str, float] = field(default_factory=dict)
    """Per checkpoint of the blend: share of them that the blend of the child and the others gives
    of *it*."""
    finer: Mapping[str, int] = field(default_factory=dict)
    """Per checkpoint: bits of its significand beyond the child's; negative where it has fewer."""
    of_child: Mapping[str, float] = field(default_factory=dict)
    """Per checkpoint: the weight of the child in the one blend that gives the most of it."""
    far_elements: int = 0
    """Of the elements, those where the checkpoints lie eight units of the child or more apart."""
    far: float = 0.0
    """Share of those that the blend gives. Where they lie a unit apart, what lies between them is
    given by any blend; a blend that was made gives as much where they lie far apart."""
    ties: int = 0
    """Elements that the blend puts halfway between the child's value and its neighbour."""
    alike: float = 1.0
    """The largest share of ties that one way of rounding decides as the child has them: to even,
    towards zero, or away from it. Arithmetic decides all of them in one way."""
    excused: float = 0.0
    """Share of the elements missed where a checkpoint of the blend has coarser units than the
    child, if those are nine of ten elements at most, and enough are missed. What was computed from
    the others' values does not miss there more than elsewhere; what others were computed from does,
    since it is they who were rounded."""

    def order(self, replayed: float | None = None) -> str:
        """Return ``"forward"``, ``"back"`` or ``"undecided"``: who was made from whom.

        ``replayed`` is the share of all elements that a recipe gives, if that is known: its
        arithmetic may be another than one rounding.
        """
        forward = self.forward if replayed is None else max(self.forward, replayed)
        orders = [self._order_of(name, forward) for name in self.back]
        if "back" in orders:
            return "back"
        if not self.is_computed and (replayed is None or replayed < REPRODUCED):
            return "undecided"
        return "forward" if orders and set(orders) == {"forward"} else "undecided"

    @property
    def is_computed(self) -> bool:
        """Whether nothing speaks against the child's having been rounded from the blend.

        Noise decides ties by chance, too, but then it moves more than those.
        """
        by_chance = self.ties * (1.0 - self.alike)
        is_rounded = (
            self.ties < LEAST_TIES
            or self.alike >= ALIKE
            or by_chance <= 2.0 * (1.0 - self.forward) * self.elements
        )
        return is_rounded and not self.others_were_rounded

    @property
    def others_were_rounded(self) -> bool:
        """Whether what the blend misses is missed where others than the child had to be rounded."""
        return self.excused >= EXCUSED

    def made_from_child(self, replayed: float | None = None) -> tuple[str, ...]:
        """Return the checkpoints that were made from the child, as far as that is decided."""
        forward = self.forward if replayed is None else max(self.forward, replayed)
        return tuple(name for name in self.back if self._order_of(name, forward) == "back")

    def _order_of(self, name: str, forward: float) -> str:
        """Return who came first, the child or one checkpoint of the blend."""
        back, finer = self.back[name], self.finer[name]
        missed_forward, missed_back = 1.0 - forward, 1.0 - back
        # What has more digits was computed from what has fewer: cells so fine admit nothing by
        # chance, and those of fewer digits much.
        if finer < 0 and forward >= LEAST_GIVEN:
            return "forward"
        if finer > 0 and back >= LEAST_GIVEN:
            return "back"
        if self._refutes(missed_back, missed_forward):
            return "forward"
        if self._refutes(missed_forward, missed_back):
            return "back"
        return "undecided"

    def _refutes(self, missed: float, other: float) -> bool:
        """Return whether a way that misses a share is refuted by one that misses ``other``."""
        enough = missed * self.elements >= LEAST_MISSED
        return enough and (missed - other >= MARGIN or missed >= RATIO * max(other, 0.0))


def both_ways(
    points: Points, names: tuple[str, ...], blends: Iterable[Floats] = ()
) -> BothWays | None:
    """Return the shares forward and back of the blend that gives the most of the child.

    Parameters
    ----------
    points
        Sampled elements.
    names
        The checkpoints that may be part of a blend, the base first: the first columns of
        ``points``. Controls are none of them.
    blends
        Each (S, N): weights by slice that are tried beside one weight for all, that of the base
        being what is beyond a sum of one.

    Returns
    -------
    BothWays or None
        ``None`` without a blend of two checkpoints or more, or an element where they differ.
    """
    child, count = points.values.shape[1] - 1, len(names)
    every = list(range(count))
    one = np.zeros(child)
    forward, one[every] = _refined(points, child, every)
    best = forward, np.tile(one, (len(points.dtypes[0]), 1))
    for weights in blends:
        whole = _whole(weights)
        share = _share(points, _prediction(points, whole), child)
        if share > best[0]:
            best = share, whole
    whole = best[1]
    used = [i for i in every if np.abs(whole[:, i]).max() >= LEAST_WEIGHT]
    # Where one checkpoint has all the weight, there is a copy, which has no direction.
    is_blend = (np.abs(whole[:, used]) >= LEAST_WEIGHT).sum(axis=1) > 1
    moved = _moved(points, used) & is_blend[points.owner]
    if len(used) < 2 or not moved.any():
        return None
    forward = _share(points, _prediction(points, whole), child, moved)
    back, of_child = {}, {}
    for i in used:
        others = [*(j for j in used if j != i), child]
        share, weights = _refined(points, i, others, moved)
        back[names[i]] = max(share, _turned(points, whole, i, moved))
        of_child[names[i]] = float(weights[-1])
    chosen = points.values[:, used]
    spread = chosen.max(axis=1) - chosen.min(axis=1)
    far = moved & (spread >= FAR * np.add(*points.cells(child)))
    ties, alike = _ties(points, whole, child, moved)
    return BothWays(
        int(moved.sum()),
        forward,
        back,
        {names[i]: points.digits(i) - points.digits(child) for i in used},
        of_child,
        int(far.sum()),
        _share(points, _prediction(points, whole), child, far),
        ties,
        alike,
        _excused(points, whole, used, moved),
    )


def _ties(points: Points, whole: Floats, child: int, rows: NDArray[np.bool_]) -> tuple[int, float]:
    """Return how many elements a blend puts halfway, and the most that one way of rounding decides.

    That is a share, 1 without any.
    """
    stored, blend = points.values[:, child], _prediction(points, whole)
    below, above = points.cells(child)
    slack = SLACK * np.abs(points.values).max(axis=1)
    off = blend - stored
    # Where float64 can not tell what lies halfway, nothing is said.
    is_told = rows & (slack <= TOLD * np.minimum(below, above))
    is_tie = is_told & ((np.abs(off - above) <= slack) | (np.abs(off + below) <= slack))
    count = int(is_tie.sum())
    if not count:
        return 0, 1.0
    stored, off = stored[is_tie], off[is_tie]
    unit = 2.0 * np.minimum(below, above)[is_tie]
    even = float((np.mod(np.abs(stored) / unit, 2.0) == 0.0).mean())
    inwards = float((np.sign(off) == np.sign(stored)).mean())
    return count, max(even, inwards, 1.0 - inwards)


def _excused(points: Points, whole: Floats, used: list[int], rows: NDArray[np.bool_]) -> float:
    """Return the share of what a blend misses where one of it has coarser units than the child.

    0 where too few are missed, or that is most elements anyway.
    """
    child = points.values.shape[1] - 1
    blend = _prediction(points, whole)
    below, above = points.cells(child)
    slack = SLACK * np.abs(points.values).max(axis=1)
    off = blend - points.values[:, child]
    missed = rows & ((off < -below - slack) | (off > above + slack))
    units = np.max([np.add(*points.cells(i)) for i in used], axis=0)
    is_coarse = units > 1.5 * (below + above)
    if int(missed.sum()) < LEAST_EXCUSED or float(is_coarse[rows].mean()) > MOST_COARSE:
        return 0.0
    return float(is_coarse[missed].mean())


def _whole(weights: Floats) -> Floats:
    """Return (S, N) weights of whole checkpoints, that of the base included."""
    whole = weights.copy()
    whole[:, 0] = 1.0 + weights[:, 0] - weights[:, 1:].sum(axis=1)
    return whole


def _moved(points: Points, used: list[int]) -> NDArray[np.bool_]:
    """Return (n,) whether the checkpoints of a blend differ in an element."""
    chosen = points.values[:, used]
    moved: NDArray[np.bool_] = (chosen != chosen[:, :1]).any(axis=1)
    return moved


def _prediction(points: Points, whole: Floats) -> Floats:
    """Return (n,) the blend of whole checkpoints; each weight is that of the element's slice."""
    return _sum(points.values[:, :-1], whole[points.owner])


def _sum(values: Floats, weights: Floats) -> Floats:
    """Return (n,) sums of products, added up in the order of columns."""
    total = np.zeros(len(values))
    for i in range(values.shape[1]):
        total += values[:, i] * weights[:, i]
    return total


def _share(
    points: Points, prediction: Floats, column: int, rows: NDArray[np.bool_] | None = None
) -> float:
    """Return the share of elements whose prediction rounds to what a checkpoint stores."""
    stored = points.values[:, column]
    size = np.abs(points.values).max(axis=1)
    if rows is not None:
        stored, prediction, size = stored[rows], prediction[rows], size[rows]
    below, above = points.cells(column, rows)
    off, slack = prediction - stored, SLACK * size
    given = (off >= -below - slack) & (off <= above + slack)
    return float(given.mean()) if len(given) else 0.0


def _turned(points: Points, whole: Floats, turned: int, rows: NDArray[np.bool_]) -> float:
    """Return the share that a checkpoint of a blend has of the child's blend with the others.

    Weights are those that give the child, turned round.
    """
    weights = whole[points.owner]
    known = rows & (np.abs(weights[:, turned]) >= LEAST_WEIGHT)
    if not known.any():
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.concatenate([-weights, np.ones((len(weights), 1))], axis=1)
        inverse /= weights[:, [turned]]
    inverse[:, turned] = 0.0
    given = _sum(points.values, np.where(known[:, None], inverse, 0.0))
    # Slices in which it has no weight say nothing of it.
    return _share(points, given, turned, known)


def _refined(
    points: Points, target: int, others: list[int], rows: NDArray[np.bool_] | None = None
) -> tuple[float, Floats]:
    """Return the share of a checkpoint that one blend of others gives, and its weights (others,).

    The search starts from least squares; each weight in turn goes where most cells admit it. What
    then weighs next to nothing is left out.
    """
    rows = np.ones(len(points.values), dtype=bool) if rows is None else rows
    stored, cells = points.values[rows][:, target], points.cells(target, rows)
    used = list(range(len(others)))
    while True:
        columns = points.values[rows][:, [others[i] for i in used]]
        share, found = _climb(columns, stored, cells)
        idle = [i for i, weight in zip(used, found, strict=True) if abs(weight) < NEGLIGIBLE]
        if not idle or len(used) - len(idle) < 1:
            break
        used = [i for i in used if i not in idle]
    weights = np.zeros(len(others))
    weights[used] = found
    return share, weights


def _climb(columns: Floats, stored: Floats, cells: tuple[Floats, Floats]) -> tuple[float, Floats]:
    """Return the share of cells that admit the best blend of columns (n, k), and its weights (k,).

    ``stored`` (n,) are the values whose cells reach down and up by ``cells``. Weights sum to one.
    """
    origin = columns[:, 0]
    moves, target = columns[:, 1:] - origin[:, None], stored - origin
    weights = _least_squares(moves, target) if moves.shape[1] else np.zeros(0)
    best = 0
    for _ in range(ROUNDS):
        before = best
        for i in range(len(weights)):
            rest = target - _sum(np.delete(moves, i, axis=1), _rest(weights, i, len(moves)))
            weights[i], best = most_admitted(moves[:, i], rest - cells[0], rest + cells[1])
        if best <= before:
            break
    share = best / max(len(stored), 1)
    if not len(weights):
        share = float(((target >= -cells[0]) & (target <= cells[1])).mean()) if len(target) else 0.0
    return share, np.concatenate([[1.0 - weights.sum()], weights])


def _rest(weights: Floats, left_out: int, count: int) -> Floats:
    """Return (count, k - 1) all weights but one, the same in every row."""
    return np.tile(np.delete(weights, left_out), (count, 1))


def _least_squares(moves: Floats, target: Floats) -> Floats:
    """Return (k,) weights of (n, k) columns, 0 of those that can not be told from others."""
    columns = np.concatenate([np.zeros((len(target), 1)), moves, target[:, None]], axis=1)
    count = columns.shape[1]
    gram = np.zeros((1, count, count))
    for i in range(count):
        for j in range(count):
            gram[0, i, j] = float((columns[:, i] * columns[:, j]).sum())
    weights: Floats = np.nan_to_num(fit(gram, list(range(1, count - 1))).weights[0])
    return weights


def most_admitted(moves: Floats, low: Floats, high: Floats) -> tuple[float, int]:
    """Return the factor for which the most of ``factor * moves`` lie from ``low`` to ``high``.

    All are (n,). With it comes for how many; what does not move is admitted by all or by none.

    >>> moves, low, high = np.array([[1.0, 2.0, 0.0], [1.0, 2.2, -1.0], [3.0, 4.0, 1.0]])
    >>> most_admitted(moves, low, high)
    (1.55, 3)
    """
    fixed = moves == 0.0
    held = int(((low <= 0.0) & (high >= 0.0))[fixed].sum())
    if fixed.all():
        return 0.0, held
    with np.errstate(over="ignore"):
        one, other = low[~fixed] / moves[~fixed], high[~fixed] / moves[~fixed]
    first, last = np.sort(np.minimum(one, other)), np.sort(np.maximum(one, other))
    # At each beginning of an interval: those that have begun, less those that ended before it.
    open_ = np.arange(1, len(first) + 1) - np.searchsorted(last, first, side="left")
    place = int(open_.argmax())
    end = last[np.searchsorted(last, first[place], side="left")]
    following = first[place + 1] if place + 1 < len(first) else end
    middle = float((first[place] + min(end, following)) / 2.0)
    # What moves next to nothing admits factors beyond all numbers.
    return middle if np.isfinite(middle) else 0.0, held + int(open_[place])
