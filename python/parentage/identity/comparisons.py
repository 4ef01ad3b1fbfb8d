"""Tests of what is claimed: between arms, between names, and between models.

A question is the unit. Repeated answers to one are no independent draws of what a model says of
itself, and so each question gives one number: how many more of its answers claim the name here
than there. Under the hypothesis that both are alike, its sign is chance (:func:`sign_flip`).
All tests of a report are corrected together (Holm 1979), except those that could not be significant
whatever their signs, as too few questions differ: they count for nothing (Tarone 1990). Beside it
stands Fisher's test over answers as if they were independent, labelled naive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from parentage.identity.exact import fisher, sign_flip
from parentage.statistics import holm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from parentage.identity.counts import Read

SIGNIFICANT = math.log10(0.05)
"""log10 of the corrected p-value up to which a difference is told."""

KINDS = ("arms", "names", "models")

MEASURES = ("claimed", "named")
"""What is counted: answers that claim a name, and answers that have it in any way."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: claims of a name in an arm of a model."""

    model: str
    arm: str
    name: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A test between two sides."""

    kind: str
    """``arms``, ``names`` or ``models``: in what the two sides differ."""
    measure: str
    """``claimed`` or ``named``."""
    one: Side
    other: Side
    counts: tuple[int, int]
    """Answers that claim or name, on either side, of those compared."""
    answers: int
    """Answers compared on each side."""
    questions: int
    """Questions compared."""
    more: tuple[int, int]
    """Questions in which more answers claim on the one side, and on the other."""
    log10_p: float
    """Exact test over questions, two-sided."""
    log10_p_naive: float
    """Fisher's test, which takes all answers to be independent."""
    log10_p_holm: float = 0.0
    """The first, corrected for all tests of the report that could be significant; 0 for others."""

    @property
    def least_log10_p(self) -> float:
        """What the exact test would give if all questions that differ did so in one direction."""
        return min(0.0, (1 - sum(self.more)) * math.log10(2.0))


Marks = dict[str, list[bool]]
"""For each question, whether its answers claim or have a name, in the order of samples."""

Key = tuple[str, str, str]
"""Measure, arm and name."""


def marks_of(
    reads: Iterable[Read], name: str, measure: str, led: frozenset[str] = frozenset()
) -> Marks:
    """Return which answers claim or have a name, by question, of those that say anything.

    Questions in ``led`` are left out.
    """
    found: Marks = {}
    for each in reads:
        if each.said and each.answer.question not in led:
            status = each.reading.status(name)
            is_marked = status == "claimed" if measure == "claimed" else status is not None
            found.setdefault(each.answer.question, []).append(is_marked)
    return found


def compare(
    kind: str, measure: str, one: Side, other: Side, first: Marks, second: Marks
) -> Comparison | None:
    """Return the test between two sides; ``None`` where they share no question.

    Of a question, as many answers are compared as both sides have: signs are chance only then.
    """
    differences, counts, answers = [], [0, 0], 0
    shared = [each for each in first if each in second]
    for question in shared:
        count = min(len(first[question]), len(second[question]))
        sums = sum(first[question][:count]), sum(second[question][:count])
        differences.append(sums[0] - sums[1])
        counts[0] += sums[0]
        counts[1] += sums[1]
        answers += count
    if not answers:
        return None
    return Comparison(
        kind, measure, one, other, (counts[0], counts[1]), answers, len(shared),
        (sum(each > 0 for each in differences), sum(each < 0 for each in differences)),
        sign_flip(differences), fisher(counts[0], answers, counts[1], answers),
    )  # fmt: skip


def within(model: str, marks: Mapping[Key, Marks]) -> list[Comparison]:
    """Return tests between arms and between names, of what is given, in its order."""
    found = []
    for one, other in combinations(marks, 2):
        if one[0] != other[0]:
            continue
        sides = Side(model, *one[1:]), Side(model, *other[1:])
        if one[2] == other[2]:
            found.append(compare("arms", one[0], *sides, marks[one], marks[other]))
        elif one[1] == other[1] and one[0] == "claimed":
            found.append(compare("names", one[0], *sides, marks[one], marks[other]))
    return [each for each in found if each is not None]


def between(
    models: tuple[str, str], ours: Mapping[Key, Marks], theirs: Mapping[Key, Marks]
) -> list[Comparison]:
    """Return tests between two models, of each arm and name that both have."""
    found = [
        compare(
            "models", key[0], Side(models[0], *key[1:]), Side(models[1], *key[1:]), ours[key],
            theirs[key],
        )
        for key in ours
        if key in theirs
    ]  # fmt: skip
    return [each for each in found if each is not None]


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons with p-values corrected for all that could be significant.

    Which those are follows from how many questions differ, not from how: so the correction holds
    (Tarone 1990, of which this is the first, cautious step).
    """
    testable = [each for each in comparisons if each.least_log10_p <= SIGNIFICANT]
    if not testable:
        return list(comparisons)
    adjusted = iter(holm(np.array([each.log10_p for each in testable])).tolist())
    return [
        replace(each, log10_p_holm=next(adjusted)) if each.least_log10_p <= SIGNIFICANT else each
        for each in comparisons
    ]
