"""Recipes carried out on a sample, and what they reproduce of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from parentage.replay import compile_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Recipe
    from parentage.sample import MatchCounts, SearchSample

BATCH = 32
"""Recipes replayed in one pass."""


def count_matches(
    recipes: Sequence[Recipe], sample: SearchSample, estimates: SampleEstimates
) -> list[MatchCounts]:
    """Replay recipes on a sample, some at a time; returns a count for each."""
    out: list[MatchCounts] = []
    for first in range(0, len(recipes), BATCH):
        batch = recipes[first : first + BATCH]
        found = sample.replay(
            [compile_recipe(each, estimates.columns.indices, estimates.slices) for each in batch]
        )
        out.extend(
            replace(
                found,
                reproduced=found.reproduced[:, [i]],
                explained=found.explained[:, [i]],
                mismatched=found.mismatched[:, [i]],
            )
            for i in range(len(batch))
        )
    return out
