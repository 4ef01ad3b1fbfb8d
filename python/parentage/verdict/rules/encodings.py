"""Children that are one checkpoint, stored with less: quantised and decoded, or with noise."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from parentage.places import GIVEN
from parentage.verdict.changes import MOST, share_of
from parentage.verdict.rules.wording import (
    NOISED_PARENT,
    coverage_clause,
    looked_at_text,
    order_open,
    places_text,
    sum_text,
)
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.places import Change
    from parentage.verdict.facts import Facts

EXACT = ("units", "scaled", "quantised", "zero", "permuted", "few", "rows", "columns")
"""Changes of a blend whose tests compare numbers, which no other blend passes."""

MOVED = ("scaled", "permuted")
"""Those of them that leave a checkpoint's numbers, but for their places and a factor."""

STORED = ("bf16", "f16")
"""Dtypes in which models are stored as they are."""

ALTERED = ("scaled", "quantised", "zero", "permuted")
"""Those of them that are no more than rounding or places."""

MADE_OF_CODES = 0.6
"""Share of results in the middle of their codes' cells, an eighth of a step to either side, from
which on parents may have been made of the codes: a quarter where a blend was quantised."""

THOUSANDTHS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)
"""Steps in which the weight of the one parent of a quantised blend is looked for."""

LIKELY = 3
"""Blends that are tried before it is said that none was quantised."""

BESIDE_ALONE = 20
"""How many times as many numbers a checkpoint alone has to miss, quantised, as a blend does."""

PROBED = 4
"""Slices that are looked at before more are."""


def quantised_merge(facts: Facts) -> Verdict | None:
    """A blend's results, quantised with the child's scales, are its codes; no checkpoint's are."""
    best = next(iter(facts.quantised), None)
    if best is None or 2 * best.telling < best.elements:
        return None
    limits = facts.thresholds
    missed = best.elements - best.inside
    alone = best.elements - best.nearest_inside
    is_all = missed == 0 and best.reproduced == best.numbers
    share = best.inside / best.elements
    if share < limits.reproduced or alone < limits.decisive or missed * 10 > alone:
        return None
    if best.reproduced < limits.reproduced * best.numbers:
        return None
    if best.centred > MADE_OF_CODES * best.telling:
        return None
    codes = "all" if not missed else f"{best.inside:,} of"
    numbers = "all" if best.reproduced == best.numbers else f"{best.reproduced:,} of"
    return Verdict(
        "merge",
        "exact" if is_all and facts.sample is None else "statistical",
        "quantised_merge",
        f"{best.recipe.describe()}, and quantised: {codes} {best.elements:,} codes of "
        f"{facts.child} are those that its results give with the scales stored beside them, and it "
        f"reproduces {numbers} {best.numbers:,} elements that are stored as numbers. "
        f"{best.nearest} alone would give {best.nearest_inside / best.elements:.1%} of the codes. "
        "Results lie all over the cells of their codes, as none do of parents that were made from "
        f"them.{coverage_clause(facts)}",
        {
            "codes": best.elements,
            "codes_given": best.inside,
            "codes_nearest": best.nearest_inside,
            "numbers": best.numbers,
            "numbers_given": best.reproduced,
        },
    )


def stored_with_less(facts: Facts) -> Verdict | None:
    """All of one checkpoint's codes are those that quantising the child gives."""
    for name, found in facts.recoded.items():
        whole = facts.wholes.by_name[name]
        rest = whole.compared - found.elements
        if (
            not found.is_copy
            or found.centred > MADE_OF_CODES * found.telling
            or whole.same + whole.cast < rest
            or whole.own
        ):
            continue
        beside = f", and the other {rest:,} elements are its own" if rest > 0 else ""
        return Verdict(
            "related",
            "exact" if facts.sample is None else "statistical",
            "stored_with_less",
            f"all {found.elements:,} codes of {name} are those that quantising {facts.child} with "
            f"the scales stored beside them gives{beside}: {name} holds the same numbers as "
            f"{facts.child}, stored with less. What {facts.child} has of them beyond the codes is "
            f"not in {name}, so it was not made of {name} alone.{coverage_clause(facts)}",
            {"codes": found.elements, "numbers": rest},
        )
    return None


def quantised(facts: Facts) -> Verdict | None:
    """One checkpoint, quantised and decoded, has the child's numbers in every slice looked at."""
    name = _probed(facts, "quantised")
    if name is None:
        return None
    changes = [each for each in facts.changes(name, MOST) if each[2].kind != "none"]
    sources = Counter(_source(facts, change, name) for _, _, change in changes)
    given = [change.numbers.get("given", 0.0) for _, _, change in changes]
    if len(sources) > 1 or min(given) < facts.thresholds.reproduced:
        return None
    (source,) = sources
    if source is None:
        return None
    return Verdict(
        "re-encoded",
        "statistical",
        "quantised",
        f"it is {source}, quantised and decoded, in {len(changes):,} slices looked at of "
        f"{facts.slices:,}: quantising {source} gives these values. So would quantising anything "
        f"that was drawn inside their steps.{places_text(facts, name)}"
        f"{coverage_clause(facts)}",
        {"parent": source, "looked_at": len(changes), "given": min(given)},
    )


def rearranged(facts: Facts) -> Verdict | None:
    """One checkpoint alone has the child's numbers in every slice looked at, moved or rescaled."""
    limits = facts.thresholds
    for name in (facts.base, *facts.weights):
        if share_of(facts.changes(name, PROBED), *MOVED, of=name) < limits.explained:
            continue
        changes = facts.changes(name, MOST)
        told = share_of(changes, *MOVED, of=name)
        if told < limits.explained:
            continue
        looked_at = [each for each in changes if each[2].kind != "none"]
        return Verdict(
            "assembled",
            "statistical",
            "rearranged",
            f"{name}'s numbers, moved or rescaled, give {told:.1%} of the elements of "
            f"{len(looked_at):,} slices looked at of those that are not its bit for bit."
            f"{order_open(name)}{places_text(facts, name)}{coverage_clause(facts)}",
            {"parent": name, "looked_at": len(looked_at), "told": told},
        )
    return None


def retold(facts: Facts) -> Verdict | None:
    """A blend of simple weights, of which every slice looked at was changed in a way that is exact.

    Scaled, thinned out, permuted or quantised: what was done to the blend gives the child's values.
    """
    both = facts.both_ways
    is_from_child = facts.order == "back" or (both is not None and both.is_centred)
    if not facts.blends or facts.lone is not None or is_from_child:
        return None
    blend = _best_blend(facts)
    if blend is None:
        return None
    held = [i for i, weight in enumerate(blend) if abs(weight) > facts.thresholds.lone]
    if len(held) < 2:
        return None
    changes = facts.changes_of_blend(blend, PROBED)
    if share_of(changes, *EXACT) < facts.thresholds.explained:
        return None
    changes = facts.changes_of_blend(blend, MOST)
    told = share_of(changes, *EXACT)
    if told < facts.thresholds.explained or not share_of(changes, *ALTERED):
        return None
    names = (facts.base, *facts.weights)
    what = sum_text(f"{blend[i]:g} {names[i]}" for i in held)
    looked_at = [each for each in changes if each[2].kind != "none"]
    # What was cast to a dtype and back was stored in it, and not changed.
    is_stored = all(
        each.labels.get("dtype") in STORED or each.kind == "units" for _, _, each in looked_at
    )
    how = (
        "stored in a coarser dtype"
        if is_stored
        else "changed in ways that leave its numbers to be told"
    )
    doubt = NOISED_PARENT if is_stored else ""
    return Verdict(
        "merge" if is_stored else "merge-then-changed",
        "statistical",
        "retold",
        f"a blend of {what}, {how}, gives {told:.1%} of the slices looked at.{doubt}"
        f"{looked_at_text(facts, looked_at)}{coverage_clause(facts)}",
        {
            **{f"weight_{names[i]}": blend[i] for i in held},
            "looked_at": len(looked_at),
            "told": told,
        },
    )


def _best_blend(facts: Facts) -> tuple[float, ...] | None:
    """Return the likeliest blend; where it was quantised, that of those near it which gives most.

    Least squares are off where most of the difference is rounding to a coarse grid. ``None`` if a
    checkpoint alone, quantised, gives nearly as much: on a grid so coarse any blend does.
    """
    if not any(_given(facts, blend) for blend in facts.blends[:LIKELY]):
        return facts.blends[0]
    best = max(facts.blends, key=lambda blend: _given(facts, blend))
    if len(facts.weights) == 1:
        finer = [_shifted(best, step / 1000.0) for step in THOUSANDTHS]
        best = max((best, *finer), key=lambda blend: _given(facts, blend))
    alone = [
        tuple(1.0 if i == column else 0.0 for i in range(len(best)))
        for column in range(1 + len(facts.weights))
    ]
    # What is not told to be quantised gives less than is told.
    most = max(_given(facts, each) or GIVEN for each in alone)
    return best if (1.0 - _given(facts, best)) * BESIDE_ALONE <= 1.0 - most else None


def _given(facts: Facts, blend: tuple[float, ...]) -> float:
    """Return the share of numbers that a blend, quantised, gives; 0 where it was not."""
    found = facts.changes_of_blend(blend, PROBED)
    given = sum(size * change.numbers.get("given", 0.0) for _, size, change in found)
    return given / sum(size for _, size, _ in found) if found else 0.0


def _shifted(blend: tuple[float, ...], step: float) -> tuple[float, ...]:
    """Return a blend of one parent with more of the parent and less of the base."""
    base, parent, *rest = blend
    return (round(base - step, 3), round(parent + step, 3), *rest)


def noised(facts: Facts) -> Verdict | None:
    """One checkpoint with noise on top, which is at a right angle to everything at one of the two.

    Noise is independent of what it was added to, so the line to it is at a right angle to all lines
    at the checkpoint it was added to, and not at the one that has it.
    """
    name = _probed(facts, "noise")
    if name is None:
        return None
    others = [other for other in facts.relatives if other not in (name, *facts.descendants)]
    here = max((abs(facts.excess(name, facts.child, other)) for other in others), default=0.0)
    there = max((abs(facts.excess(facts.child, name, other)) for other in others), default=0.0)
    limits = facts.thresholds
    if min(here, there) > limits.right_angle:
        # It follows the others wherever it is seen from: that is no noise.
        return None
    is_added = here <= limits.right_angle < limits.no_right_angle <= there
    is_reverse = there <= limits.right_angle < limits.no_right_angle <= here
    if is_added:
        order = (
            f" Seen from {name} it is independent of where the others lie, and seen from the child "
            f"it is not. Noise that was added to {name} looks so; had {name} been the child with "
            "noise on top, it would be the other way round."
        )
    elif is_reverse:
        order = (
            f" Seen from the child it is independent of where the others lie, and seen from {name} "
            f"it is not. Noise that was added to the child, and gave {name}, looks so; had the "
            f"child been {name} with noise on top, it would be the other way round."
        )
    else:
        order = f" Which of the two, the child or {name}, has it is not decided."
    return Verdict(
        "fine-tune" if is_added else "related",
        "statistical",
        "noised",
        f"the child and {name} differ by noise, of one size and independent from element to "
        f"element; no training that this was tried on leaves that.{order}{places_text(facts, name)}"
        f"{coverage_clause(facts)}",
        {"parent": name, "excess_at_parent": here, "excess_at_child": there},
    )


def _probed(facts: Facts, kind: str) -> str | None:
    """Return the nearest relative that nearly all slices looked at were changed from in one way."""
    candidates = [name for name in facts.relatives if name in (facts.base, *facts.weights)]
    for name in sorted(candidates, key=lambda name: facts.distance_floors[name])[:2]:
        changes = facts.changes(name, PROBED)
        if share_of(changes, kind) >= facts.thresholds.explained:
            return name
    return None


def _source(facts: Facts, change: Change, name: str) -> str | None:
    """Return the checkpoint whose quantised numbers a slice has; ``None`` where it was not told."""
    if change.kind != "quantised" or "given" not in change.numbers:
        return None
    return next((each for each in (facts.base, *facts.weights) if each == change.source), name)
