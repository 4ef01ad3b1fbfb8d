"""What a recogniser is: two functions, of which the second may be missing."""

from dataclasses import FrozenInstanceError

import pytest
from common.families import FAMILY, found_in, stored
from parentage.hypothesise import RECOGNISERS, Recogniser


def test_refining_may_be_missing_and_nothing_changes_later():
    recogniser = Recogniser(lambda _: iter(()))
    assert recogniser.refine is None
    with pytest.raises(FrozenInstanceError):
        recogniser.refine = lambda _, recipe: recipe


@pytest.mark.parametrize("name", RECOGNISERS)
def test_recipes_are_of_the_method_that_the_recogniser_is_of(tmp_path, name):
    f = found_in(tmp_path, FAMILY, stored(FAMILY["other"]), ["one", "two"])
    assert {recipe.method for recipe in RECOGNISERS[name].estimate(f)} <= {name}
