"""What the evidence supports. All rules and all thresholds are in this file.

A rule looks at :class:`Evidence` and either decides, with the numbers that met it, or passes to the
next. The last one decides nothing. Wrong is worse than undetermined.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from parentage.checkpoint import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from parentage.remainder import Remainder
    from parentage.sampling import Sampled

KINDS = (
    "identical",
    "re-encoded",
    "merge",
    "merge-then-changed",
    "fine-tune",
    "assembled",
    "unrelated",
    "undetermined",
)
"""Every verdict, as written in evidence and accepted by ``--fail-on``."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the rules compare with, and why.

    Residuals are in units of the *floor*, the root mean square rounding error of the child's dtype.
    Measured on merges and fine-tunes of three families of small models.
    """

    explained: float = 0.90
    """Least R2 of a blend. Siblings reach 0.19, a grandchild against its parent 0.85, the worst
    merge of displacements near one unit in the last place 0.93."""
    merge_residual: float = 1.10
    """Most residual of a merge rounded once: measured 0.95 to 1.004."""
    changed_residual: float = 2.50
    """Least residual that arithmetic does not account for: merges computed in bf16 reach 1.9."""
    reproduced: float = 0.999
    """Least share of elements that the recipe of a merge reproduces or explains. Methods whose
    angles are sums over a tensor are known to a few units in the last place and reach 0.9995; half
    a unit of noise leaves 0.61."""
    decoy: float = 0.02
    """Most that a recipe may leave, as a share of what decoys leave. Where displacements are tiny,
    anything reproduces nearly everything."""
    decisive: float = 100.0
    """Least elements that decoys must miss for a recipe to be told from them."""
    cells: float = 0.90
    """Least share of elements that a blend must reproduce in float32 to leave no room."""
    nearly: float = 0.80
    """Share from which on what a recipe does not reproduce may well be arithmetic that is not known
    here: fits of methods in bf16 stop at 0.82 to 0.97, half a unit of noise leaves 0.61."""
    in_part: float = 0.10
    """Least share of the elements in slices that a recipe gives all of, of a merge that was changed
    in other slices: embeddings alone are as much. A recipe that is wrong gives all of none that
    decoys miss."""
    amiss: float = 0.05
    """Least share of elements that a recipe does not give of the slices that were changed, where it
    gives others whole in float32: weights of their own would have shown in their cells."""
    partial: float = 0.30
    """Least share of what decoys leave that a recipe reproduces of a merge that was changed."""
    near: float = 1.50
    """A child within so many floors of one checkpoint differs from it by no more than rounding."""
    stray_share: float = 1e-3
    """Most elements that a merge changes where no parent differs from the base."""
    stray_elements: int = 1000
    """Least elements without a moved parent for their share to count."""
    own_direction: float = 0.30
    """Most R2, seen from its origin, of a fine-tune in a direction of its own. The largest seen is
    0.24; blends that sparsify (DARE) start at 0.38."""
    origin: float = 0.50
    """Most squared distance from a parent, as a share of that from the base, for the parent to be
    an origin: a grandchild keeps 0.20 of it; a sibling that drifted far, 0.88."""
    strange_share: float = 0.01
    """Most share of the child in matrices that are no relatives of those of its origin."""
    related: float = 0.50
    """Least cosine of the weights themselves for a relative: continued training keeps 0.95."""
    unrelated: float = 0.10
    """Most cosine of the weights themselves of a stranger, over matrices: measured 0.00."""
    weight: float = 0.01
    """Least weight of a parent that a blend is said to hold."""
    significance: float = -3.0
    """Most log10 p, Holm-adjusted, of such a parent."""
    bias: float = 0.01
    """Least distance by which rounding can move a weight for that to be said beside it."""
    condition: float = 1e6
    """Least condition number of parents that can not be told apart."""
    coverage: float = 0.50
    """Least share of the child's elements that must have been compared."""


@dataclass(frozen=True, slots=True)
class Replay:
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
class Evidence:
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
    replay: Replay | None = None
    """The best recipe, carried out on everything; None if none was worth it."""
    cells_share: float | None = None
    """Share of elements that the best blend reproduces in float32; None if none was looked for."""
    left_over: Mapping[str, float] = field(default_factory=dict)
    """Share of what weights by slice leave over, by component, the largest first."""
    remainder: Callable[[], Remainder | None] = lambda: None
    """Its layers and its rank. Asked for only where something is left over, since it reads some
    matrices."""
    displacement: Callable[[], Remainder | None] = lambda: None
    """The same of all that the child differs by from the origin."""
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """A kind, the level of its evidence, the rule that decided and the numbers that met it."""

    kind: str
    """One of :data:`KINDS`."""
    level: str
    """``exact`` (bytes reproduced), ``statistical`` or ``circumstantial``."""
    rule: str
    """The name of the rule in this file."""
    text: str
    """What it means, in a sentence or two."""
    numbers: Mapping[str, float | int | str | None]

    def __str__(self) -> str:
        return f"{self.kind} ({self.level}): {self.text}"


def origin(base: str, parents: Iterable[str], squared_distances: Mapping[str, float]) -> str:
    """Return what a fine-tune would have started from: the nearest parent, if it is near enough.

    Being a little nearer to a parent than to the base is no descent: siblings drift alike.
    """
    nearest = min((base, *parents), key=squared_distances.__getitem__)
    limit = Thresholds().origin * squared_distances[base]
    return nearest if squared_distances[nearest] <= limit else base


def decide(evidence: Evidence) -> Verdict:
    """Apply :data:`RULES` in order; the first that decides, decides."""
    for rule in RULES:
        verdict = rule(evidence)
        if verdict is not None:
            break
    else:
        verdict = undetermined(evidence)
    if evidence.sample is not None:
        verdict = _of_a_sample(verdict, evidence.sample)
    return replace(verdict, text=printable(verdict.text))


def _of_a_sample(verdict: Verdict, sample: Sampled) -> Verdict:
    """Return a verdict that claims no more than a sample shows: never that bytes are equal."""
    parts = [verdict.text, str(sample)]
    numbers = {**verdict.numbers, "sampled_share": sample.share}
    if verdict.level == "exact":
        # Nothing was seen to differ, which leaves what was not seen.
        parts.append(sample.reservation)
        numbers["unseen"] = sample.unseen
    text = " ".join(part for part in parts if part)
    return replace(verdict, level="statistical", text=text, numbers=numbers)


def too_little(e: Evidence) -> Verdict | None:
    """Most of the child was not compared."""
    if e.coverage >= e.thresholds.coverage:
        return None
    return Verdict(
        "undetermined",
        "statistical",
        "too_little",
        f"only {e.coverage:.1%} of the child's elements could be compared. The list of tensors "
        "that did not pair says why; checkpoints of the same architecture would decide.",
        {"coverage": e.coverage},
    )


def too_little_finite(e: Evidence) -> Verdict | None:
    """Most of what was compared is not finite."""
    if e.coverage * e.finite >= e.thresholds.coverage:
        return None
    return Verdict(
        "undetermined",
        "statistical",
        "too_little_finite",
        f"{1 - e.finite:.1%} of the elements compared are NaN or infinite in some checkpoint. A "
        "child that is whole would decide.",
        {"coverage": e.coverage, "finite": e.finite},
    )


def identical(e: Evidence) -> Verdict | None:
    """Every bit compared is that of one checkpoint stored in the same dtypes."""
    return _reproduced(e, "identical", same_dtype=True)


def re_encoded(e: Evidence) -> Verdict | None:
    """Every element is one checkpoint's, rounded to the child's dtype."""
    return _reproduced(e, "re-encoded", same_dtype=False)


def _reproduced(e: Evidence, kind: str, *, same_dtype: bool) -> Verdict | None:
    for name, equal in e.equal.items():
        if equal == e.elements and e.same_dtype[name] is same_dtype:
            what = "are bit for bit those of" if same_dtype else "are, cast to the child's dtype,"
            return Verdict(
                kind,
                "exact",
                "identical" if same_dtype else "re_encoded",
                f"all {e.elements:,} elements {_compared(e)} {what} {name}.{_rest(e)}",
                {"parent": name, "equal": equal, "elements": e.elements, "coverage": e.coverage},
            )
    return None


def assembled(e: Evidence) -> Verdict | None:
    """Every slice is bit for bit that of some checkpoint, and they are not all of one."""
    sources = {name: count for name, count in e.copied.items() if count}
    if sum(sources.values()) < e.slices or len(sources) < 2:
        return None
    parts = [f"{count:,} from {name}" for name, count in sources.items()]
    return Verdict(
        "assembled",
        "exact",
        "assembled",
        f"all {e.slices:,} slices are copies{_where_read(e)}: {_list(parts)}.{_rest(e)}",
        {**{f"slices_{name}": count for name, count in sources.items()}, "slices": e.slices},
    )


def unrelated(e: Evidence) -> Verdict | None:
    """The weights are no more alike than those of independent models."""
    likeness = {name: value for name, value in e.likeness.items() if value == value}
    if not likeness or max(map(abs, likeness.values())) > e.thresholds.unrelated:
        return None
    crossed = e.crossed()
    if max(crossed.values(), default=0.0) >= e.thresholds.related:
        return None
    closest = max(likeness, key=lambda name: abs(likeness[name]))
    return Verdict(
        "unrelated",
        "statistical",
        "unrelated",
        f"its matrices are no more like those of {_list(likeness)} than independent ones are: "
        f"the largest cosine is {likeness[closest]:.4f}, and "
        f"{max(crossed.values(), default=0.0):.4f} between layers of any number.",
        {
            **{f"cosine_{name}": value for name, value in likeness.items()},
            **{f"crossed_{name}": value for name, value in crossed.items()},
        },
    )


def indistinct(e: Evidence) -> Verdict | None:
    """Two parents offered are the same displacement, so weights mean nothing."""
    if e.condition < e.thresholds.condition:
        return None
    return Verdict(
        "undetermined",
        "statistical",
        "indistinct",
        f"the parents {_list(e.weights)} can not be told apart by these weights (condition "
        f"number {e.condition:.3g}). Offer one of them, or the ones they were made of.",
        {"condition": e.condition},
    )


def replayed(e: Evidence) -> Verdict | None:
    """A recipe reproduces the child, and decoys in its parents' place do not."""
    limits, replay = e.thresholds, e.replay
    if (
        replay is None
        or replay.coverage < limits.coverage
        or replay.share < limits.reproduced
        or not replay.left <= limits.decoy
        or not replay.decisive >= limits.decisive
    ):
        return None
    if replay.is_exact:
        what = f"reproduces all {replay.elements:,} elements {_compared(e)}, bit for bit"
    elif replay.explained:
        what = (
            f"reproduces or explains {replay.share:.4%} of the elements: {replay.explained:,} lie "
            f"where it leaves a choice (a mask, a tie), {replay.mismatched:,} do not fit"
        )
    else:
        what = f"reproduces {replay.share:.4%} of the elements; {replay.mismatched:,} differ"
    same = ""
    if replay.equivalents:
        others = _list(replay.equivalents)
        same = (
            f" The same bytes come from {others}."
            if replay.is_exact and e.sample is None
            else f" The data can not tell it from {others}."
        )
    return Verdict(
        replay.kind,
        "exact" if replay.is_exact else "statistical",
        "replayed",
        f"{replay.text}, {what}. With decoys in place of its parents it reaches "
        f"{replay.decoy_share:.2%}.{same}{_rest(e)}",
        {**_fit_numbers(e), **_replay_numbers(replay)},
    )


def changed_in_part(e: Evidence) -> Verdict | None:
    """A recipe gives some slices bit for bit, and no blend explains the others."""
    limits, replay = e.thresholds, e.replay
    if (
        replay is None
        or replay.kind != "merge"
        or replay.explained
        or replay.coverage < limits.coverage
        or replay.whole_share < limits.in_part
        or replay.share >= limits.reproduced
        or not (
            replay.changed_floors >= limits.changed_residual
            or (replay.is_rounded_once and replay.changed_share >= limits.amiss)
        )
        or not replay.decisive >= limits.decisive
        or e.strange_share > limits.strange_share
    ):
        return None
    return Verdict(
        "merge-then-changed",
        "statistical",
        "changed_in_part",
        f"{replay.text}, gives {replay.whole_share:.1%} of the child in slices that it reproduces "
        f"bit for bit, so the arithmetic is known; of the others it does not give "
        f"{replay.changed_share:.1%}: something {replay.changed_floors:.1f} times the rounding of "
        f"their dtype is on top, "
        f"{1 - e.r2_slices:.2%} of the displacement's energy.{_where(e)}{_rest(e)}",
        {
            **_fit_numbers(e),
            **_replay_numbers(replay),
            "whole_share": replay.whole_share,
            "changed_floors": replay.changed_floors,
            "changed_share": replay.changed_share,
            **_left_over(e),
        },
    )


def changed(e: Evidence) -> Verdict | None:
    """A recipe reproduces much of the child, more than decoys could, and no arithmetic the rest."""
    limits, replay = e.thresholds, e.replay
    if (
        replay is None
        or replay.kind != "merge"
        or replay.coverage < limits.coverage
        or not 1.0 - replay.left >= limits.partial
        or not replay.decisive >= limits.decisive
        or replay.share >= limits.reproduced
        or replay.share > limits.nearly
        or e.strange_share > limits.strange_share
    ):
        return None
    return Verdict(
        "merge-then-changed",
        "statistical",
        "changed",
        f"{replay.text}, reproduces {replay.share:.2%} of the elements, decoys in place of its "
        f"parents {replay.decoy_share:.2%}, and no arithmetic known reproduces the rest: something "
        f"{e.residual_floors_slices:.2f} times the rounding of its dtype is on top, "
        f"{1 - e.r2_slices:.2%} of the displacement's energy.{_where(e)}{_rest(e)}",
        {
            **_fit_numbers(e),
            **_replay_numbers(replay),
            **_left_over(e),
        },
    )


def _replay_numbers(replay: Replay) -> dict[str, float | int | str | None]:
    return {
        "replayed": replay.elements,
        "mismatched": replay.mismatched,
        "explained": replay.explained,
        "decoy_share": replay.decoy_share,
    }


def _where(e: Evidence) -> str:
    """Return sentences on where the remainder is, and of what rank."""
    largest = [(name, share) for name, share in e.left_over.items() if share >= 0.01][:3]
    said = ""
    if largest:
        said = " Of that, " + _list(f"{share:.0%} is in {name}" for name, share in largest) + "."
    found = e.remainder()
    return said if found is None or not str(found) else f"{said} {found}"


def _left_over(e: Evidence) -> dict[str, float | int | str | None]:
    found = e.remainder()
    more: dict[str, float | int | str | None] = {}
    if found is not None:
        more = {
            "changed_rank": found.rank,
            "changed_low_rank": found.low,
            "changed_matrices": found.matrices,
            **{f"left_over_layer_{layer}": share for layer, share in found.layers.items()},
        }
    return {
        "changed_energy": 1 - e.r2_slices,
        **{f"left_over_{name}": share for name, share in e.left_over.items()},
        **more,
    }


def merge(e: Evidence) -> Verdict | None:
    """A blend explains the child down to the rounding of its dtype, and no one parent does."""
    limits = e.thresholds
    stray = e.stray_share
    if (
        not e.is_blend
        or e.r2_slices < limits.explained
        or e.residual_floors_slices > limits.merge_residual
        or (e.cells_share is not None and e.cells_share < limits.cells)
        or (stray is not None and stray > limits.stray_share)
    ):
        return None
    # So near to one checkpoint, only the elements that nobody moved can exclude training.
    if e.distance_floors[e.nearest] <= limits.near and stray is None:
        return None
    one = e.residual_floors <= limits.merge_residual
    weights = "one weight for the whole model" if one else "weights that differ between slices"
    return Verdict(
        "merge",
        "statistical",
        "merge",
        f"a blend of {_blend(e)} explains {e.r2_slices:.2%} of how the child differs from {e.base}"
        f" and leaves {e.residual_floors_slices:.2f} times the rounding of its dtype: no room for "
        f"training. It takes {weights}.{_warning(e)}{_rest(e)}",
        {**_fit_numbers(e), "stray_share": stray, "unmoved": e.unmoved},
    )


def merge_then_changed(e: Evidence) -> Verdict | None:
    """A blend explains most of the displacement, and leaves more than any arithmetic does."""
    limits = e.thresholds
    if (
        not e.is_blend
        or min(e.r2, e.origin_r2) < limits.explained
        or e.residual_floors_slices < limits.changed_residual
        or e.distance_floors[e.nearest] <= limits.near
    ):
        return None
    return Verdict(
        "merge-then-changed",
        "statistical",
        "merge_then_changed",
        f"a blend of {_blend(e)} explains {e.r2:.2%} of how the child differs from {e.base}, and "
        f"something {e.residual_floors_slices:.1f} times the rounding of its dtype is on top: "
        f"{1 - e.r2_slices:.2%} of the displacement's energy.{_where(e)}{_warning(e)}"
        f"{_rest(e)}",
        {
            **_fit_numbers(e),
            "origin_r2": e.origin_r2,
            **_left_over(e),
        },
    )


def fine_tune(e: Evidence) -> Verdict | None:
    """Displaced from one checkpoint in a direction that no other one explains."""
    limits = e.thresholds
    likeness = e.likeness[e.origin]
    explained = e.origin_r2 if e.origin_r2 == e.origin_r2 else 0.0
    near = e.distance_floors[e.origin] <= limits.near
    moved_alone = e.stray_share is None or e.stray_share > limits.stray_share
    if not e.blended and e.r2_slices >= limits.explained:
        # The base itself, scaled, explains it: that is no direction of its own.
        return None
    if e.replay is not None and e.replay.kind == "merge":
        # So much of it is reproduced that the direction is not its own.
        return None
    own_direction = explained <= limits.own_direction or (near and moved_alone)
    # Without any matrix there is no likeness to ask for.
    is_relative = likeness != likeness or likeness >= limits.related
    if not (own_direction and is_relative) or e.strange_share > limits.strange_share:
        return None
    others = [name for name in (e.base, *e.weights) if name != e.origin]
    against = (
        f"{_list(others)} {'explains' if len(others) == 1 else 'explain'} {explained:.1%} of it"
        if others
        else "no parent was offered that could explain it"
    )
    equal = e.equal[e.origin] / e.elements
    moved = e.displacement()
    low_rank = f" {moved}" if moved is not None and moved.rank is not None else ""
    return Verdict(
        "fine-tune",
        "statistical",
        "fine_tune",
        f"it is {e.origin}, displaced in a direction of its own: {against}. "
        f"{equal:.1%} of the elements are unchanged.{low_rank}{_rest(e)}",
        {
            "parent": e.origin,
            **({} if not low_rank or moved is None else {"rank": moved.rank}),
            "equal_share": equal,
            "origin_r2": explained,
            "cosine": likeness,
            "distance_floors": e.distance_floors[e.origin],
        },
    )


def undetermined(e: Evidence) -> Verdict:
    """Nothing else applies."""
    limits = e.thresholds
    blend = e.is_blend and e.r2_slices >= limits.explained
    if e.replay is not None and e.replay.kind == "merge":
        replay = e.replay
        text = (
            f"{replay.text}, reproduces {replay.share:.2%} of the elements, decoys in place of its "
            f"parents {replay.decoy_share:.2%}: a merge in arithmetic that is not known here, or "
            "one changed a little. The tool that made it, or its recipe, would decide."
        )
    elif blend and limits.merge_residual < e.residual_floors_slices < limits.changed_residual:
        text = (
            f"a blend of {_blend(e)} explains {e.r2_slices:.2%} of the displacement and leaves "
            f"{e.residual_floors_slices:.2f} times the rounding of the child's dtype: a merge "
            "computed in low precision leaves as much, and so does a merge changed by as little. "
            "Replaying the arithmetic would decide."
        )
    elif e.strange_share > limits.strange_share:
        text = (
            f"{e.strange_share:.1%} of the child lies in matrices that are no relatives of "
            f"those of the same name in {e.origin}, and {e.equal[e.origin] / e.elements:.1%} is "
            "unchanged: layers may have been moved or taken from elsewhere. Pairing layers by "
            "content would decide."
        )
    else:
        text = (
            f"the nearest checkpoint is {e.nearest}; the best blend of "
            f"{_list(e.weights) or 'none'} explains {e.r2_slices:.1%} of the displacement, and "
            "what is left is neither rounding nor a direction of its own. Other candidate parents, "
            "or methods that are no weighted sums, would explain it."
        )
    return Verdict(
        "undetermined",
        "statistical",
        "undetermined",
        text + _rest(e),
        {
            **_fit_numbers(e),
            "nearest": e.nearest,
            "origin": e.origin,
            "origin_r2": e.origin_r2,
            **({} if e.replay is None else _replay_numbers(e.replay)),
        },
    )


RULES: tuple[Callable[[Evidence], Verdict | None], ...] = (
    too_little,
    identical,
    re_encoded,
    assembled,
    too_little_finite,
    replayed,
    unrelated,
    indistinct,
    changed_in_part,
    changed,
    merge,
    fine_tune,
    merge_then_changed,
)
"""The rules, in the order in which they are asked."""


def _fit_numbers(e: Evidence) -> dict[str, float | int | str | None]:
    # Where a recipe was carried out its weights count, not those of least squares.
    known = e.replay.weights if e.replay is not None else {}
    weights = {name: known.get(name, 0.0) for name in e.weights} if known else e.weights
    return {
        **{f"weight_{name}": weight for name, weight in weights.items()},
        "r2": e.r2,
        "r2_slices": e.r2_slices,
        "residual_floors": e.residual_floors,
        "residual_floors_slices": e.residual_floors_slices,
        "coverage": e.coverage,
    }


def _blend(e: Evidence) -> str:
    parts = [f"{weight:.4f} {name}" for name, weight in e.blended.items()]
    rest = 1.0 - sum(e.blended.values())
    if abs(rest) >= e.thresholds.weight:
        parts.append(f"{rest:.4f} {e.base}")
    return " + ".join(parts).replace("+ -", "- ")


def _warning(e: Evidence) -> str:
    worst = max((e.bias[name] for name in e.blended), default=0.0)
    if worst < e.thresholds.bias:
        return ""
    return (
        f" The displacements are near one unit in the last place, so rounding can move these "
        f"weights by up to {worst:.2f}."
    )


def _compared(e: Evidence) -> str:
    return "compared" if e.sample is None else "read"


def _where_read(e: Evidence) -> str:
    return "" if e.sample is None else " where they were read"


def _rest(e: Evidence) -> str:
    return "" if e.coverage == 1.0 else f" {1 - e.coverage:.2%} of the child was not compared."


def _list(items: Iterable[str]) -> str:
    names = list(items)
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
