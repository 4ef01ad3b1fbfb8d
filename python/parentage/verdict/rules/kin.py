"""Children that are relatives beyond doubt: of one checkpoint, or in which order is not decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.places import compress
from parentage.support import listed
from parentage.verdict.changes import MOST, share_of
from parentage.verdict.rules.wording import (
    blend_text,
    coverage_clause,
    fit_numbers,
    largest_cosine,
    order_open,
    places_text,
    reading_verb,
)
from parentage.verdict.verdict import Verdict

LESSENED = ("zero", "nan", "constant", "quantised")
"""Changes that leave less than was there: what is filled in is not told from what was lost."""

TRAINED = ("moved", "units", "low rank")
"""Changes of whole slices that training may leave; of a few rows, other hands leave as much."""

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parentage.verdict.facts import Facts, SharedSlices


def shared_slices(facts: Facts) -> Verdict | None:
    """Whole slices are one checkpoint's alone, bit for bit, and others are not."""
    limits = facts.thresholds
    least = max(limits.alone * facts.elements, limits.decisive)
    sources = {
        name: each
        for name, each in facts.shared.items()
        if each.alone_elements >= least and name in (facts.base, *facts.weights)
    }
    if not sources:
        return None
    if len(sources) > 1:
        return _of_several(facts, sources)
    ((name, found),) = sources.items()
    if not found.others:
        # What differs has no arithmetic, and is told apart.
        return None
    is_replaced = bool(found.strange)
    changes = facts.changes(name, MOST)
    # What was lost, replaced or set by hand no training did.
    is_trained = not is_replaced and share_of(changes, *TRAINED) >= limits.shown
    is_less = share_of(changes, *LESSENED) >= limits.explained
    share = found.elements / facts.elements
    rest = (
        f"what is no relative of its slices of these names: {compress(found.strange)}"
        if is_replaced
        else f"what differs: {compress(found.others)}"
    )
    is_copy = not is_trained and share >= (limits.mostly if is_replaced else limits.coverage)
    others = len(facts.equal) > 1
    alone = f", {found.alone:,} of them matrices that no other one offered has" if others else ""
    met = facts.meets_at(name) if name == facts.base and facts.is_own_training else {}
    # Where other relatives lack what these two have, it is of a training that both had.
    is_tuned = bool(met) or (share >= limits.coverage and len(facts.relatives) > 1)
    kind = "assembled" if is_copy or is_replaced else "related"
    if is_trained and is_tuned:
        kind = "fine-tune"
    lead = f"a copy of {name} but for {compress(found.others)}: " if is_copy else ""
    return Verdict(
        kind,
        "statistical",
        "shared_slices",
        f"{lead}{found.slices:,} of {facts.slices:,} slices, {share:.1%} of the elements "
        f"{reading_verb(facts)}, are {name}'s bit for bit{alone}"
        f"{'' if is_copy and not is_replaced else f'; {rest}'}."
        f"{places_text(facts, name)}{_order_lost(name) if is_less else order_open(name)}"
        f"{coverage_clause(facts)}",
        {
            "parent": name,
            "equal_slices": found.slices,
            "slices": facts.slices,
            "equal_share": share,
            "strange_slices": len(found.strange),
        },
    )


def _of_several(facts: Facts, sources: dict[str, SharedSlices]) -> Verdict:
    """Return the verdict on a child that shares slices with several checkpoints."""
    parts = [f"{each.alone:,} of {name} alone" for name, each in sources.items()]
    nobody = set.intersection(*(set(each.others) for each in facts.shared.values()))
    rest = f"; nobody's: {compress(sorted(nobody))}" if nobody else ""
    return Verdict(
        "assembled",
        "statistical",
        "shared_slices",
        f"of {facts.slices:,} slices the child has, bit for bit, {listed(parts)}{rest}."
        f"{coverage_clause(facts)}",
        {
            **{f"slices_{name}": each.alone for name, each in sources.items()},
            "slices": facts.slices,
            "nobodys": len(nobody),
        },
    )


def kept(facts: Facts) -> Verdict | None:
    """The child kept most of the values that one checkpoint alone has, and nobody else's."""
    name = facts.keeper
    if name is None:
        return None
    shared = facts.shared.get(name)
    if shared is not None and shared.alone_elements >= facts.thresholds.alone * facts.elements:
        return shared_slices(facts)
    found = facts.own[name]
    met = facts.meets_at(name) if name == facts.base and facts.is_own_training else {}
    is_less = share_of(facts.changes(name, MOST), *LESSENED) >= facts.thresholds.explained
    equal = facts.equal[name] / facts.elements
    all_have = " that all of these have" if facts.wholes.compared > facts.elements else ""
    order = (
        _own_direction(facts, met) if met else _order_lost(name) if is_less else order_open(name)
    )
    return Verdict(
        "fine-tune" if met else "related",
        "statistical",
        "kept",
        f"{equal:.2%} of the elements{all_have} are {name}'s, bit for bit in the child's dtype, "
        f"and of the values that {name} alone has the child has {found.kept:.1%}, and next to none "
        f"of those that others alone have.{places_text(facts, name)}{order}"
        f"{coverage_clause(facts)}",
        {
            "parent": name,
            "equal_share": equal,
            "own_values": found.elements,
            "own_values_kept": found.kept,
            "cosine": facts.likeness[name],
        },
    )


def related(facts: Facts) -> Verdict | None:
    """Its weights are those of a relative, and neither blend nor order is decided."""
    limits = facts.thresholds
    if not facts.relatives or facts.strange_share > limits.strange_share:
        return None
    nearest = facts.nearest if facts.nearest in facts.relatives else facts.relatives[0]
    others = [name for name in facts.relatives if name != nearest]
    lead = (
        f"it is kin of {nearest}: the cosine of their weights is "
        f"{facts.likeness[nearest]:.4f}, that of independent models near 0"
    )
    if facts.is_blend and facts.r2 >= limits.explained:
        what = (
            f". A blend of {blend_text(facts)} explains {facts.r2:.1%} of how it differs from "
            f"{facts.base}, {_shown(facts)}"
        )
    elif others:
        verb = "does" if len(others) == 1 else "do"
        what = f". {listed(others)}, also offered, {verb} not decide what it is to {nearest}"
        if facts.weights and facts.r2 == facts.r2:
            what += (
                f": {facts.r2:.1%} of its difference from {facts.base} lies in the directions of "
                f"{listed(facts.weights)}"
            )
        what += "."
    else:
        what = ". Two checkpoints alone do not tell an ancestor from a descendant or a sibling."
    decide = (
        "Another relative, such as the base both may come from, would decide more."
        if not others
        else "Checkpoints between them, or the base that all come from, would decide more."
    )
    return Verdict(
        "related",
        "statistical",
        "related",
        f"{lead}{what}{_structure(facts)}{_meeting(facts)} {nearest} may have been made from the "
        f"child, the child from {nearest}, or both from one that was not offered. {decide}"
        f"{coverage_clause(facts)}",
        {
            **fit_numbers(facts),
            "nearest": nearest,
            **{f"cosine_{name}": facts.likeness[name] for name in facts.relatives},
            "equal_share": facts.equal[nearest] / max(facts.elements, 1),
        },
    )


def _structure(facts: Facts) -> str:
    """Return a sentence on differences from the base that have no structure, if that was seen."""
    found = facts.structure()
    if found is None or not abs(found.deviations) < facts.thresholds.no_structure:
        return ""
    beyond = f", beyond blends of {listed(facts.weights)}," if facts.weights else ""
    return (
        f" Its difference from {facts.base}{beyond} shows no structure in {found.matrices:,} "
        f"matrices looked at (rows agree in sign {found.deviations:.1f} standard deviations beyond "
        "chance): noise, rounding and coarser numbers leave none, and training does unless there "
        "is little of it."
    )


def _own_direction(facts: Facts, met: Mapping[str, float]) -> str:
    """Return sentences on what makes a difference from the base training's, and what is not known.

    ``met`` has the cosines with the base's other relatives, seen from it.
    """
    _, widest = largest_cosine(met)
    return (
        " What differs lies in no direction of the others offered (the largest cosine in size, "
        f"seen from {facts.base} and the median over matrices, is {widest}), and its rows "
        "agree in sign beyond chance, which training leaves. Which of the two is older "
        "was not tested."
    )


def _meeting(facts: Facts) -> str:
    """Return a sentence on the one candidate at which the lines to child and others meet."""
    candidates = {name: facts.meets_at(name) for name in facts.equal}
    met = {name: cosines for name, cosines in candidates.items() if cosines}
    if len(met) != 1 or not met.keys() & facts.weights.keys():
        return ""
    ((name, cosines),) = met.items()
    _, widest = largest_cosine(cosines)
    return (
        f" Seen from {name} the child lies in no direction of the others (the largest cosine in "
        f"size, the median over matrices, is {widest}), and seen "
        "from none of the others is that so."
    )


def _shown(facts: Facts) -> str:
    """Return the end of a sentence on a blend: what elements show of it, and what looks so."""
    both, limits = facts.both_ways, facts.thresholds
    if both is None or both.forward < limits.shown:
        return (
            "and few elements are what that blend gives. A blend that was trained further looks "
            "so, and so do checkpoints of one run and runs on the same data."
        )
    said = (
        f"and of {both.elements:,} elements sampled {both.forward:.1%} are what a blend of them "
        "gives, to rounding"
    )
    if both.is_centred:
        return (
            f"{said}; of {both.central_elements:,} far apart {both.central:.0%} lie in the "
            "middle half of what would be rounded to the child's, where rounding leaves half of "
            "them: as if one of these had been made from the child."
        )
    if both.others_were_rounded:
        return (
            f"{said}; what it misses lies where one of them has coarser units than the child, as "
            "if they had been rounded, and not the child."
        )
    if not both.is_computed:
        return (
            f"{said}; what lies halfway between two numbers is now the one and now the other, "
            "which no arithmetic leaves."
        )
    return (
        f"{said}, but fewer where they lie far apart. A blend that was trained further looks so, "
        "and so do checkpoints of one run and runs on the same data."
        if not facts.shows_far
        else f"{said}."
    )


def _order_lost(name: str) -> str:
    """Return a sentence on who came first, where values are in one of the two alone."""
    return (
        f" What is not in the child there {name} has: it was lost in the child, or filled in in "
        f"{name}, and that is not decided."
    )
