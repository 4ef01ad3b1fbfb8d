"""The base and the mean of its fine-tunes, weighted by the angle between them."""

import numpy as np
import pytest
from common.families import found_in, stored
from common.recognised import assert_named, best_of, nothing_is_named, same_when_read_again
from common.spheres import FAMILY, RELATED, SMALL, child_of, stock, stock_by_row
from parentage.hypothesise import RECOGNISERS, hypothesise
from parentage.hypothesise.recognise.model_stock import ratio
from parentage.methods import to_mergekit

NAMES = ["one", "two", "three"]


def child():
    return child_of(lambda x: stock(x("base"), [x(name) for name in NAMES]), RELATED)


@pytest.mark.slow
def test_parents_are_named_with_a_ratio_by_tensor(tmp_path):
    best = best_of(tmp_path, RELATED, child(), NAMES)
    weights = dict.fromkeys(NAMES)
    assert_named(best, SMALL, method="model_stock", base="base", parameters={}, weights=weights)


def test_without_a_parent_there_is_nothing_to_name(tmp_path):
    assert nothing_is_named(found_in(tmp_path, RELATED, child(), ["one"]))


def test_a_fine_tune_is_none(tmp_path):
    f = found_in(tmp_path, FAMILY, stored(FAMILY["three"]), ["one", "two"])
    assert list(RECOGNISERS["model_stock"].estimate(f)) == []


def test_the_ratio_is_that_of_the_mean_cosine():
    gram = np.zeros((2, 4, 4))
    # The same direction, and right angles; the third column does not count.
    gram[0, 1:3, 1:3] = 4.0
    gram[1, 1, 1] = gram[1, 2, 2] = 1.0
    assert ratio(gram, [1, 2]).tolist() == [1.0, 0.0]
    half = np.array([[[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]])
    assert ratio(half, [0, 1, 2]) == pytest.approx([3 * 0.5 / (1 + 2 * 0.5)])


@pytest.mark.parametrize(
    "parents",
    [["one", "two"], pytest.param(["one", "two", "three"], marks=pytest.mark.slow)],
    ids=len,
)
def test_model_stock_by_row_is_named(tmp_path, parents):
    child = child_of(lambda x: stock_by_row(x("base"), [x(name) for name in parents]), RELATED)
    f = found_in(tmp_path, RELATED, child, parents)
    best = hypothesise(f)[0]
    recipe = best.recipe
    assert (recipe.method, recipe.arithmetic, recipe.base) == ("model_stock", "float32", "base")
    assert recipe.parameters == {"filter_wise": True}
    assert recipe.parents_added == tuple(parents)
    assert best.share > 0.999
    assert best.decoy_share < 0.1
    assert "filter_wise: true" in to_mergekit(recipe)
    assert set(recipe.matrices) == set(SMALL)
    assert same_when_read_again(recipe, f)
