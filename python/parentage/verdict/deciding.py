"""Asks the rules in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from parentage.support import printable
from parentage.verdict.rules.adapters import adapted
from parentage.verdict.rules.averages import averaged
from parentage.verdict.rules.blends import merge
from parentage.verdict.rules.copies import assembled, identical, part_of, re_encoded
from parentage.verdict.rules.coverage import (
    alone,
    indistinct,
    of_the_whole,
    too_little,
    too_little_finite,
)
from parentage.verdict.rules.descent import disguised, fine_tune, undetermined, unrelated
from parentage.verdict.rules.encodings import (
    noised,
    quantised,
    quantised_merge,
    rearranged,
    retold,
    stored_with_less,
)
from parentage.verdict.rules.kin import kept, related, shared_slices
from parentage.verdict.rules.recipes import (
    changed,
    changed_in_part,
    chosen,
    either_way,
    replayed,
    rounding_left,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from parentage.sample import Sampled
    from parentage.verdict.facts import Facts
    from parentage.verdict.verdict import Verdict

RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    adapted,
    identical,
    re_encoded,
    part_of,
    assembled,
    too_little,
    too_little_finite,
    quantised_merge,
    stored_with_less,
    chosen,
    replayed,
    either_way,
    alone,
    unrelated,
    disguised,
    indistinct,
    averaged,
    kept,
    changed_in_part,
    rounding_left,
    changed,
    merge,
    quantised,
    rearranged,
    retold,
    shared_slices,
    noised,
    fine_tune,
    related,
)
"""The rules, in the order in which they are asked."""


def decide(evidence: Facts) -> Verdict:
    """Apply :data:`RULES` in order; the first that decides, decides."""
    for rule in RULES:
        verdict = rule(evidence)
        if verdict is not None:
            break
    else:
        verdict = undetermined(evidence)
    if verdict.kind == "unrelated" and evidence.unordered:
        # Rows in another order are no more alike than strangers'.
        text = f"nothing that was read is alike in place, which would be: {verdict.text}"
        verdict = replace(verdict, kind="undetermined", rule="order_not_looked_for", text=text)
    if evidence.remarks:
        verdict = replace(verdict, text=" ".join([verdict.text, *evidence.remarks]))
    verdict = of_the_whole(verdict, evidence)
    if evidence.sample is not None:
        verdict = _of_a_sample(verdict, evidence.sample)
    return replace(verdict, text=printable(verdict.text))


COPIES_AND_STRANGERS: tuple[Callable[[Facts], Verdict | None], ...] = (
    identical,
    re_encoded,
    part_of,
    too_little,
    too_little_finite,
    unrelated,
    disguised,
)
"""The rules that tell copies and strangers, and look for no recipe and no order."""


def decide_kinship(evidence: Facts) -> Verdict | None:
    """Apply :data:`COPIES_AND_STRANGERS` in order; ``None`` where none of them decides."""
    for rule in COPIES_AND_STRANGERS:
        verdict = rule(evidence)
        if verdict is not None:
            verdict = of_the_whole(verdict, evidence)
            return verdict if evidence.sample is None else _of_a_sample(verdict, evidence.sample)
    return None


def _of_a_sample(verdict: Verdict, sample: Sampled) -> Verdict:
    """Return a verdict that claims no more than a sample shows: never that bytes are equal."""
    parts = [verdict.text, str(sample)]
    kind = verdict.kind
    numbers = {**verdict.numbers, "sampled_share": sample.share}
    unlike = {name: (count, tensor) for name, count, tensor in sample.differing}
    if kind == "identical" and (found := unlike.get(str(numbers.get("parent")))) is not None:
        # What is held is equal, and something else is not.
        kind, numbers["differing"] = "related", found[0]
        parts.append(
            f"But {found[0]:,} whole tensors have another sum of squares than in "
            f"{numbers['parent']}, as {found[1]}: the child is no copy of all of it."
        )
    if verdict.level == "exact":
        # Nothing was seen to differ, which leaves what was not seen.
        parts.append(sample.reservation)
        numbers["unseen"] = sample.unseen
    if sample.sketches and kind == "merge-then-changed":
        kind = "undetermined"
        parts.append(
            "That something is on top of it is not decided by sketches: angles and thresholds of "
            "whole tensors are not known of them, and a merge by these leaves as much."
        )
    if sample.has_other_names and kind == "fine-tune":
        kind = "related"
        parts.append("Names differ, so that layers may have moved, which sketches may not show.")
    text = " ".join(part for part in parts if part)
    return replace(verdict, kind=kind, level="statistical", text=text, numbers=numbers)
