"""Children that a recipe reproduces, wholly or in part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.places import compress
from parentage.support import are, listed, percent
from parentage.verdict.changes import MOST
from parentage.verdict.rules.wording import (
    MADE_PARENT,
    NOISED_PARENT,
    coverage_clause,
    fit_numbers,
    places_text,
    rank_text,
    reading_verb,
    replay_numbers,
    residual_numbers,
)
from parentage.verdict.verdict import NOTHING_AFTER, Verdict

OTHERWISE = (
    "The blend was changed there, or made otherwise: of another parent, or with weights by row or "
    "head."
)
"""What is said of slices that no blend explains."""

BEYOND_COPIES = ("merge", "re-encoded")
"""What a recipe may be only if it gives elements that no copy of a candidate gives."""

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts, ReplayFacts


def replayed(facts: Facts) -> Verdict | None:
    """A recipe reproduces the child, decoys do not, and no parent was made from the child."""
    replay = _reproducing(facts)
    if replay is None or (replay.kind == "merge" and not _is_forward(facts, replay)):
        return None
    if replay.kind == "re-encoded" and not _is_all_but_counters(facts, replay):
        return None
    if replay.is_exact:
        # Only what all of the main checkpoints have is replayed.
        have = " that all of these have" if facts.wholes.compared > facts.elements else ""
        what = (
            f"reproduces all {replay.elements:,} elements {reading_verb(facts)}{have}"
            f"{' that are rounded, as integers are not' if replay.unreplayed else ''}, bit for bit"
        )
        if facts.finite < 1.0:
            what += ", where they are finite: the bits of NaN were not compared"
    elif replay.explained:
        given = replay.elements - replay.explained - replay.mismatched
        what = (
            f"gives {replay.share:.4%} of the elements: {given:,} as the only value that it has "
            f"for them and {replay.explained:,} as one of a few, where a mask or a tie leaves a "
            f"choice; {replay.mismatched:,} are none of them"
        )
    else:
        what = f"reproduces {replay.share:.4%} of the elements; {replay.mismatched:,} differ"
    doubt = f"{_integers(replay)}{_doubt(facts, replay)}"
    alike = ", counted alike" if replay.explained else ""
    same = ""
    if replay.equivalents:
        others = listed(replay.equivalents)
        same = (
            f" The same bytes come from {others}."
            if replay.is_exact and facts.sample is None
            else f" The data can not tell it from {others}."
        )
    return Verdict(
        replay.kind,
        "exact" if _is_exact(facts, replay) else "statistical",
        "replayed",
        f"{replay.text}, {what}.{doubt} With decoys in place of its parents it reaches "
        f"{replay.decoy_share:.2%}{alike}.{same}{_multiple(facts, replay)}"
        f"{_nothing_after(facts, replay)}{coverage_clause(facts)}",
        {**fit_numbers(facts), **replay_numbers(replay)},
    )


def chosen(facts: Facts) -> Verdict | None:
    """A recipe chooses each element from some checkpoint, as it is, and so explains the child."""
    replay = _reproducing(facts)
    if (
        replay is None
        or not replay.explained
        or facts.of_somebody[0] < facts.thresholds.of_somebody
        or not facts.weights
    ):
        return None
    names = listed(dict.fromkeys((facts.base, *facts.weights)))
    return Verdict(
        "assembled",
        "statistical",
        "chosen",
        f"{_of_these(facts.of_somebody[0])} of one of {names}, bit for bit in the child's dtype, "
        "and in turns: a mask that chooses one or another for each element leaves that. It is not "
        "decided by that whether the child was put together from these, or they were made from the "
        f"child, with other values elsewhere.{coverage_clause(facts)}",
        {**fit_numbers(facts), **replay_numbers(replay), "of_somebody": facts.of_somebody[0]},
    )


def _is_exact(facts: Facts, replay: ReplayFacts) -> bool:
    """Return whether all is reproduced bit for bit; of NaN, no bits are compared."""
    return replay.is_exact and facts.finite == 1.0 and _is_all_but_counters(facts, replay)


def _is_all_but_counters(facts: Facts, replay: ReplayFacts) -> bool:
    """Return whether numbers without rounding that are nobody's are few, as counters are."""
    return replay.strange <= facts.thresholds.counters * facts.elements


def _integers(replay: ReplayFacts) -> str:
    """Return a sentence on what has no rounding and is no checkpoint's, if there is any."""
    if not replay.strange:
        return ""
    return (
        f" Of what is not rounded, {replay.strange:,} elements, of "
        f"{compress(replay.strange_slices)}, are no other checkpoint's, and no recipe gives any."
    )


def _of_these(share: float) -> str:
    """Return which elements are some checkpoint's: all that were looked at, or a share of them."""
    return (
        "each element looked at is that"
        if share == 1.0
        else f"{percent(share)} of the elements looked at are those"
    )


def _nothing_after(facts: Facts, replay: ReplayFacts) -> str:
    """Return a sentence that rules out training after a merge, where all of the child is given.

    All of it: no tensor unpaired, unread, left out of the recipe or promised and not there, and no
    sample.
    """
    wholes = facts.wholes
    is_all = (
        replay.kind == "merge"
        and _is_exact(facts, replay)
        and not _finer(facts, replay)
        and facts.sample is None
        and facts.coverage == 1.0
        and replay.elements == facts.elements == wholes.compared == wholes.child_elements
        and not (wholes.uncompared or wholes.strange or wholes.unread)
        and wholes.promised_layers is None
        and wholes.most >= facts.thresholds.coverage
    )
    return f" {NOTHING_AFTER.format(facts.child)}" if is_all else ""


def _finer(facts: Facts, replay: ReplayFacts) -> list[str]:
    """Return parents of a merge that are stored in finer numbers than the child."""
    names = facts.weights if not replay.weights else replay.weights
    return [name for name in facts.finer if name in names]


def _doubt(facts: Facts, replay: ReplayFacts) -> str:
    """Return a sentence on what a merge can not be told from, if anything is known to look so."""
    if replay.kind != "merge":
        return ""
    if not replay.is_exact:
        return NOISED_PARENT
    finer = _finer(facts, replay)
    if not finer:
        return MADE_PARENT
    return (
        f" {listed(finer)} {are(len(finer))} stored in finer numbers than the child: a parent that "
        "was made from the child, with noise below its rounding on top, would look so."
    )


def _multiple(facts: Facts, replay: ReplayFacts) -> str:
    """Return a sentence on an update that is one parent's, times a factor, if it is."""
    if replay.kind != "fine-tune" or len(facts.blended) != 1:
        return ""
    ((name, weight),) = facts.blended.items()
    if not facts.r2 >= facts.thresholds.one_update or abs(weight - 1.0) < facts.thresholds.lone:
        return ""
    return (
        f" Seen from {facts.base}, its difference is {weight:.4f} times that of {name}, which "
        f"explains {facts.r2:.2%} of it."
    )


def either_way(facts: Facts) -> Verdict | None:
    """A recipe reproduces the child, and as well one of its parents from the child."""
    replay, both = _reproducing(facts), facts.both_ways
    if replay is None or both is None:
        return None
    back = {name: share for name, share in both.back.items() if share >= facts.thresholds.explained}
    said = listed(f"{share:.2%} of {name}" for name, share in back.items())
    return Verdict(
        "related",
        "statistical",
        "either_way",
        f"{replay.text}, reproduces {replay.share:.4%} of the elements; turned round, the child "
        f"and the others give {said or 'as much'}. So the child may be the blend, or one of those "
        "it is a blend of may be a blend with it: these numbers do not tell which was computed "
        "from which. A checkpoint that is known to be older would decide."
        f"{coverage_clause(facts)}",
        {
            **fit_numbers(facts),
            **replay_numbers(replay),
            **{f"back_{name}": share for name, share in both.back.items()},
        },
    )


def _reproducing(facts: Facts) -> ReplayFacts | None:
    """Return the best recipe if it reproduces the child, and decoys do not."""
    limits, replay = facts.thresholds, facts.replay
    if (
        replay is None
        or replay.coverage < limits.coverage
        or replay.share < limits.reproduced
        or not replay.left <= limits.decoy
        or not replay.decisive >= limits.decisive
        or (replay.kind in BEYOND_COPIES and not facts.beats_copies(replay))
    ):
        return None
    return replay


def _is_forward(facts: Facts, replay: ReplayFacts) -> bool:
    """Return whether the child was made from the parents, not one of them from the child.

    What leaves choices open, as masks do, loses what it does not choose: there is no way back. Nor
    is there one where no blend of two checkpoints is any good.
    """
    return bool(replay.explained) or facts.both_ways is None or facts.order == "forward"


def _merge_in_part(facts: Facts) -> ReplayFacts | None:
    """Return the best recipe if it is a merge that gives a part of the child no copy or decoy does.

    ``None`` where one candidate has all the weight, or a recipe gives everything.
    """
    limits, replay = facts.thresholds, facts.replay
    if (
        replay is None
        or replay.kind != "merge"
        or facts.lone is not None
        or not facts.beats_copies(replay)
        or replay.coverage < limits.coverage
        or replay.share >= limits.reproduced
        or not replay.decisive >= limits.decisive
    ):
        return None
    return replay


def _shows(facts: Facts, replay: ReplayFacts) -> bool:
    """Return whether what a recipe gives is much of what decoys leave, far apart as well."""
    is_far = bool(replay.explained) or facts.shows_far
    return is_far and 1.0 - replay.left >= facts.thresholds.partial


def _decoys_clause(replay: ReplayFacts) -> str:
    """Return a clause on how much a recipe reproduces, and decoys."""
    return (
        f"{replay.text}, reproduces {replay.share:.2%} of the elements, decoys in place of its "
        f"parents {replay.decoy_share:.2%}"
    )


def _kinds_missed(facts: Facts) -> list[str]:
    """Return what was done, by kind, in each of the slices looked at that a recipe misses most."""
    changes = [each.kind for _, _, each in facts.changes(None, MOST)]
    return [kind for kind in changes if kind != "none"]


def _units_left(facts: Facts) -> tuple[int, float] | None:
    """Return what of a recipe's misses is arithmetic: slices looked at, or the share of elements.

    ``None`` where it is not. The share is of those within two units of the numbers themselves;
    where terms cancel, arithmetic leaves units of the terms, which only looking at slices tells:
    0 is returned with a share that says so, and a number of slices otherwise.
    """
    replay = facts.replay
    if replay is None:
        return None
    if replay.within_two >= facts.thresholds.within_two:
        return 0, replay.within_two
    kinds = _kinds_missed(facts)
    return (len(kinds), replay.within_two) if set(kinds) == {"units"} else None


def _other_weights(facts: Facts) -> int:
    """Return how many slices were looked at, if each is a blend with other weights than a recipe's.

    0 if one is not: what a recipe misses there says nothing of a change after the merge.
    """
    kinds = _kinds_missed(facts)
    return len(kinds) if "weight" in kinds and set(kinds) <= {"weight", "units"} else 0


def rounding_left(facts: Facts) -> Verdict | None:
    """A recipe reproduces much, and what it does not is no more than rounding everywhere."""
    limits, replay = facts.thresholds, _merge_in_part(facts)
    if (
        replay is None
        or not _shows(facts, replay)
        or facts.residual_floors_slices >= limits.changed_residual
        # Of what has no part in those energies as well, as statistics of batch normalisation.
        or replay.changed_floors >= limits.changed_residual
        or facts.order != "forward"
    ):
        return None
    found = _units_left(facts)
    if found is not None:
        slices, share = found
        what = (
            f"of the rest, {share:.1%} are one or two units in the last place off"
            if not slices
            else f"the rest lies within two units in the last place of the blend's terms, in the "
            f"{slices:,} slices looked at"
        )
        doubt = (
            " Arithmetic that rounds in another order, or more often, leaves as much, and so does "
            f"noise of one unit.{NOISED_PARENT}"
        )
    elif slices := _other_weights(facts):
        what = (
            f"where it does not, in the {slices:,} slices looked at that miss most, other weights "
            "of these checkpoints do, or nearly"
        )
        doubt = f"{NOISED_PARENT}{places_text(facts)}"
    else:
        return None
    return Verdict(
        "merge",
        "statistical",
        "rounding_left",
        f"{_decoys_clause(replay)}; {what}.{doubt}{coverage_clause(facts)}",
        {**fit_numbers(facts), **replay_numbers(replay), "within_two": replay.within_two},
    )


def changed_in_part(facts: Facts) -> Verdict | None:
    """A recipe gives some slices bit for bit, and no blend explains the others."""
    limits, replay = facts.thresholds, _merge_in_part(facts)
    if (
        replay is None
        or replay.explained
        or replay.whole_share < limits.least_whole_share
        or not (
            replay.changed_floors >= limits.changed_residual
            or (
                replay.is_rounded_once
                and replay.changed_share >= limits.least_changed_share
                and not _other_weights(facts)
            )
        )
        or not _is_forward(facts, replay)
    ):
        return None
    return Verdict(
        "merge-then-changed",
        "statistical",
        "changed_in_part",
        f"{replay.text}, reproduces {replay.whole_slices:,} of {replay.replayed_slices:,} slices "
        f"bit for bit; it does not give {replay.changed_share:.1%} of the elements of "
        f"{compress(replay.changed_slices)}, and any blend of these checkpoints leaves "
        f"{replay.changed_floors:.1f} times the rounding of their dtype there, over all elements. "
        f"{OTHERWISE}{places_text(facts)}{rank_text(facts)}"
        f"{coverage_clause(facts)}",
        {
            **fit_numbers(facts),
            **replay_numbers(replay),
            "whole_share": replay.whole_share,
            "changed_floors": replay.changed_floors,
            "changed_share": replay.changed_share,
            **residual_numbers(facts),
        },
    )


def changed(facts: Facts) -> Verdict | None:
    """A recipe reproduces much of the child, more than decoys could, and no arithmetic the rest."""
    replay = _merge_in_part(facts)
    if (
        replay is None
        or not _shows(facts, replay)
        or not _is_forward(facts, replay)
        or _units_left(facts) is not None
        or _other_weights(facts)
        or (replay.explained and facts.of_somebody[1] >= facts.thresholds.chosen)
    ):
        return None
    return Verdict(
        "merge-then-changed",
        "statistical",
        "changed",
        f"{_decoys_clause(replay)}. Of the rest, {1 - replay.within_two:.1%} are more than two "
        f"units in the last place off, which no order of rounding leaves. {OTHERWISE}"
        f"{places_text(facts)}{rank_text(facts)}{coverage_clause(facts)}",
        {
            **fit_numbers(facts),
            **replay_numbers(replay),
            **residual_numbers(facts),
        },
    )
