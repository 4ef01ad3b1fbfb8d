"""Findings in sentences, each of which says no more than was counted and tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.identity.comparisons import SIGNIFICANT
from parentage.support import percent, printable

if TYPE_CHECKING:
    from parentage.identity.comparisons import Comparison
    from parentage.identity.counts import Tally
    from parentage.identity.findings import Findings

LEVEL = "circumstantial"

MEANS = (
    "Circumstantial: what a model says of itself is text that it has learnt, or was told before "
    "the question. It shows neither whose weights it has nor who trained it, and decides nothing "
    "about them."
)


def sentences(findings: Findings) -> list[str]:
    """Return what was found: shares by arm, differences between arms and models, passages."""
    found = []
    for counts in findings.arms:
        for tally in counts.names.values():
            if tally.answers:
                found.append(f"{printable(counts.arm)}: {share(tally)}.")
        if counts.answers and counts.empty == counts.answers:
            found.append(
                f"{printable(counts.arm)}: none of {counts.answers:,} answers says anything."
            )
    found += [
        difference(each)
        for each in findings.comparisons
        if each.kind != "names" and each.log10_p_holm <= SIGNIFICANT
    ]
    for name, overlaps in findings.overlaps.items():
        for each in overlaps:
            where = f"{printable(name)}, {printable(each.arm)}: "
            if not each.passages:
                found.append(f"{where}no answer shares a passage with it.")
                continue
            text = (
                f"{where}{each.sharing:,} of {each.answers:,} answers share passages with it, the "
                f"longest of {each.longest:,} words"
            )
            if each.log10_p is not None:
                text += (
                    "; longest runs shared with it against those shared with the controls: "
                    f"{p_value(each.log10_p)}, over questions"
                )
            found.append(f"{text}.")
    return found


def share(tally: Tally) -> str:
    """Return how often a name is claimed, with both intervals."""
    low, high = tally.interval
    text = (
        f"{printable(tally.name)} is claimed in {tally.claimed:,} of {tally.answers:,} answers "
        f"({percent(tally.claimed / tally.answers)}, interval {low:.1%} to {high:.1%}), in most "
        f"answers to {tally.majorities:,} of {len(tally.of_question):,} questions"
    )
    low, high = tally.named_interval
    if tally.named > tally.claimed:
        text += (
            f"; it stands in {tally.named:,} answers in all "
            f"({percent(tally.named / tally.answers)}, {low:.1%} to {high:.1%})"
        )
    return f"{text}, and is denied in {tally.denied:,}" if tally.denied else text


def difference(each: Comparison) -> str:
    """Return a difference between two arms, or two models, and how sure it is."""
    one, other = (printable(side.arm) for side in (each.one, each.other))
    if each.kind == "models":
        one, other = (f"by {printable(side.model)}" for side in (each.one, each.other))
        name = f"{printable(each.one.name)} ({printable(each.one.arm)})"
    else:
        name = printable(each.one.name)
    return (
        f"{name}: {each.measure} in {each.counts[0]:,} answers {one} and in {each.counts[1]:,} "
        f"{other}, of {each.answers:,} each; in more of them in {each.more[0]:,} questions, in "
        f"fewer in {each.more[1]:,} ({p_value(each.log10_p_holm)}, over questions, corrected)."
    )


def p_value(log10_p: float) -> str:
    """Return a p-value as text.

    >>> p_value(-1.301), p_value(-18.06), p_value(0.0)
    ('p = 0.050', 'p = 10^-18.1', 'p = 1')
    """
    if log10_p >= 0.0:
        return "p = 1"
    return f"p = 10^{log10_p:.1f}" if log10_p < -3.0 else f"p = {10.0**log10_p:.3f}"
