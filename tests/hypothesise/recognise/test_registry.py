"""Every method has a recogniser, and every recogniser a method."""

from parentage.hypothesise import RECOGNISERS
from parentage.methods import METHODS


def test_recognisers_stand_in_the_order_of_the_methods():
    assert list(RECOGNISERS) == list(METHODS)
