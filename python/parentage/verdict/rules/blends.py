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


def merge(e: Facts) -> Verdict | None:
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
        f"a blend of {blend_text(e)} explains {e.r2_slices:.2%} of how the child differs from {e.base}"
        f" and leaves {e.residual_floors_slices:.2f} times the rounding of its dtype: no room for "
        f"training. It takes {weights}.{bias_warning(e)}{coverage_clause(e)}",
        {**fit_numbers(e), "stray_share": stray, "unmoved": e.unmoved},
    )


def merge_then_changed(e: Facts) -> Verdict | None:
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
        f"a blend of {blend_text(e)} explains {e.r2:.2%} of how the child differs from {e.base}, and "
        f"something {e.residual_floors_slices:.1f} times the rounding of its dtype is on top: "
        f"{1 - e.r2_slices:.2%} of the displacement's energy.{residual_places(e)}{bias_warning(e)}"
        f"{coverage_clause(e)}",
        {
            **fit_numbers(e),
            "origin_r2": e.origin_r2,
            **residual_numbers(e),
        },
    )
