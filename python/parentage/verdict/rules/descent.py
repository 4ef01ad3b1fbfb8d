"""Children of one checkpoint, or of none; and what remains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.support import listed
from parentage.verdict.changes import share_of
from parentage.verdict.rules.encodings import PROBED
from parentage.verdict.rules.wording import (
    blend_text,
    coverage_clause,
    fit_numbers,
    largest_cosine,
    replay_numbers,
)
from parentage.verdict.verdict import Verdict

PLAIN = ("moved", "units", "few", "rows", "columns", "low rank")
"""Changes that a fine-tune may leave."""

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.verdict.facts import Facts
    from parentage.verdict.invariants import Invariants


def unrelated(facts: Facts) -> Verdict | None:
    """The weights are no more alike than those of independent models."""
    likeness = {name: value for name, value in facts.likeness.items() if value == value}
    # Bits come first: values that one checkpoint alone has are not kept by chance.
    if any(each.kept > facts.thresholds.kept_by_others for each in facts.own.values()):
        return None
    if not likeness or max(map(abs, likeness.values())) > facts.thresholds.unrelated:
        return None
    crossed = facts.crossed()
    if max(crossed.values(), default=0.0) >= facts.thresholds.related:
        return None
    if _same_function(facts) is not None:
        return None
    closest = max(likeness, key=lambda name: abs(likeness[name]))
    return Verdict(
        "unrelated",
        "statistical",
        "unrelated",
        f"its matrices are no more like those of {listed(likeness)} than independent ones are: "
        f"the largest cosine is {abs(likeness[closest]):.4f} in size{_moved(crossed)}.",
        {
            **{f"cosine_{name}": value for name, value in likeness.items()},
            **{f"crossed_{name}": value for name, value in crossed.items()},
        },
    )


def _moved(crossed: Mapping[str, float]) -> str:
    """Return a clause on likeness between layers, or matrices, of other places."""
    if not crossed:
        return "; whether they were moved was not looked at"
    return (
        f", and {max(crossed.values()):.4f} between any two layers or matrices of one shape tried"
    )


def disguised(facts: Facts) -> Verdict | None:
    """Matrices that are like no other element by element, and like one whatever the basis."""
    known = [value for value in facts.likeness.values() if value == value]
    if not known or max(map(abs, known)) > facts.thresholds.unrelated:
        return None
    found = _same_function(facts)
    if found is None:
        return None
    return Verdict(
        "related",
        "statistical",
        "disguised",
        f"element by element its matrices are like nobody's, and in another basis they are "
        f"{found.name}'s kin: of {found.matrices} matrices looked at {found.same_numbers} have the "
        f"same numbers as {found.name}'s, signs and order apart, and the products of their rows or "
        f"columns have a median cosine of {found.cosine:.4f} with {found.name}'s; those of "
        "independent models have one near 0. Signs, an order of dimensions or a rotation leave the "
        "function as it is and change every element. Which of the two came first, and what else "
        f"was changed, was not tested.{coverage_clause(facts)}",
        {
            "nearest": found.name,
            "looked_at": found.matrices,
            "same_numbers": found.same_numbers,
            "invariant_cosine": found.cosine,
        },
    )


def _same_function(facts: Facts) -> Invariants | None:
    """Return what a stranger and a checkpoint share whatever the basis, if that is much."""
    found = facts.invariants()
    if found is None:
        return None
    is_same = 2 * found.same_numbers >= found.matrices
    return found if is_same or found.cosine >= facts.thresholds.related else None


def fine_tune(facts: Facts) -> Verdict | None:
    """Displaced from the base, where the lines to its relatives meet, in a direction of its own."""
    limits = facts.thresholds
    met = facts.meets_at(facts.base)
    likeness = facts.likeness[facts.base]
    explained = facts.r2 if facts.r2 == facts.r2 else 0.0
    if (
        not met
        or not likeness >= limits.related
        or explained > limits.own_direction
        or facts.strange_share > limits.strange_share
        or facts.lone not in (None, facts.base)
        or (
            facts.replay is not None
            and facts.replay.kind == "merge"
            and facts.beats_copies(facts.replay)
        )
    ):
        return None
    if share_of(facts.changes(facts.base, PROBED), *PLAIN) < limits.explained and facts.names:
        # Zeros, grids and strangers are no direction.
        return None
    if not facts.blended and facts.r2_slices >= limits.explained:
        # The base itself, scaled, explains it: that is no direction of its own.
        return None
    structure = facts.structure()
    if structure is None or not facts.is_own_training:
        return None
    equal = facts.equal[facts.base] / facts.elements
    moved = facts.displacement()
    low_rank = f" {moved}" if moved is not None and moved.rank is not None else ""
    other, widest = largest_cosine(met)
    against = (
        f"{listed(facts.weights)} {'explains' if len(facts.weights) == 1 else 'explain'} "
        f"{explained:.1%} of it"
        if facts.weights
        else "no parent was offered"
    )
    return Verdict(
        "fine-tune",
        "statistical",
        "fine_tune",
        f"its difference from {facts.base} has a direction of its own: {against}, and seen from "
        f"{facts.base} the relatives offered lie elsewhere (the largest cosine in size, the median "
        f"over matrices, is {widest}): {facts.base} is where their lines "
        f"meet. What no blend of them explains has structure: in {structure.matrices:,} matrices "
        f"looked at, rows agree in sign {structure.deviations:,.0f} standard deviations beyond "
        "chance, which training leaves, and so does a blend with what was trained and stands in "
        "another order; noise and quantising do not. "
        f"{equal:.1%} of the elements are {facts.base}'s.{low_rank} Which of the two is older was "
        "not tested. Two trainings from one start that was not offered look so, too."
        f"{coverage_clause(facts)}",
        {
            "parent": facts.base,
            **({} if not low_rank or moved is None else {"rank": moved.rank}),
            "equal_share": equal,
            "origin_r2": explained,
            "cosine": likeness,
            "meeting_cosine": met[other],
            "structure": structure.deviations,
            "moved_r2": structure.moved_r2,
            "distance_floors": facts.distance_floors[facts.base],
        },
    )


def undetermined(facts: Facts) -> Verdict:
    """Nothing else applies."""
    limits = facts.thresholds
    blend = facts.is_blend and facts.r2_slices >= limits.explained
    if facts.replay is not None and facts.replay.kind == "merge":
        replay = facts.replay
        text = (
            f"{replay.text}, reproduces {replay.share:.2%} of the elements, decoys in place of its "
            f"parents {replay.decoy_share:.2%}: a merge in arithmetic that is not known here, or "
            "one changed a little. The tool that made it, or its recipe, would decide."
        )
    elif blend and limits.merge_residual < facts.residual_floors_slices < limits.changed_residual:
        text = (
            f"a blend of {blend_text(facts)} explains {facts.r2_slices:.2%} of the displacement "
            "and leaves "
            f"{facts.residual_floors_slices:.2f} times the rounding of the child's dtype: a merge "
            "computed in low precision leaves as much, and so does a merge changed by as little. "
            "Replaying the arithmetic would decide."
        )
    elif facts.strange_share > limits.strange_share:
        text = (
            f"{facts.strange_share:.1%} of the child lies in matrices that are no relatives of "
            f"those of the same name in {facts.origin}, and "
            f"{facts.equal[facts.origin] / facts.elements:.1%} is "
            "unchanged: layers may have been moved or taken from elsewhere. Pairing layers by "
            "content would decide."
        )
    elif facts.weights and facts.r2_slices == facts.r2_slices:
        text = (
            f"the nearest checkpoint is {facts.nearest}; the best blend of "
            f"{listed(facts.weights)} explains {facts.r2_slices:.1%} of the displacement, and "
            "what is left is neither rounding nor a direction of its own. Other candidate parents, "
            "or methods that are no weighted sums, would explain it."
        )
    else:
        text = (
            f"the nearest checkpoint is {facts.nearest}, and the numbers compared do not decide "
            "what the child is to it. Other checkpoints would decide more."
        )
    return Verdict(
        "undetermined",
        "statistical",
        "undetermined",
        text + coverage_clause(facts),
        {
            **fit_numbers(facts),
            "nearest": facts.nearest,
            "origin": facts.origin,
            "origin_r2": facts.origin_r2,
            **({} if facts.replay is None else replay_numbers(facts.replay)),
        },
    )
