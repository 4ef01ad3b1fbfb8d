"""What is judged, before anything is looked for."""

from dataclasses import FrozenInstanceError

import pytest
from conftest import family_path
from parentage.align import align
from parentage.checkpoint import open_all
from parentage.stream import Options
from parentage.verdict import TraceInputs


def test_a_case_without_a_search_has_no_recipes():
    inputs = open_all(family_path("child"), family_path("base"), [family_path("parent")], [])
    options = Options(1)
    case = TraceInputs(inputs, align(inputs.child, inputs.others), options)
    assert case.estimates is None
    assert list(case.hypotheses) == list(case.replays) == []
    assert case.alignment.plan.columns == 3
    with pytest.raises(FrozenInstanceError):
        case.options = Options(2)
