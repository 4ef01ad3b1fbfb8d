"""Too little was compared to say anything, or what was compared can not be told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from parentage.support import are, listed, percent
from parentage.verdict.naming import named
from parentage.verdict.rules.wording import UNLIKE, moves_text
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts


OF_COPIES = ("identical", "re_encoded", "part_of", "assembled")
"""Rules that look at all that was compared, with whomever it was."""


def too_little(facts: Facts) -> Verdict | None:
    """Most of the child was not compared, nor most of any checkpoint."""
    if facts.coverage >= facts.thresholds.coverage or (
        facts.wholes.by_name and facts.wholes.most >= facts.thresholds.coverage
    ):
        return None
    return Verdict(
        "undetermined",
        "statistical",
        "too_little",
        f"only {facts.coverage:.1%} of the child's elements could be compared. The list of tensors "
        "that did not pair says why; checkpoints of the same architecture would decide.",
        {"coverage": facts.coverage},
    )


def alone(facts: Facts) -> Verdict | None:
    """All candidates but one pair with nothing, and what was compared with that one differs."""
    wholes = facts.wholes
    inside = [name for name in wholes.candidates if name in wholes.main]
    outside = [name for name in wholes.candidates if not wholes.by_name[name].compared]
    if len(inside) != 1 or not outside or len(outside) + 1 < len(wholes.candidates):
        return None
    (only,) = inside
    copies = wholes.sources.get(only, ())
    same = wholes.by_name[only].same / max(wholes.child_elements, 1)
    held = f" {len(copies):,} of {wholes.slices:,} slices ({percent(same)} of the elements) are "
    held += f"{only}'s, bit for bit: {named(copies)}." if copies else ""
    return Verdict(
        "undetermined",
        "statistical",
        "alone",
        f"of the candidates offered, {facts.child} pairs with {only} alone; "
        f"{listed(outside)} {'pairs' if len(outside) == 1 else 'pair'} with nothing of it by name."
        f"{held if copies else ''} What the rest was made of can not be told from {only} alone; "
        "checkpoints with the same names would decide.",
        {"parent": only, "equal_share": same, "likeness": facts.likeness.get(only)},
    )


def of_the_whole(verdict: Verdict, facts: Facts) -> Verdict:
    """Return a verdict that claims no more than the parts compared of child and parents allow.

    Where most of the child is its own, or less than half of any candidate took part, what was seen
    is told of that part, and the whole is undetermined.
    """
    limit, wholes = facts.thresholds.coverage, facts.wholes
    numbers = {**verdict.numbers}
    text, kind, level = verdict.text, verdict.kind, verdict.level
    if wholes.by_name:
        numbers["coverage"] = facts.coverage
        numbers["constants"] = wholes.constants()
        numbers.update({f"share_{name}": one.share for name, one in wholes.by_name.items()})
    if wholes.by_name and kind != "undetermined":
        before = ""
        if facts.coverage < limit:
            before = (
                f"{1 - facts.coverage:.1%} of {facts.child} could not be compared with anything; "
                f"of the rest: "
            )
        elif wholes.most < limit:
            before = (
                f"only {wholes.most:.1%} of the nearest checkpoint offered is in {facts.child}, "
                "which is too little of it to decide; of what is there: "
            )
        if before:
            kind, text = "undetermined", before + text
        elif facts.coverage < facts.thresholds.nearly_all and verdict.rule not in OF_COPIES:
            level = "statistical" if level == "exact" else level
            text = (
                f"of the {facts.coverage:.1%} of {facts.child} that could be compared with "
                f"anything: {text}"
            )
    if wholes.strange and level == "exact" and verdict.rule not in OF_COPIES:
        # What is exact of the main part is not so of all of it.
        level = "statistical"
        kind = "undetermined" if kind in ("identical", "re-encoded", "assembled") else kind
    # Some rules tell of the layers themselves.
    is_average = verdict.rule == "averaged"
    moved = "" if verdict.rule in OF_COPIES or is_average else moves_text(facts)
    both = _both_ways(facts, is_average=is_average)
    sentences = [_promise(facts), text, moved, both, wholes.stand_in, _unread(facts)]
    return replace(
        verdict,
        kind=kind,
        level=level,
        text=" ".join(each for each in sentences if each),
        numbers=numbers,
    )


def _promise(facts: Facts) -> str:
    """Return what is said first of a child that has fewer layers than its config promises."""
    promised, there = facts.wholes.promised_layers, facts.wholes.layers
    if promised is None:
        return ""
    return f"config.json promises {promised:,} layers; {there:,} {are(there)} here:"


def _both_ways(facts: Facts, *, is_average: bool) -> str:
    """Return how much of the child was compared, and how much of each checkpoint took part."""
    wholes = facts.wholes
    if not wholes.by_name:
        return ""
    said = []
    if facts.coverage < 1.0:
        said.append(
            f"{percent(1.0 - facts.coverage)} of {facts.child} was not compared with anything: "
            f"{named(wholes.uncompared)}."
        )
    said += wholes.aside
    alike: dict[tuple[float, tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for one in wholes.by_name.values():
        if one.share < 1.0:
            key = one.share, one.missing, one.unlike, one.coded
            alike.setdefault(key, []).append(one.name)
    for (share, missing, unlike, coded), names in alike.items():
        took = f"{percent(share)} of {listed(names)}" if share else f"Nothing of {listed(names)}"
        # Numbers of layers are those of whom they are missing of.
        moved = any(wholes.by_name[name].moves for name in names)
        whose = f", as {names[0]} numbers them" if moved else ""
        lacks = f": {facts.child} lacks {named(missing)}{whose}" if share and missing else ""
        if lacks and is_average:
            lacks += ", but for what an average has of them"
        if share and unlike:
            lacks += f"{', and' if lacks else f': {facts.child}'} has {named(unlike)} {UNLIKE}"
        codes = f"; {named(coded)} {are(len(coded))} stored as codes there, and not compared"
        said.append(f"{took} took part{lacks}{codes if coded else ''}.")
    return " ".join(said)


def _unread(facts: Facts) -> str:
    """Return what lies beside the checkpoints and was not read."""
    return " ".join(f"{each}." for each in facts.wholes.unread)


def too_little_finite(facts: Facts) -> Verdict | None:
    """Most of what was compared is not finite."""
    if facts.finite >= facts.thresholds.coverage:
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
