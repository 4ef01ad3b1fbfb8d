"""Numbers by row or column of a tensor."""

import numpy as np
import pytest
from common.families import F64, blend, found_in
from common.families import FAMILY as PLAIN
from common.spheres import FAMILY, SMALL, child_of, turned_from
from parentage.align import Slice
from parentage.hypothesise.recognise.by_row import (
    COLUMNS,
    ROWS,
    admitted,
    by_slice,
    length,
    products,
    spread,
    telling,
    vectors,
    worth_it,
)


def slice_of(*shape):
    elements = int(np.prod(shape))
    return Slice("model.layers.0.mlp.w", "mlp", 0, None, shape, "BF16", elements, ())


@pytest.fixture(scope="module")
def estimates(tmp_path_factory):
    child = child_of(turned_from(None, ["one", "two"], 0.35, -1), FAMILY)
    return found_in(tmp_path_factory.mktemp("rows"), FAMILY, child, ["one", "two"])


@pytest.mark.parametrize(("axis", "count", "each"), [(ROWS, 4, 6), (COLUMNS, 6, 4)])
def test_elements_are_put_together_by_row_or_column(axis, count, each):
    matrix = slice_of(4, 6)
    values = np.arange(48.0).reshape(24, 2)
    found = vectors(matrix, values, axis)
    assert found.shape == (count, each, 2)
    assert length(matrix, axis) == each
    whole = values.reshape(4, 6, 2)
    expected = whole[2] if axis == ROWS else whole[:, 2]
    assert np.array_equal(found[2], expected)
    gram = products(matrix, values, axis)
    assert gram[2] == pytest.approx(expected.T @ expected)


def test_a_tensor_of_one_axis_is_one_vector():
    assert length(slice_of(7), ROWS) == length(slice_of(7), COLUMNS) == 7
    assert vectors(slice_of(7), np.ones((7, 2)), COLUMNS).shape == (1, 7, 2)


@pytest.mark.parametrize("axis", [ROWS, COLUMNS])
def test_factors_spread_a_number_over_its_vector(axis):
    count = 4 if axis == ROWS else 6
    left, right = spread(slice_of(4, 6), np.arange(float(count)), axis)
    expected = np.arange(float(count))
    whole = expected[:, None] if axis == ROWS else expected[None, :]
    assert np.array_equal(left @ right, np.broadcast_to(whole, (4, 6)))
    left, right = spread(slice_of(5), np.array([3.0]), axis)
    assert (left @ right).tolist() == [[3.0] * 5]


def test_columns_of_more_than_two_axes_have_no_factors():
    assert spread(slice_of(2, 3, 4), np.ones(12), COLUMNS) is None
    left, right = spread(slice_of(2, 3, 4), np.arange(6.0), ROWS)
    assert (left @ right).shape == (6, 4)


def test_the_smallest_large_matrix_is_read_first_if_no_blend_explains_all(estimates, tmp_path):
    index = telling(estimates)
    sizes = [x.elements for x in estimates.slices if len(x.shape) == 2]
    assert estimates.slices[index].elements == min(sizes)
    assert worth_it(estimates)
    child = blend(PLAIN, {"one": 0.6})
    assert not worth_it(found_in(tmp_path, PLAIN, child, ["one"]))


def test_every_slice_has_the_numbers_of_its_elements(estimates):
    def first(slice_, values):
        return vectors(slice_, values[:, :1], ROWS)[:, 0, 0]

    found = dict(by_slice(estimates, (1,), first, ROWS))
    assert set(found) == set(SMALL)
    for name, (left, right) in found.items():
        rows = np.atleast_2d(FAMILY["one"][name].astype(F64))
        assert np.array_equal(left @ right, np.broadcast_to(rows[:, :1], rows.shape))


def test_cells_admit_what_rounds_to_the_child(estimates):
    child = np.array([1.0, 1.0, 1.0, -2.0])
    predicted = np.array([1.0, 1.001, 1.1, -2.001])
    assert admitted(estimates, child, predicted) == 0.75
