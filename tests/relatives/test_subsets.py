"""The smallest blend that explains, what is a blend of others, and where lines meet."""

import numpy as np
import pytest
from parentage.relatives.subsets import (
    best_blend,
    combination,
    derived,
    meeting,
    same_numbers,
    seen_from,
)

N, TENSORS = 4096, 4


@pytest.fixture
def drawn():
    """A base, four independent trainings of it, and a draw."""
    draw = np.random.default_rng(7)
    base = draw.normal(size=(TENSORS, N))
    return draw, base, [base + 0.1 * draw.normal(size=(TENSORS, N)) for _ in range(4)]


def rounded(values, unit=1e-3):
    return np.round(values / unit) * unit


def grams(child, others):
    differences = np.stack([other - child for other in others])
    return np.einsum("ktn,ltn->tkl", differences, differences)


FLOOR = TENSORS * N * 1e-6 / 12


def test_the_two_of_which_it_is_made_are_found_among_siblings(drawn):
    _, base, tuned = drawn
    child = rounded(0.6 * tuned[1] + 0.4 * base)
    found = best_blend(grams(child, [*tuned, base]), FLOOR, TENSORS * N)
    assert found.members == (1, 4)
    assert found.weights == pytest.approx((0.6, 0.4), abs=1e-3)
    assert found.is_good
    assert 0.9 < found.floors < 1.1
    assert found.log10_p < -1000
    assert found.tried == 5 + 10 + 10


def test_weights_for_each_layer_are_found_as_well(drawn):
    _, base, tuned = drawn
    share = np.linspace(0.1, 0.9, TENSORS)[:, None]
    child = rounded(share * tuned[0] + (1 - share) * base)
    found = best_blend(grams(child, [*tuned, base]), FLOOR, TENSORS * N)
    assert set(found.members) == {0, 4}
    assert found.is_good


def test_three_are_named_where_three_are_needed(drawn):
    _, base, tuned = drawn
    child = base + 0.7 * (tuned[0] - base) + 0.4 * (tuned[2] - base)
    found = best_blend(grams(rounded(child), [*tuned, base]), FLOOR, TENSORS * N)
    assert set(found.members) == {0, 2, 4}
    assert sum(found.weights) == pytest.approx(1.0)


def test_a_sibling_is_no_blend_of_siblings(drawn):
    draw, base, tuned = drawn
    child = rounded(base + 0.1 * draw.normal(size=base.shape))
    found = best_blend(grams(child, tuned), FLOOR, TENSORS * N)
    assert not found.is_good
    found = best_blend(grams(child, [*tuned, base]), FLOOR, TENSORS * N)
    assert found.members == (4,)
    assert not found.is_good


def test_one_alone_and_its_copy_are_no_blend(drawn):
    _, base, _ = drawn
    assert best_blend(grams(base, [base]), FLOOR, TENSORS * N).members == (0,)
    assert best_blend(grams(base, [base + 1.0, base]), FLOOR, TENSORS * N).members == (1,)


def test_blends_are_told_from_what_they_are_blends_of(drawn):
    base, *tuned = map(rounded, [drawn[1], *drawn[2]])
    one = rounded(0.6 * tuned[0] + 0.4 * base)
    two = rounded(base + 0.7 * (tuned[0] - base) + 0.4 * (tuned[1] - base))
    others = [base, *tuned, one, two]
    assert derived(grams(others[3], others), FLOOR) == [5, 6]


def test_copies_are_grouped_up_to_what_a_cast_loses(drawn):
    _, base, tuned = drawn
    others = [base, tuned[0], base + 1e-6, tuned[0] + 1e-3]
    gram = grams(tuned[1], others).sum(axis=0)
    assert same_numbers(gram, FLOOR) == [[0, 2], [1], [3]]


def test_lines_meet_at_the_base_and_nowhere_if_it_is_not_there(drawn):
    _, base, tuned = drawn
    child, *others = tuned
    found = meeting(grams(child, [*others, base]).sum(axis=0))
    assert (found.members, found.is_decided) == ((3,), True)
    assert found.cosine < 0.05
    left = meeting(grams(child, others).sum(axis=0))
    assert not left.is_decided
    assert meeting(grams(child, others[:2]).sum(axis=0)) is None


def test_two_at_one_place_leave_it_open(drawn):
    draw, base, tuned = drawn
    near = base + 1e-4 * draw.normal(size=base.shape)
    found = meeting(grams(tuned[0], [*tuned[1:], base, near]).sum(axis=0))
    assert set(found.members) == {3, 4}
    assert not found.is_decided


def test_products_seen_from_another_are_those_of_its_differences(drawn):
    _, base, tuned = drawn
    found = seen_from(grams(tuned[0], [base, *tuned]), 0)
    np.testing.assert_allclose(found, grams(base, [base, *tuned]), atol=1e-9)


def test_weights_have_the_sum_one_where_checkpoints_are_the_same():
    weights = combination(np.ones((2, 2)), (0, 1))
    assert weights.sum() == pytest.approx(1.0)


def test_what_lies_amid_fine_tunes_of_its_own_is_no_blend_of_them(drawn):
    draw, base, _ = drawn
    around = [rounded(base + 1e-3 * draw.normal(size=base.shape)) for _ in range(6)]
    assert derived(grams(around[0], [rounded(base), *around]), FLOOR) == []
