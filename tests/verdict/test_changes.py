"""What was done where a child is not what it is said to be."""

import numpy as np
import pytest
from conftest import BF16, family_path, load, write_checkpoint
from parentage.align import align
from parentage.checkpoint import open_all
from parentage.hypothesise import SampleEstimates
from parentage.statistics import full_pass
from parentage.stream import Options
from parentage.verdict.changes import changes_from, share_of


class Told:
    """A change, as far as shares look at it."""

    def __init__(self, kind):
        self.kind = kind


def test_shares_are_of_the_elements_of_slices_that_were_changed():
    changes = (("a", 30, Told("zero")), ("b", 10, Told("noise")), ("c", 60, Told("none")))
    assert share_of(changes, "zero") == 0.75
    assert share_of(changes, "zero", "noise") == 1.0
    assert share_of(changes, "scaled") == 0.0
    assert share_of(changes[2:], "none") == share_of((), "zero") == 0.0


@pytest.fixture
def changes(tmp_path):
    child = load(family_path("base"))
    names = sorted(child, key=lambda name: -child[name].size)[:2]
    for name in names:
        child[name] = np.zeros_like(child[name], BF16)
    inputs = open_all(write_checkpoint(tmp_path / "child", child), family_path("base"), [], [])
    alignment, options = align(inputs.child, inputs.others), Options(1)
    statistics = full_pass(alignment, inputs.columns, options)
    view = SampleEstimates(alignment, inputs.columns, options)
    return changes_from(view, statistics, None), names, child


def test_slices_that_are_not_equal_are_looked_at_the_largest_first(changes):
    changed, names, child = changes
    found = changed("base", 12)
    assert {name for name, _, _ in found} == set(names)
    sizes = [size for _, size, _ in found]
    assert sizes == sorted(sizes, reverse=True) == [child[name].size for name, _, _ in found]
    assert len(changed("base", 1)) == 1
    # Without a recipe there is nothing that one leaves.
    assert changed(None, 12) == ()
