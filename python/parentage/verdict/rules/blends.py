"""Children that a blend explains, by least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.support import listed
from parentage.verdict.rules.wording import (
    NOISED_PARENT,
    bias_warning,
    blend_text,
    coverage_clause,
    fit_numbers,
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
        or facts.lone is not None
        or not facts.r2_slices >= limits.explained
        or not facts.residual_floors_slices <= limits.merge_residual
        or (facts.cells_share is not None and facts.cells_share < limits.cells)
        or (stray is not None and stray > limits.stray_share)
        or facts.order != "forward"
        or facts.residual_floors_slices < limits.least_residual
    ):
        return None
    # So near to one checkpoint, only the elements that nobody moved can exclude training.
    if facts.distance_floors[facts.nearest] <= limits.near and stray is None:
        return None
    one = facts.residual_floors <= limits.merge_residual
    weights = (
        f"a blend of {blend_text(facts)} explains {facts.r2:.2%}"
        if one
        else f"blends of {listed(facts.blended)} and {facts.base}, whose weights differ between "
        f"slices, explain {facts.r2_slices:.2%}"
    )
    return Verdict(
        "merge",
        "statistical",
        "merge",
        f"{weights} of how the child differs from {facts.base} and leaves "
        f"{facts.residual_floors_slices:.2f} times the rounding of its dtype, over everything."
        f"{NOISED_PARENT}{bias_warning(facts)}{coverage_clause(facts)}",
        {**fit_numbers(facts), "stray_share": stray, "unmoved": facts.unmoved},
    )
