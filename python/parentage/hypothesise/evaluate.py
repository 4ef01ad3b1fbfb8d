"""Recipes replayed on a sample, and how many elements they reproduce of it."""

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
    """Return what each recipe reproduces of a sample; some are replayed at a time."""
    counts: list[MatchCounts] = []
    for first in range(0, len(recipes), BATCH):
        batch = recipes[first : first + BATCH]
        together = sample.replay(
            [
                compile_recipe(recipe, estimates.columns.indices, estimates.slices)
                for recipe in batch
            ]
        )
        counts.extend(
            replace(
                together,
                reproduced=together.reproduced[:, [i]],
                explained=together.explained[:, [i]],
                mismatched=together.mismatched[:, [i]],
            )
            for i in range(len(batch))
        )
    return counts
