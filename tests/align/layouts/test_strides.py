"""Strides say transposed, by turns and in pairs, and give the very elements that numpy gives."""

import numpy as np
import pytest
from common.layouts import pairs_of_neighbours
from conftest import opened
from parentage.align.layouts.strides import (
    Composed,
    Piece,
    halves_exchanged,
    heads_of,
    rotary,
    seen,
    strides_of,
    transposed,
)
from parentage.align.orders.reading import runs
from parentage.checkpoint import Tensor
from parentage.stream import Options


def carried_out(tmp_path, tensor, piece):
    """Return the elements of a piece of a tensor."""
    found = opened(tmp_path, "one", {"a": tensor})
    composed = Composed(found)
    composed.add(found.tensors["a"], piece, "b")
    view = composed.view()
    assert view.tensors["b"].shape == piece.shape
    return runs(view, [(0, 0)], view.elements, Options(1)).reshape(piece.shape)


X = np.arange(4 * 6, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4), (1, 24), (24, 1)])
def test_matrices_and_stacks_are_transposed(tmp_path, shape):
    x = X.reshape(shape)
    assert np.array_equal(carried_out(tmp_path, x, transposed("a", shape)), x.swapaxes(-1, -2))


def test_what_follows_one_another_needs_no_coding():
    assert transposed("a", (1, 5)) == Piece("a", 0, (5, 1))
    assert Piece("a", 3, (2, 2), (2, 2), strides_of((2, 2))).simplest == Piece("a", 3, (2, 2))


def test_halves_change_places(tmp_path):
    piece = halves_exchanged("a", X.shape).pieces[0]
    assert np.array_equal(carried_out(tmp_path, X, piece), np.concatenate([X[2:], X[:2]]))


def test_rotary_pairs_go_both_ways(tmp_path):
    x = np.arange(16 * 3, dtype=np.float32).reshape(16, 3)
    found = [
        carried_out(tmp_path, pairs_of_neighbours(x, 8), r.pieces[0]) for r in rotary("q", x.shape)
    ]
    assert any(np.array_equal(each, x) for each in found)
    found = [carried_out(tmp_path, x, r.pieces[0]) for r in rotary("q", x.shape)]
    assert any(np.array_equal(each, pairs_of_neighbours(x, 8)) for each in found)


def test_heads_are_even_and_large_ones_are_multiples_of_eight():
    assert 64 in heads_of(4096)
    assert 80 in heads_of(2560)
    assert not list(heads_of(7))
    assert all(4096 % head == 0 for head in heads_of(4096))


def test_all_of_a_tensor_of_less_than_a_byte_an_element_stays_as_it_is():
    tensor = Tensor(0, "a", "F4", (2, 4), 0, 100, 104)
    found, coding = seen(tensor, Piece("b", 0, (8,)), "b", 1)
    assert (found, coding) == (tensor._replace(name="b", shape=(8,)), None)


def test_a_view_is_composed_of_pieces_and_of_what_stays(tmp_path):
    found = opened(tmp_path, "one", {"a": X, "b": X + 1.0})
    composed = Composed(found)
    composed.add(found.tensors["a"], transposed("t", X.shape), "t")
    composed.add(found.tensors["a"], Piece("row", 6, (6,)), "row")
    composed.add(found.tensors["b"], Piece("turned", 0, X.shape, rows=(3, 2, 1, 0)), "turned")
    composed.keep(found.tensors["b"])
    view = composed.view()
    expected = {"b": X + 1.0, "row": X[1], "t": X.T, "turned": X[::-1] + 1.0}
    assert list(view.tensors) == list(expected)
    for index, (name, values) in enumerate(expected.items()):
        elements = runs(view, [(index, 0)], values.size, Options(1))
        assert np.array_equal(elements.reshape(values.shape), values), name
