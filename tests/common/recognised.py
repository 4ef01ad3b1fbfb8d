"""What recognisers find in a child, and whether it survives being written and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parentage.hypothesise import Hypothesis, SampleEstimates, count_matches, hypothesise
from parentage.methods import from_json
from parentage.recipe import Recipe

from common.families import Tensors, found_in


def best_of(folder: Any, family: Any, child: Tensors, parents: Sequence[str]) -> Hypothesis:
    return hypothesise(found_in(folder, family, child, parents))[0]


def counted(recipe: Recipe, estimates: SampleEstimates) -> dict[str, tuple[int, int]]:
    """Return the elements that a recipe reproduces and misses, by tensor."""
    (found,) = count_matches([recipe], estimates.sample, estimates)
    pairs = zip(found.reproduced[:, 0].tolist(), found.mismatched[:, 0].tolist(), strict=True)
    return {each.name: pair for each, pair in zip(estimates.slices, pairs, strict=True)}


def same_when_read_again(recipe: Recipe, estimates: SampleEstimates) -> bool:
    again = from_json(recipe.to_json())
    assert again.to_json() == recipe.to_json()
    return counted(again, estimates) == counted(recipe, estimates)
