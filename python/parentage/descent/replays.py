"""Replays both ways: whether the child is a blend of the others, or one of them a blend with it.

Arithmetic is symmetric: if ``c = w p + (1 - w) b`` then ``p`` is a blend of ``c`` and ``b``.
Rounding is not. What was computed lies in its rounding cell of the blend; what it was computed from
lies there by chance alone, in about the share w of the elements, since the child's rounding error
is divided by w on the way back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parentage.descent.admitted import most_admitting, summed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from parentage.descent.points import Points
    from parentage.support import Floats

SLACK = 2.0**-40
"""What is allowed for rounding in float64, as a share of the summands."""

LEAST_WEIGHT = 1e-3
"""Weights below this are not turned round: their checkpoint would be known to no digit."""

MARGIN = 0.02
"""Difference between the shares forward and back from which on they decide."""

LEAST_GIVEN = 0.3
"""Least share that a blend gives of what has more digits, for the digits to decide; and that the
way back gives, to be one."""

RATIO = 10.0
"""How many times more elements one way has to miss than the other, where both miss few."""

FAR = 8.0
"""Units in the child's last place that checkpoints lie apart where a blend tells the most."""

APART = 16.0
"""Steps of the coarsest that a blend lies from every checkpoint where it lies anywhere in a cell:
fewer steps have few multiples of a weight between them."""

ON_STEPS = 0.999
"""Least share of numbers that lie on a step, for it to be that of all."""

GIVEN = 2.0**-6
"""Distance from the middle of a cell, as a share of what it reaches down, up to which a blend gives
all digits, for what is known of its weights."""

LEAST_CENTRAL = 300
"""Elements that lie so far apart, at least, by which it is told where in cells a blend lies."""

CENTRAL, DEVIATIONS = 0.04, 5.0
"""By how much more than a half of them, and by how many standard deviations, lie in the middle half
of the child's cells where the child was not rounded from the blend. Rounding leaves a half there,
fewer where weights have few digits, and what is changed afterwards leaves fewer."""

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
    central_elements: int = 0
    """Elements whose blend lies 16 steps from every checkpoint or more, and which it does not give
    to all digits."""
    central: float = 0.5
    """Share of them whose blend lies in the middle half of the child's cell. What was rounded lies
    anywhere in its cell. A parent made from the child was rounded itself, and its rounding, times
    its weight, is all that lies between the blend and the child, with what was added to hide it."""
    hidden: frozenset[str] = frozenset()
    """Checkpoints with fewer digits than the child that the way back gives, though they need not
    have been rounded from it: the child alone, cast, gives as much, as it does where it was moved
    by less than their rounding, or where both are casts of a third; or what the way back gives does
    not lie in their cells as what was rounded does."""
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
        if self.is_centred:
            return "undecided"
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
    def is_centred(self) -> bool:
        """Whether the blend lies nearer to the child than what was rounded to it would."""
        if self.central_elements < LEAST_CENTRAL:
            return False
        return self.central > 0.5 + _chance(self.central_elements)

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
        if name in self.hidden and self._refutes(missed_forward, missed_back):
            return "undecided"
        if self._refutes(missed_back, missed_forward):
            return "forward"
        # What misses nearly all is no way back, however much more the way forward misses.
        if back >= LEAST_GIVEN and self._refutes(missed_forward, missed_back):
            return "back"
        return "undecided"

    def _refutes(self, missed: float, other: float) -> bool:
        """Return whether a way that misses a share is refuted by one that misses ``other``."""
        enough = missed * self.elements >= LEAST_MISSED
        return enough and (missed - other >= MARGIN or missed >= RATIO * max(other, 0.0))


@dataclass(frozen=True, slots=True)
class _Cells:
    """The rounding cells of n values that one checkpoint stores."""

    stored: Floats
    """(n,)"""
    below: Floats
    """(n,) how far they reach down."""
    above: Floats
    """(n,) how far they reach up."""
    slack: Floats
    """(n,) what is allowed for rounding in float64."""

    @classmethod
    def of(cls, points: Points, column: int) -> _Cells:
        """Return the cells of a checkpoint's values."""
        slack = SLACK * np.abs(points.values).max(axis=1)
        return cls(points.values[:, column], *points.cells(column), slack)

    def admit(self, off: Floats) -> NDArray[np.bool_]:
        """Return (n,) whether they hold what is ``off`` (n,) from what is stored."""
        admitted: NDArray[np.bool_] = (off >= -self.below - self.slack) & (
            off <= self.above + self.slack
        )
        return admitted


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
        Each (S, N): weights by slice of whole checkpoints, controls included, that are tried beside
        one weight for all.

    Returns
    -------
    BothWays or None
        ``None`` without a blend of two checkpoints or more, or an element where they differ.
    """
    if len(names) < 2 or not len(points.values):
        return None
    child, every = points.values.shape[1] - 1, list(range(len(names)))
    cells = _Cells.of(points, child)
    one = np.zeros(child)
    best, one[every] = most_admitting(points, child, every)
    whole = np.tile(one, (len(points.dtypes[0]), 1))
    off = _blend(points, whole) - cells.stored
    for weights in blends:
        tried = _blend(points, weights) - cells.stored
        share = float(cells.admit(tried).mean())
        if share > best:
            best, whole, off = share, weights, tried
    is_held = np.abs(whole) >= LEAST_WEIGHT
    used = [i for i in every if is_held[:, i].any()]
    # Where one checkpoint has all the weight, there is a copy, which has no direction.
    is_blend = is_held[:, used].sum(axis=1) > 1
    chosen = points.values[:, used]
    moved = (chosen != chosen[:, :1]).any(axis=1) & is_blend[points.owner]
    if len(used) < 2 or not moved.any():
        return None
    given = cells.admit(off)
    back, of_child, hidden = {}, {}, set()
    for i in used:
        others = [*(j for j in used if j != i), child]
        share, found = most_admitting(points, i, others, moved)
        back[names[i]] = max(share, _turned(points, whole, i, moved))
        of_child[names[i]] = float(found[-1])
        is_coarser = points.digits(i) < points.digits(child)
        if is_coarser and _is_hidden(points, i, others, found, back[names[i]], moved):
            hidden.add(names[i])
    spread = chosen.max(axis=1) - chosen.min(axis=1)
    # What was zeroed has units so fine that all lies far apart and is coarse beside them.
    is_kept = 2.0 * np.abs(points.values[:, child]) >= np.abs(points.values[:, child] + off)
    far = moved & is_kept & (spread >= FAR * (cells.below + cells.above))
    ties, alike = _ties(cells, off, moved)
    steps = np.max([_resolution(points.values[:, i]) for i in used], axis=0)
    blend = points.values[:, [child]] + off[:, None]
    # A blend that is nearly one checkpoint's lies near its number, which the child can hold.
    apart = APART * np.maximum(steps, cells.below + cells.above)[:, None]
    is_own = is_kept & moved & (np.abs(blend - chosen) >= apart).all(axis=1)
    central_elements, central = _central(cells, off, is_own)
    return BothWays(
        int(moved.sum()),
        _share(given, moved),
        back,
        {names[i]: points.digits(i) - points.digits(child) for i in used},
        of_child,
        int(far.sum()),
        _share(given, far),
        ties,
        alike,
        central_elements,
        central,
        frozenset(hidden),
        _excused(points, cells, used, is_kept, moved, moved & ~given),
    )


def whole_weights(weights: Floats) -> Floats:
    """Return (S, N) weights of whole checkpoints, of those of displacements.

    That of the base is what it has beyond a sum of one.

    >>> whole_weights(np.array([[0.0, 0.75], [0.25, 0.5]])).tolist()
    [[0.25, 0.75], [0.75, 0.5]]
    """
    whole = weights.copy()
    whole[:, 0] = 1.0 + weights[:, 0] - weights[:, 1:].sum(axis=1)
    return whole


def _is_hidden(
    points: Points,
    target: int,
    others: list[int],
    weights: Floats,
    back: float,
    rows: NDArray[np.bool_],
) -> bool:
    """Return whether a checkpoint of few digits may be no rounding of the blend that gives it.

    ``others`` are those of the blend, the child at last, and ``weights`` theirs. A number moved by
    less than half a unit of a coarser one rounds to it, whichever was first.
    """
    cells = _Cells.of(points, target)
    alone = _share(cells.admit(points.values[:, others[-1]] - cells.stored), rows)
    if alone >= max(LEAST_GIVEN, back - MARGIN):
        return True
    columns = points.values[:, others]
    off = summed(columns, np.broadcast_to(weights, columns.shape)) - cells.stored
    if _share(cells.admit(off), rows) < REPRODUCED:
        return True
    count, central = _central(cells, off, rows)
    if count < LEAST_CENTRAL:
        return True
    return abs(central - 0.5) > _chance(count)


def _chance(count: int) -> float:
    """Return how far from a half the share of ``count`` elements in the middle half may be."""
    return max(CENTRAL, DEVIATIONS * 0.5 / math.sqrt(count))


def _ties(cells: _Cells, off: Floats, rows: NDArray[np.bool_]) -> tuple[int, float]:
    """Return how many elements a blend puts halfway, and the most that one way of rounding decides.

    ``off`` (n,) is how far it is from what is stored. The second is a share, 1 without any.
    """
    half = np.minimum(cells.below, cells.above)
    # Where float64 can not tell what lies halfway, nothing is said.
    is_told = rows & (cells.slack <= TOLD * half)
    ends = np.minimum(np.abs(off - cells.above), np.abs(off + cells.below))
    is_tie = is_told & (ends <= cells.slack)
    count = int(is_tie.sum())
    if not count:
        return 0, 1.0
    stored = cells.stored[is_tie]
    even = float((np.mod(np.abs(stored) / (2.0 * half[is_tie]), 2.0) == 0.0).mean())
    inwards = float((np.sign(off[is_tie]) == np.sign(stored)).mean())
    return count, max(even, inwards, 1.0 - inwards)


def _central(cells: _Cells, off: Floats, rows: NDArray[np.bool_]) -> tuple[int, float]:
    """Return how many of chosen elements are rounded, and the share of those in the middle half.

    ``off`` (n,) is how far a blend is from what is stored. What lies on the edge of the middle half
    counts as a half.
    """
    # What the blend gives to all digits says nothing of rounding.
    known = rows & (np.abs(off) > GIVEN * cells.below) & (cells.slack <= TOLD * cells.below)
    edge = np.where(off < 0.0, cells.below, cells.above) / 2.0
    beyond = np.abs(off) - edge
    inside = known & (beyond < -cells.slack)
    on_edge = known & (np.abs(beyond) <= cells.slack)
    count = int(known.sum())
    return count, float(inside.sum() + 0.5 * on_edge.sum()) / count if count else 0.5


def _resolution(values: Floats) -> Floats:
    """Return (n,) the step on which numbers of a checkpoint lie: coarser than its dtype's at times.

    >>> _resolution(np.array([1.0, 1.5, 3.0])).tolist()
    [0.5, 0.5, 1.0]
    """
    parts, powers = np.frexp(values)
    bits = 1
    while bits < 53:
        whole = np.ldexp(parts, bits)
        if float((whole == np.rint(whole)).mean()) >= ON_STEPS:
            break
        bits += 1
    steps: Floats = np.ldexp(1.0, powers - bits)
    return steps


def _excused(
    points: Points,
    cells: _Cells,
    used: list[int],
    is_kept: NDArray[np.bool_],
    rows: NDArray[np.bool_],
    missed: NDArray[np.bool_],
) -> float:
    """Return the share of what a blend misses where one of it has coarser units than the child.

    0 where too few are missed, or that is most elements anyway.
    """
    units = np.max([np.add(*points.cells(i)) for i in used], axis=0)
    is_coarse = is_kept & (units > 1.5 * (cells.below + cells.above))
    if int(missed.sum()) < LEAST_EXCUSED or float(is_coarse[rows].mean()) > MOST_COARSE:
        return 0.0
    return float(is_coarse[missed].mean())


def _blend(points: Points, whole: Floats) -> Floats:
    """Return (n,) the blend of whole checkpoints; each weight is that of the element's slice."""
    return summed(points.values[:, :-1], whole[points.owner])


def _share(given: NDArray[np.bool_], rows: NDArray[np.bool_]) -> float:
    """Return the share of chosen elements (n,) that are given; 0 without any."""
    return float(given[rows].mean()) if rows.any() else 0.0


def _turned(points: Points, whole: Floats, turned: int, rows: NDArray[np.bool_]) -> float:
    """Return the share that a checkpoint of a blend has of the child's blend with the others.

    Weights are those that give the child, turned round.
    """
    weights = whole[points.owner]
    # Slices in which it has no weight say nothing of it.
    known = rows & (np.abs(weights[:, turned]) >= LEAST_WEIGHT)
    if not known.any():
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.concatenate([-weights, np.ones((len(weights), 1))], axis=1)
        inverse /= weights[:, [turned]]
    inverse[:, turned] = 0.0
    blend = summed(points.values, np.where(known[:, None], inverse, 0.0))
    cells = _Cells.of(points, turned)
    return _share(cells.admit(blend - cells.stored), known)
