"""Recipes tried on the sample: what they leave unexplained, and which of several is best."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from parentage.hypothesise.evaluate import count_matches
from parentage.hypothesise.recognise.masks.interpreted import outcomes
from parentage.hypothesise.recognise.masks.mixture import EXPLAINED
from parentage.hypothesise.recognise.masks.view import View
from parentage.replay import compile_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from parentage.hypothesise.blends import Findings
    from parentage.recipe import Recipe

DECOYS = 0.75
"""Largest share of changed elements that decoys may explain."""

MOST_OPERATIONS, MOST_RESULTS = 200, 32
"""What programs of the core may have; see ``replay/program.rs``."""


def worthwhile(f: Findings, recipe: Recipe) -> bool:
    """Return whether a recipe explains the changed elements as decoys for its parents do not."""
    # All at once: a parent that adds little is hardly missed.
    columns = frozenset(f.columns[each.name] for each in recipe.ingredients)
    if not fits(f, recipe, columns):
        columns = frozenset({f.columns[recipe.ingredients[0].name]})
        if not fits(f, recipe, columns):
            return False
    ours = compile_recipe(recipe, f.columns, f.slices)
    decoys = compile_recipe(recipe, f.columns, f.slices, decoys=columns)
    share, by_decoys = (changed(f, float(x)) for x in f.sample.replay([ours, decoys]).share)
    return share >= EXPLAINED and by_decoys <= DECOYS * share


def fits(f: Findings, recipe: Recipe, decoys: frozenset[int] = frozenset()) -> bool:
    """Return whether the core can carry out a recipe: programs have at most so many operations."""
    program, results = compile_recipe(recipe, f.columns, f.slices, decoys)
    count = len({each.number for each in results})
    return len(program.operations) <= MOST_OPERATIONS and count <= MOST_RESULTS


def changed(f: Findings, share: float) -> float:
    """Return the share of changed elements that are in a share of all, which has the others."""
    rows = f.sample.weight > 0
    n = float(f.sample.gram.n[rows].sum())
    same = float(f.sample.gram.equal[rows][:, 0].sum()) / max(n, 1.0)
    return (share - same) / max(1.0 - same, 1e-12)


def mismatches(f: Findings, candidates: Sequence[Recipe]) -> NDArray[np.int64]:
    """Return mismatched elements of the sample, (S, candidates)."""
    if not all(fits(f, each) for each in candidates):
        return interpreted_mismatches(f, candidates)
    found = count_matches(candidates, f.sample, f)
    return np.concatenate([each.mismatched.astype(np.int64) for each in found], axis=1)


def interpreted_mismatches(f: Findings, candidates: Sequence[Recipe]) -> NDArray[np.int64]:
    """Return mismatched elements of a part of the sample, (S, candidates), for any program."""
    columns = []
    for each in candidates:
        view = View(f, f.small, each.arithmetic)
        wrong = ~np.any(outcomes(f, view, each), axis=0)
        columns.append(np.bincount(view.owner[wrong], minlength=view.slices))
    return np.stack(columns, axis=1).astype(np.int64)


def best_of(f: Findings, candidates: Sequence[Recipe]) -> Recipe:
    """Return the first recipe that has next to the fewest mismatches."""
    if len(candidates) == 1:
        return candidates[0]
    counts = mismatches(f, candidates).sum(axis=0)
    return candidates[int(np.argmax(counts <= 1.5 * counts.min() + 2.0))]


def is_exact(f: Findings, recipe: Recipe) -> bool:
    """Return whether a recipe explains so much that its arithmetic can only be the right one."""
    return float(mismatches(f, [recipe]).sum()) <= 1e-3 * float(f.sample.counts.sum())


def ordered(f: Findings, recipe: Recipe) -> Recipe:
    """Return the recipe with its ingredients in the order that gives the fewest mismatches."""
    if len(recipe.ingredients) < 3:
        return recipe
    return best_of(f, [replace(recipe, ingredients=p) for p in permutations(recipe.ingredients)])
