"""Recipes tried on the sample."""

from dataclasses import replace

import numpy as np
import pytest
from common.families import FAMILY, SHAPES, found_in, stored
from common.merges import merged
from parentage.hypothesise.recognise.masks.trials import (
    beats_decoys,
    best_of,
    fits,
    in_best_order,
    interpreted_mismatches,
    is_exact,
    mismatches,
    share_of_changed,
)
from parentage.recipe import Ingredient, Recipe

NAMES = ("one", "two", "three")
GOOD = Recipe("linear", tuple(map(Ingredient, NAMES, (0.45, 0.33, 0.22))))
OFF = replace(GOOD, ingredients=tuple(map(Ingredient, NAMES, (0.45, 0.35, 0.2))))


@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    child = merged("linear", "float32", dict(zip(NAMES, (0.45, 0.33, 0.22), strict=True)))
    return found_in(tmp_path_factory.mktemp("trials"), FAMILY, child, NAMES)


def test_mismatches_are_counted_by_slice(estimates):
    found = mismatches(estimates, [GOOD, OFF])
    assert found.shape == (len(SHAPES), 2)
    assert found[:, 0].sum() == 0
    assert found[:, 1].sum() > 0.5 * sum(np.prod(shape) for shape in SHAPES.values())
    assert np.array_equal(interpreted_mismatches(estimates, [GOOD, OFF]), found)


def test_the_best_is_the_first_of_those_as_good(estimates):
    assert best_of(estimates, [OFF, GOOD]) is GOOD
    again = replace(GOOD, equivalents=("x",))
    assert best_of(estimates, [again, GOOD]) is again
    assert best_of(estimates, [OFF]) is OFF
    turned = replace(GOOD, ingredients=GOOD.ingredients[::-1])
    assert best_of(estimates, [OFF, turned]) is turned
    assert is_exact(estimates, GOOD)
    assert not is_exact(estimates, OFF)


def test_the_order_of_three_is_found(estimates):
    turned = replace(GOOD, ingredients=GOOD.ingredients[::-1])
    assert mismatches(estimates, [turned]).sum() > 0
    assert mismatches(estimates, [in_best_order(estimates, turned)]).sum() == 0
    two = replace(GOOD, ingredients=GOOD.ingredients[:2])
    assert in_best_order(estimates, two) is two


def test_what_explains_no_more_than_decoys_is_dropped(estimates):
    assert beats_decoys(estimates, GOOD)
    assert not beats_decoys(estimates, OFF)
    # Any element is one of so many results, whatever the parents are.
    open_ = Recipe("dare_linear", tuple(map(Ingredient, NAMES[:1], (1.0,))), "base")
    assert not beats_decoys(estimates, open_)


def test_programs_that_are_too_long_do_not_fit(estimates):
    assert fits(estimates, GOOD)
    many = Recipe("dare_ties", tuple(Ingredient(name, 0.3) for name in NAMES), "base")
    assert fits(estimates, many)
    most = replace(many, ingredients=many.ingredients * 2)
    assert not fits(estimates, most)


def test_unchanged_elements_are_taken_out_of_shares(tmp_path):
    child = stored(FAMILY["base"])
    half = "model.embed_tokens.weight"
    child[half] = stored(FAMILY["one"])[half]
    f = found_in(tmp_path, FAMILY, child, ["one"])
    equal = f.sample.gram.equal[:, 0].sum() / f.sample.gram.n.sum()
    assert 0.5 < equal < 1.0
    assert share_of_changed(f, 1.0) == 1.0
    assert share_of_changed(f, equal) == pytest.approx(0.0, abs=1e-12)
    assert share_of_changed(f, (1.0 + equal) / 2.0) == pytest.approx(0.5)
