"""Values decide between orders if they are clear, and else nothing is decided."""

import numpy as np
import pytest
from conftest import opened
from parentage.align.deciding import Question, clearest, decided
from parentage.align.layouts.strides import Piece, Reading, transposed

PLAIN = Reading((Piece("a", 0, (24, 24)),))
TURNED = Reading((transposed("a", (24, 24)),), "transposed")


def asked(tmp_path, mine, theirs, *, documented=False, dtype=np.float32):
    one = opened(tmp_path, "one", {"a": mine.astype(dtype)})
    two = opened(tmp_path, "two", {"b": theirs.astype(dtype)})
    question = Question("a", one.tensors["a"], [PLAIN, TURNED], [two.tensors["b"]], documented)
    return decided(one, two, [question])[0]


def noise(seed):
    return np.random.default_rng(seed).normal(0, 1, (24, 24))


@pytest.mark.parametrize("size", [0.0, 0.3])
def test_the_likest_order_is_taken(tmp_path, size):
    x = noise(1)
    assert asked(tmp_path / "a", x + size * noise(2), x) == PLAIN
    assert asked(tmp_path / "b", x.T + size * noise(2), x) == TURNED


def test_strangers_are_in_no_order_but_a_documented_one(tmp_path):
    assert asked(tmp_path / "a", noise(1), noise(2)) is None
    assert asked(tmp_path / "b", noise(1), noise(2), documented=True) == PLAIN


def test_two_orders_that_are_equally_like_are_not_told_apart(tmp_path):
    x = noise(1)
    assert asked(tmp_path, x, x + x.T) is None


def test_what_is_the_same_in_every_order_is_in_any(tmp_path):
    assert asked(tmp_path, np.ones((24, 24)), noise(1)) == PLAIN


def test_integers_have_no_likeness(tmp_path):
    assert asked(tmp_path, noise(1) * 9, noise(1) * 9, dtype=np.int32) is None


def test_few_elements_have_to_be_more_alike():
    few = np.array([1.0, 2.0, 4.0, 3.0])
    other = np.array([[1.0, 2.5, 3.0, 3.5], [4.0, 3.0, 1.0, 2.0]])
    assert clearest(other, few) is None
    assert clearest(np.array([few, few[::-1]]), few) == 0


def test_a_bias_lies_as_its_matrix_does(tmp_path):
    """Its few elements would not tell."""
    x, bias = noise(1), np.zeros((2, 4))
    bias[0] = 1.0
    one = opened(tmp_path, "one", {"q.weight": x, "q.bias": bias.ravel()})
    two = opened(tmp_path, "two", {"q.weight": x[::-1].copy(), "q.bias": noise(3)[0, :8]})

    def reading(name, rows, shape):
        order = "turned" if rows else ""
        return Reading((Piece(name, 0, shape, rows=rows),), order)

    questions = [
        Question(
            name,
            one.tensors[name],
            [reading(name, (), shape), reading(name, (*reversed(range(shape[0])),), shape)],
            [two.tensors[name]],
            False,
        )
        for name, shape in (("q.weight", (24, 24)), ("q.bias", (8,)))
    ]
    assert [each.order for each in decided(one, two, questions)] == ["turned", "turned"]
