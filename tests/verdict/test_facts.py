"""What follows from facts."""

import pytest
from common.facts import ABOVE
from parentage.verdict import Thresholds, origin

pytestmark = pytest.mark.levels


def test_an_origin_is_much_nearer_than_the_base():
    limit = Thresholds().origin
    assert origin("b", ["p", "q"], {"b": 1.0, "p": limit, "q": 0.9}) == "p"
    assert origin("b", ["p", "q"], {"b": 1.0, "p": limit * ABOVE, "q": 0.9}) == "b"
    assert origin("b", ["p"], {"b": 0.0, "p": 0.0}) == "b"
    assert origin("b", [], {"b": 1.0}) == "b"
