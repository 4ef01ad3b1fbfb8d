"""Children that a recipe reproduces, wholly or in part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.support import listed
from parentage.verdict.rules.wording import (
    coverage_clause,
    fit_numbers,
    reading_verb,
    replay_numbers,
    residual_numbers,
    residual_places,
)
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts


def replayed(facts: Facts) -> Verdict | None:
    """A recipe reproduces the child, and decoys in its parents' place do not."""
    limits, replay = facts.thresholds, facts.replay
    if (
        replay is None
        or replay.coverage < limits.coverage
        or replay.share < limits.reproduced
        or not replay.left <= limits.decoy
        or not replay.decisive >= limits.decisive
    ):
        return None
    if replay.is_exact:
        what = f"reproduces all {replay.elements:,} elements {reading_verb(facts)}, bit for bit"
    elif replay.explained:
        what = (
            f"reproduces or explains {replay.share:.4%} of the elements: {replay.explained:,} lie "
            f"where it leaves a choice (a mask, a tie), {replay.mismatched:,} do not fit"
        )
    else:
        what = f"reproduces {replay.share:.4%} of the elements; {replay.mismatched:,} differ"
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
        "exact" if replay.is_exact else "statistical",
        "replayed",
        f"{replay.text}, {what}. With decoys in place of its parents it reaches "
        f"{replay.decoy_share:.2%}.{same}{coverage_clause(facts)}",
        {**fit_numbers(facts), **replay_numbers(replay)},
    )


def changed_in_part(facts: Facts) -> Verdict | None:
    """A recipe gives some slices bit for bit, and no blend explains the others."""
    limits, replay = facts.thresholds, facts.replay
    if (
        replay is None
        or replay.kind != "merge"
        or replay.explained
        or replay.coverage < limits.coverage
        or replay.whole_share < limits.least_whole_share
        or replay.share >= limits.reproduced
        or not (
            replay.changed_floors >= limits.changed_residual
            or (replay.is_rounded_once and replay.changed_share >= limits.least_changed_share)
        )
        or not replay.decisive >= limits.decisive
        or facts.strange_share > limits.strange_share
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
        f"{1 - facts.r2_slices:.2%} of the displacement's "
        f"energy.{residual_places(facts)}{coverage_clause(facts)}",
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
    limits, replay = facts.thresholds, facts.replay
    if (
        replay is None
        or replay.kind != "merge"
        or replay.coverage < limits.coverage
        or not 1.0 - replay.left >= limits.partial
        or not replay.decisive >= limits.decisive
        or replay.share >= limits.reproduced
        or replay.share > limits.unknown_arithmetic
        or facts.strange_share > limits.strange_share
    ):
        return None
    return Verdict(
        "merge-then-changed",
        "statistical",
        "changed",
        f"{replay.text}, reproduces {replay.share:.2%} of the elements, decoys in place of its "
        f"parents {replay.decoy_share:.2%}, and no arithmetic known reproduces the rest: something "
        f"{facts.residual_floors_slices:.2f} times the rounding of its dtype is on top, "
        f"{1 - facts.r2_slices:.2%} of the displacement's "
        f"energy.{residual_places(facts)}{coverage_clause(facts)}",
        {
            **fit_numbers(facts),
            **replay_numbers(replay),
            **residual_numbers(facts),
        },
    )
