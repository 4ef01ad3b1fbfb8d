"""Which elements are read to measure."""

import pytest
from conftest import family_path
from parentage.bench.plans import SAMPLE_ELEMENTS, SAMPLE_SLICES, plan_reading
from parentage.bench.synthetic import TENSORS, WIDTHS, make_family
from parentage.checkpoint import Checkpoint


def opened(*names):
    return [Checkpoint.open(family_path(name)) for name in names]


def test_there_is_a_plan_for_some_numbers_of_parents_and_for_all_of_them():
    plans = plan_reading(opened("base", "parent", "sibling", "grandchild", "child"), 1 << 30)
    assert list(plans.by_parents) == [1, 2, 3]
    assert plans.one_parent is plans.by_parents[1]
    assert plans.all_parents is plans.by_parents[3]


def test_all_plans_are_of_the_same_slices():
    plans = plan_reading(opened("base", "parent", "sibling", "child"), 1 << 30)
    assert {plan.slices for plan in plans.by_parents.values()} == {23}
    # Base, parents and child are of one size.
    for parents, plan in plans.by_parents.items():
        assert plan.bytes(0, 23) == (parents + 2) * 588_976
    assert plans.bytes == 4 * 588_976


@pytest.mark.parametrize("size", [1, 100_000, 1_000_000])
def test_slices_are_read_in_order_up_to_a_size_and_one_at_least(size):
    plan = plan_reading(opened("base", "parent", "child"), size).one_parent
    assert plan.slices == 1 or plan.bytes(0, plan.slices) <= size
    whole = plan_reading(opened("base", "parent", "child"), 1 << 30).one_parent
    assert plan.bytes(0, plan.slices) == whole.bytes(0, plan.slices)
    assert whole.bytes(0, plan.slices + 1) > size


def test_the_sample_is_the_first_elements_of_the_first_slices_of_all_checkpoints(tmp_path):
    paths = make_family(tmp_path, "F32", 2, 1 << 22, 1)
    plans = plan_reading([Checkpoint.open(path) for path in paths], 1 << 30)
    slices = min(TENSORS, SAMPLE_SLICES)
    assert plans.all_parents.bytes(0, 1) > 4 * WIDTHS["F32"] * SAMPLE_ELEMENTS
    assert plans.sample.slices == slices
    assert plans.sample.bytes(0, slices) == slices * 4 * WIDTHS["F32"] * SAMPLE_ELEMENTS
