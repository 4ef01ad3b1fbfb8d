"""The numbers that rules look at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parentage.verdict.thresholds import Thresholds
from parentage.verdict.wholes import Wholes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from parentage.align import LayerBlend
    from parentage.descent import BothWays, OwnValues
    from parentage.sample import Sampled
    from parentage.verdict.case import Added, QuantisedBlend, Requantised
    from parentage.verdict.changes import Changes
    from parentage.verdict.invariants import Invariants
    from parentage.verdict.residual import Residual
    from parentage.verdict.structure import Structure


LEAST_OWN = 200
"""Values of its own that a checkpoint has to have for the share kept of them to mean something."""


@dataclass(frozen=True, slots=True)
class ReplayFacts:
    """What the best recipe reproduces."""

    kind: str
    """The verdict that its method stands for."""
    text: str
    equivalents: tuple[str, ...]
    elements: int
    """Elements replayed."""
    coverage: float
    """Their share of the child's."""
    mismatched: int
    explained: int
    """Elements that the recipe gives if what it leaves open is chosen rightly."""
    decoy_share: float
    """Share that it reaches with a decoy for a parent."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """What each checkpoint weighs in it; empty where that is no one number."""
    whole_share: float = 0.0
    """Share of the elements in slices that it gives all of, and decoys would not."""
    changed_floors: float = 0.0
    """Root mean square of what any blend leaves in the other slices, in floors."""
    changed_share: float = 0.0
    """Share of the elements of those slices that it does not give."""
    is_rounded_once: bool = False
    """Whether its arithmetic is that of float32, rounded once, which cells see through."""
    ulps: tuple[int, ...] = ()
    """Mismatched elements that are 1, 2, 3 to 4, 5 to 8, ... units in the last place off."""
    whole_slices: int = 0
    """Slices that it gives all of."""
    replayed_slices: int = 0
    changed_slices: tuple[str, ...] = ()
    """The names of those that it does not, the most elements first."""
    unreplayed: int = 0
    """Elements that were compared beside those: integers, and what has no rounding."""
    strange: int = 0
    """Of these, the ones that are not those of the checkpoint that has most of their slice."""
    strange_slices: tuple[str, ...] = ()
    """The names of their slices, the most elements first."""

    @property
    def share(self) -> float:
        """Share of elements reproduced or explained."""
        return 1.0 - self.mismatched / self.elements if self.elements else 0.0

    @property
    def is_exact(self) -> bool:
        """Whether all of it is reproduced, bit for bit, with nothing left open."""
        return self.elements > 0 and self.mismatched == 0 and self.explained == 0

    @property
    def within_two(self) -> float:
        """Share of what is not reproduced that is two units in the last place off at most."""
        return sum(self.ulps[:2]) / sum(self.ulps) if sum(self.ulps) else 0.0

    @property
    def left(self) -> float:
        """What it leaves unexplained, as a share of what decoys leave."""
        decoy_left = 1.0 - self.decoy_share
        return (1.0 - self.share) / decoy_left if decoy_left > 0 else 1.0

    @property
    def decisive(self) -> float:
        """Elements that decoys miss."""
        return (1.0 - self.decoy_share) * self.elements


@dataclass(frozen=True, slots=True)
class SharedSlices:
    """What the child shares with one checkpoint by whole slices, bit for bit."""

    slices: int
    """Slices that are equal."""
    elements: int
    """Their elements."""
    alone: int
    """Matrices that are equal to this checkpoint's and to no other's."""
    alone_elements: int
    others: tuple[str, ...] = ()
    """Names of slices that are not equal to this checkpoint's, the most elements first."""
    strange: tuple[str, ...] = ()
    """Those of them that are matrices and no relatives of it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The numbers that rules look at, over the whole model."""

    child: str
    base: str
    elements: int
    """Elements compared."""
    extent: int
    """Elements of the slices that are compared, all of each where a sample reads some."""
    coverage: float
    """Their share of the child's."""
    finite: float
    """Share of the elements compared that are finite in every checkpoint."""
    equal: Mapping[str, int]
    """Per base, parent and control: elements equal after a cast to the child's dtype."""
    weights: Mapping[str, float]
    """OLS weights of the parents; NaN where undefined."""
    log10_p: Mapping[str, float]
    """Holm-adjusted, per parent."""
    condition: float
    """Of the parents."""
    r2: float
    """Of one weight per parent for the whole model."""
    r2_slices: float
    """Of weights of their own for every slice."""
    residual_floors: float
    """Root mean square residual of the whole-model fit, in floors."""
    residual_floors_slices: float
    """The same with weights of their own for every slice."""
    distance_floors: Mapping[str, float]
    """Per checkpoint: root mean square difference from the child, in floors."""
    likeness: Mapping[str, float]
    """Per checkpoint: cosine of its weights with the child's, over matrices; NaN without any."""
    crossed: Callable[[], Mapping[str, float]]
    """Per checkpoint: the largest likeness of any layer of the child with any of its own. Asked for
    only where layers of one number are strangers, since it reads a little."""
    origin: str
    """The base, or the parent that :func:`origin` takes instead."""
    origin_r2: float
    """Share of the difference from the origin that the base and the other parents explain."""
    strange_share: float
    """Share of elements in matrices whose cosine with those of the origin is below ``related``."""
    slices: int
    """Slices compared."""
    unmoved: int
    """Elements where no parent or control differs from the base."""
    stray: int
    """Of those, elements where the child does."""
    bias: Mapping[str, float]
    """Per parent: how far rounding can move its OLS weight."""
    replay: ReplayFacts | None = None
    """The best recipe, carried out on everything; None if none was worth it."""
    cells_share: float | None = None
    """Share of elements that the best blend reproduces in float32; None if none was looked for."""
    left_over: Mapping[str, float] = field(default_factory=dict)
    """Share of what weights by slice leave over, by component, the largest first."""
    remainder: Callable[[], Residual | None] = lambda: None
    """Its layers and its rank. Asked for only where something is left over, since it reads some
    matrices."""
    displacement: Callable[[], Residual | None] = lambda: None
    """The same of all that the child differs by from the origin."""
    own: Mapping[str, OwnValues] = field(default_factory=dict)
    """Per checkpoint: values that it alone has, and the share of them that the child kept."""
    of_somebody: tuple[float, float] = (0.0, 0.0)
    """Shares of sampled elements in which the child has some checkpoint's value, and another's than
    the base's."""
    finer: tuple[str, ...] = ()
    """Checkpoints that store some slice in finer numbers than the child does."""
    both_ways: BothWays | None = None
    """The best blend and the same turned round: who was made from whom. ``None`` without one."""
    angle: Callable[[str, str, str], float] = lambda *_: math.nan
    """Cosine of the angle at a checkpoint between two others, the child being one of the three."""
    shared: Mapping[str, SharedSlices] = field(default_factory=dict)
    """Per checkpoint: slices that are its alone, bit for bit, and what the child does not share."""
    descendants: tuple[str, ...] = ()
    """Checkpoints that were made from the child."""
    unordered: tuple[str, ...] = ()
    """Checkpoints of which no order was looked for, though not all is alike in place."""
    remarks: tuple[str, ...] = ()
    """Sentences on checkpoints that do not play the part in which they were offered."""
    excess: Callable[[str, str, str], float] = lambda *_: math.nan
    """By how many standard deviations the same angle is no right one."""
    changes: Callable[[str | None, int], Changes] = lambda *_: ()
    """What was done to slices that are not a checkpoint's, or not what the recipe gives (``None``),
    of some of them at most. Asked for only where it is told, since it reads them."""
    blends: tuple[tuple[float, ...], ...] = ()
    """Weights of all checkpoints, the base's first, that most slices may have up to a factor, the
    likely ones first."""
    changes_of_blend: Callable[[tuple[float, ...], int], Changes] = lambda *_: ()
    """What was done to slices that are not what such a blend gives; asked for as ``changes``."""
    structure: Callable[[], Structure | None] = lambda: None
    """Whether the difference from the base has the structure that training leaves, beyond blends of
    the parents. Asked for only of fine-tunes and relatives, since it reads some matrices."""
    invariants: Callable[[], Invariants | None] = lambda: None
    """What a change of basis would have left as it is. Asked for only of strangers."""
    blends_of_layers: Callable[[str, frozenset[int]], tuple[LayerBlend, ...]] = lambda *_: ()
    """Those of some layers that are blends of two layers of a checkpoint. Asked for only where all
    others are copies of it, since it reads some elements of each layer."""
    names: tuple[str, ...] = ()
    """The names of all slices."""
    added: Mapping[str, Added] = field(default_factory=dict)
    """By name, the checkpoints that are adapters, and how they are added."""
    beyond: Mapping[str, int] = field(default_factory=dict)
    """By name of such a checkpoint, elements that differ where nothing is added."""
    wholes: Wholes = field(default_factory=Wholes)
    """What the child and each checkpoint share, tensor by tensor, and what each lacks."""
    recoded: Mapping[str, Requantised] = field(default_factory=dict)
    """Per checkpoint that stores codes where the child has numbers, what quantising these gives."""
    quantised: tuple[QuantisedBlend, ...] = ()
    """What recipes give of tensors that the child stores as codes, the best first."""
    sample: Sampled | None = None
    """What was read, if not everything was; elements are then those that were read."""
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def nearest(self) -> str:
        """The base or parent with the least distance; the base before parents in a tie."""
        return min((self.base, *self.weights), key=self.distance_floors.__getitem__)

    @property
    def blended(self) -> dict[str, float]:
        """The parents that the blend holds, with their weights."""
        limits = self.thresholds
        return {
            name: weight
            for name, weight in self.weights.items()
            if abs(weight) >= limits.weight and self.log10_p[name] <= limits.significance
        }

    @property
    def is_blend(self) -> bool:
        """Whether the weights are those of at least two checkpoints, the base counted."""
        rest = 1.0 - sum(self.blended.values())
        return len(self.blended) + (abs(rest) >= self.thresholds.weight) >= 2

    @property
    def order(self) -> str:
        """Whether the child was made from the blend: ``"forward"``, ``"back"``, ``"undecided"``."""
        if self.both_ways is None:
            return "undecided"
        replay = self.replay
        known = replay is not None and replay.kind == "merge" and not replay.explained
        return self.both_ways.order(replay.share if known and replay is not None else None)

    @property
    def shows_far(self) -> bool:
        """Whether a blend gives as much where its checkpoints lie far apart as where they do not.

        Checkpoints of one run and runs on the same data lie on a line within a unit or two, and
        farther off it the farther they moved.
        """
        both = self.both_ways
        if both is None:
            return True
        limits = self.thresholds
        return both.far_elements >= limits.decisive and both.far >= max(
            limits.far, limits.far_of_all * both.forward
        )

    @property
    def relatives(self) -> tuple[str, ...]:
        """Checkpoints whose weights are those of relatives, the most alike first."""
        known = [name for name, value in self.likeness.items() if value >= self.thresholds.related]
        return tuple(sorted(known, key=lambda name: -self.likeness[name]))

    @property
    def lone(self) -> str | None:
        """The candidate that has all the weight, by least squares: no other one has any.

        ``None`` where several have, or the fit does not tell.
        """
        limit = self.thresholds.lone
        weights = {**self.weights, self.base: 1.0 - sum(self.weights.values())}
        if not self.weights or any(weight != weight for weight in weights.values()):
            return None
        heavy = [name for name, weight in weights.items() if abs(weight) > limit]
        return heavy[0] if len(heavy) == 1 and abs(weights[heavy[0]] - 1.0) <= limit else None

    def beats_copies(self, replay: ReplayFacts) -> bool:
        """Return whether a recipe gives elements that no copy of one candidate gives.

        A blend that is all of one checkpoint but for a trace of another says no more than a copy.
        """
        most = max((self.equal[name] for name in (self.base, *self.weights)), default=0)
        left = (self.elements - most) * (replay.elements / max(self.elements, 1))
        limits = self.thresholds
        gained = left - replay.mismatched
        return gained >= limits.decisive and replay.mismatched <= limits.beside_copies * left

    @property
    def keeper(self) -> str | None:
        """The candidate whose own values the child kept, and nobody else's; ``None`` without."""
        limits = self.thresholds
        known = {name: each for name, each in self.own.items() if each.elements >= LEAST_OWN}
        name = max(known, key=lambda name: known[name].kept, default=None)
        if name is None or name not in (self.base, *self.weights):
            return None
        others = max((each.kept for other, each in known.items() if other != name), default=0.0)
        is_kept = known[name].kept >= limits.kept and others <= limits.kept_by_others
        return name if is_kept else None

    def meets_at(self, name: str) -> dict[str, float]:
        """Return cosines at a checkpoint between the child and its other relatives, by relative.

        Empty unless there is another relative, and all of them are near a right angle: then this
        checkpoint is where the lines to child and relatives meet.
        """
        cosines = {
            other: self.angle(name, self.child, other)
            for other in self.relatives
            if other != name and other not in self.descendants
        }
        known = {other: cosine for other, cosine in cosines.items() if cosine == cosine}
        is_meeting = all(abs(cosine) <= self.thresholds.meeting for cosine in known.values())
        return known if is_meeting else {}

    @property
    def is_own_training(self) -> bool:
        """Whether the difference from the base has structure that no blend of the parents has.

        Noise and coarser numbers have none, and rounding may swallow most of a blend: then what is
        left of it still lies in the parents' directions.
        """
        found, limits = self.structure(), self.thresholds
        return (
            found is not None
            and found.deviations >= limits.structure
            and not found.moved_r2 > limits.own_where_moved
        )

    @property
    def stray_share(self) -> float | None:
        """Share of unmoved elements that the child changed; None where too few are unmoved."""
        if self.unmoved < self.thresholds.stray_elements:
            return None
        return self.stray / self.unmoved


def origin(base: str, parents: Iterable[str], squared_distances: Mapping[str, float]) -> str:
    """Return what a fine-tune would have started from: the nearest parent, if it is near enough.

    Being a little nearer to a parent than to the base is no descent: siblings drift alike.
    """
    nearest = min((base, *parents), key=squared_distances.__getitem__)
    limit = Thresholds().origin * squared_distances[base]
    return nearest if squared_distances[nearest] <= limit else base
