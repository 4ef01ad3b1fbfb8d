"""The share of a sample that a recipe reproduces with decoys in place of its parents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.hypothesise.evaluate import BATCH
from parentage.replay import compile_recipe

if TYPE_CHECKING:
    from parentage.hypothesise.estimates import SampleEstimates
    from parentage.recipe import Recipe


def decoy_share(recipe: Recipe, estimates: SampleEstimates) -> float:
    """Return the largest share of the sample that the recipe reaches with a decoy for a parent.

    A decoy is the base with the parent's displacements in another order, or another checkpoint
    offered.
    """
    programs = []
    parents = [x.name for x in recipe.ingredients if x.name != estimates.columns.base]
    for name in parents:
        column = estimates.columns[name]
        programs.append(
            compile_recipe(
                recipe, estimates.columns.indices, estimates.slices, decoys=frozenset({column})
            )
        )
        for other in estimates.columns.names[1:]:
            if other not in recipe.checkpoints:
                swapped = {**estimates.columns.indices, name: estimates.columns[other]}
                programs.append(compile_recipe(recipe, swapped, estimates.slices))
    if not programs:
        # Nothing to replace: what a copy of a single checkpoint would reproduce.
        return estimates.copied
    best = 0.0
    for first in range(0, len(programs), BATCH):
        counts = estimates.sample.replay(programs[first : first + BATCH])
        best = max(best, float(counts.share.max()))
    return best
