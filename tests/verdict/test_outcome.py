"""What the best recipe reproduces of everything."""

import numpy as np
import pytest
from parentage.hypothesise import Hypothesis
from parentage.recipe import Ingredient, Recipe
from parentage.statistics import Replayed
from parentage.verdict import Outcome, best_outcome

RECIPES = [Recipe("linear", (Ingredient("one", weight),)) for weight in (0.1, 0.2, 0.3)]
HYPOTHESES = [
    Hypothesis(recipe, 1.0, 0, 0, 100, decoy_share)
    for recipe, decoy_share in zip(RECIPES, (0.01, 0.02, 0.03), strict=True)
]


def replayed(explained, mismatched):
    """Return counts of two slices of a hundred elements each, by recipe."""
    explained, mismatched = (np.array(each, np.uint64) for each in (explained, mismatched))
    count = explained.shape[1]
    ulps = np.zeros((2, count, 4), np.uint64)
    ulps[:, :, 1] = mismatched
    return Replayed(
        applies=np.ones(2, bool),
        reproduced=np.uint64(100) - explained - mismatched,
        explained=explained,
        mismatched=mismatched,
        zero_signs=mismatched // 2,
        ulps=ulps,
        first=np.full((2, count), -1),
    )


def test_the_best_has_the_fewest_mismatches_over_all_slices():
    found = best_outcome(replayed([[0, 0, 5]] * 2, [[0, 4, 3], [9, 4, 3]]), HYPOTHESES)
    assert (found.recipe, found.position, found.decoy_share) == (RECIPES[2], 2, 0.03)
    assert (found.elements, found.reproduced) == (200, 184)
    assert (found.explained, found.mismatched, found.zero_signs) == (10, 6, 2)
    assert found.ulps == (0, 6, 0, 0)


def test_among_equals_it_is_the_one_that_leaves_the_least_open_and_then_the_first():
    assert best_outcome(replayed([[3, 1, 2]] * 2, [[1, 1, 1]] * 2), HYPOTHESES).position == 1
    assert best_outcome(replayed([[1, 1, 1]] * 2, [[1, 1, 1]] * 2), HYPOTHESES).position == 0


def test_without_a_hypothesis_there_is_none():
    assert best_outcome(replayed(np.zeros((2, 0)), np.zeros((2, 0))), []) is None


@pytest.mark.parametrize(
    ("counts", "exact_share", "share"),
    [((10, 10, 0, 0), 1.0, 1.0), ((10, 6, 2, 2), 0.6, 0.8), ((0, 0, 0, 0), 0.0, 0.0)],
)
def test_shares_are_of_what_was_replayed(counts, exact_share, share):
    found = Outcome(RECIPES[0], *counts, 0, (), 0.0)
    assert (found.exact_share, found.share) == (exact_share, share)
