"""Too little was compared to say anything, or what was compared can not be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.support import listed
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts


def too_little(facts: Facts) -> Verdict | None:
    """Most of the child was not compared."""
    if facts.coverage >= facts.thresholds.coverage:
        return None
    return Verdict(
        "undetermined",
        "statistical",
        "too_little",
        f"only {facts.coverage:.1%} of the child's elements could be compared. The list of tensors "
        "that did not pair says why; checkpoints of the same architecture would decide.",
        {"coverage": facts.coverage},
    )


def too_little_finite(facts: Facts) -> Verdict | None:
    """Most of what was compared is not finite."""
    if facts.coverage * facts.finite >= facts.thresholds.coverage:
        return None
    return Verdict(
        "undetermined",
        "statistical",
        "too_little_finite",
        f"{1 - facts.finite:.1%} of the elements compared are NaN or infinite in some "
        "checkpoint. A "
        "child that is whole would decide.",
        {"coverage": facts.coverage, "finite": facts.finite},
    )


def indistinct(facts: Facts) -> Verdict | None:
    """Two parents offered are the same displacement, so weights mean nothing."""
    if facts.condition < facts.thresholds.condition:
        return None
    return Verdict(
        "undetermined",
        "statistical",
        "indistinct",
        f"the parents {listed(facts.weights)} can not be told apart by these weights (condition "
        f"number {facts.condition:.3g}). Offer one of them, or the ones they were made of.",
        {"condition": facts.condition},
    )
