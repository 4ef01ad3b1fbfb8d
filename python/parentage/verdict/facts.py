"""The numbers that rules look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parentage.verdict.thresholds import Thresholds
from parentage.verdict.wholes import Wholes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from parentage.sample import Sampled
    from parentage.verdict.residual import Residual


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

    @property
    def share(self) -> float:
        """Share of elements reproduced or explained."""
        return 1.0 - self.mismatched / self.elements if self.elements else 0.0

    @property
    def is_exact(self) -> bool:
        """Whether all of it is reproduced, bit for bit, with nothing left open."""
        return self.elements > 0 and self.mismatched == 0 and self.explained == 0

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
class Facts:
    """The numbers that rules look at, over the whole model."""

    child: str
    base: str
    elements: int
    """Elements compared."""
    coverage: float
    """Their share of the child's."""
    finite: float
    """Share of the elements compared that are finite in every checkpoint."""
    equal: Mapping[str, int]
    """Per base, parent and control: elements equal after a cast to the child's dtype."""
    same_dtype: Mapping[str, bool]
    """Whether all slices are stored in the child's dtype."""
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
    copied: Mapping[str, int]
    """Per checkpoint: slices that are bit for bit its own; a slice counts for the first only."""
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
    wholes: Wholes = field(default_factory=Wholes)
    """What the child and each checkpoint share, tensor by tensor, and what each lacks."""
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
