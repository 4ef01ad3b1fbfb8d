"""What recognisers find in a child, and whether it survives being written and read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from parentage.hypothesise import (
    LEAST_GAIN,
    Hypothesis,
    SampleEstimates,
    count_matches,
    hypothesise,
)
from parentage.methods import from_json, to_mergekit
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


def assert_named(best: Hypothesis, tensors: Iterable[str], **expected: Any) -> None:
    """Assert that a recipe that reproduces a child has what its weights by tensor were made with.

    ``expected`` are fields of the recipe, and ``weights`` by name.
    """
    recipe = best.recipe
    assert best.share >= 0.999
    assert best.decoy_share < 0.1
    assert recipe.arithmetic == "float32"
    assert {each.name: each.weight for each in recipe.ingredients} == expected.pop("weights")
    assert {name: getattr(recipe, name) for name in expected} == expected
    assert f"merge_method: {recipe.method}" in to_mergekit(recipe)
    assert all(set(table) == set(tensors) for table in recipe.fitted.values())


def nothing_is_named(estimates: SampleEstimates) -> bool:
    """Return whether no recipe is worth carrying out."""
    found = hypothesise(estimates)
    return not found or found[0].gain < LEAST_GAIN
