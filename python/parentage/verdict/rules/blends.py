"""Children that a blend explains, by least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.verdict.rules.wording import (
    bias_warning,
    blend_text,
    coverage_clause,
    fit_numbers,
    residual_numbers,
    residual_places,
)
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts


def merge(facts: Facts) -> Verdict | None:
    """A blend explains the child down to the rounding of its dtype, and no one parent does."""
    limits = facts.thresholds
    stray = facts.stray_share
    if (
        not facts.is_blend
        or not facts.r2_slices >= limits.explained
        or not facts.residual_floors_slices <= limits.merge_residual
        or (facts.cells_share is not None and facts.cells_share < limits.cells)
        or (stray is not None and stray > limits.stray_share)
    ):
        return None
    # So near to one checkpoint, only the elements that nobody moved can exclude training.
    if facts.distance_floors[facts.nearest] <= limits.near and stray is None:
        return None
    one = facts.residual_floors <= limits.merge_residual
    weights = "one weight for the whole model" if one else "weights that differ between slices"
    return Verdict(
        "merge",
        "statistical",
        "merge",
        f"a blend of {blend_text(facts)} explains {facts.r2_slices:.2%} of how the child differs "
        f"from {facts.base}"
        f" and leaves {facts.residual_floors_slices:.2f} times the rounding of its dtype: no "
        "room for "
        f"training. It takes {weights}.{bias_warning(facts)}{coverage_clause(facts)}",
        {**fit_numbers(facts), "stray_share": stray, "unmoved": facts.unmoved},
    )


def merge_then_changed(facts: Facts) -> Verdict | None:
    """A blend explains most of the displacement, and leaves more than any arithmetic does."""
    limits = facts.thresholds
    if (
        not facts.is_blend
        or min(facts.r2, facts.origin_r2) < limits.explained
        or facts.residual_floors_slices < limits.changed_residual
        or facts.distance_floors[facts.nearest] <= limits.near
    ):
        return None
    return Verdict(
        "merge-then-changed",
        "statistical",
        "merge_then_changed",
        f"a blend of {blend_text(facts)} explains {facts.r2:.2%} of how the child differs from "
        f"{facts.base}, and "
        f"something {facts.residual_floors_slices:.1f} times the rounding of its dtype is on top: "
        f"{1 - facts.r2_slices:.2%} of the displacement's "
        f"energy.{residual_places(facts)}{bias_warning(facts)}"
        f"{coverage_clause(facts)}",
        {
            **fit_numbers(facts),
            "origin_r2": facts.origin_r2,
            **residual_numbers(facts),
        },
    )
