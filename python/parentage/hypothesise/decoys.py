"""What recipes reach with decoys in place of their parents."""

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
    ours = [each.name for each in recipe.ingredients if each.name != estimates.columns.base]
    for name in ours:
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
        found = estimates.sample.replay(programs[first : first + BATCH])
        best = max(best, float(found.share.max()))
    return best
