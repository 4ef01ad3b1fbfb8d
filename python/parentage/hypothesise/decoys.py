"""What recipes reach with decoys in place of their parents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.hypothesise.evaluate import BATCH
from parentage.replay import compile_recipe

if TYPE_CHECKING:
    from parentage.hypothesise.blends import Findings
    from parentage.recipe import Recipe


def decoy_share(recipe: Recipe, findings: Findings) -> float:
    """Return the largest share of the sample that the recipe reaches with a decoy for a parent.

    A decoy is the base with the parent's displacements in another order, or another checkpoint
    offered.
    """
    programs = []
    ours = [each.name for each in recipe.ingredients if each.name != findings.base]
    for name in ours:
        column = findings.columns[name]
        programs.append(
            compile_recipe(recipe, findings.columns, findings.slices, decoys=frozenset({column}))
        )
        for other in findings.names[1:]:
            if other not in recipe.checkpoints:
                swapped = {**findings.columns, name: findings.columns[other]}
                programs.append(compile_recipe(recipe, swapped, findings.slices))
    if not programs:
        # Nothing to replace: what a copy of a single checkpoint would reproduce.
        return findings.copied
    best = 0.0
    for first in range(0, len(programs), BATCH):
        found = findings.sample.replay(programs[first : first + BATCH])
        best = max(best, float(found.share.max()))
    return best
