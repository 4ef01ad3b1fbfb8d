"""What is gathered has the bits of what is stored, and nothing of it is lost."""

import numpy as np
from conftest import BF16, opened
from parentage.align import UNPAIRED
from parentage.align.orders.gathered import Gather, can_gather, gathered
from parentage.stream import Options, read_elements


def read(checkpoint, name):
    tensor = checkpoint.tensors[name]
    found = read_elements([checkpoint.core], [[tensor.index]], 0, tensor.elements, Options(2))
    return found[:, 0].reshape(tensor.shape)


def test_rows_columns_and_stacks_are_read_in_their_order(tmp_path):
    rng = np.random.default_rng(1)
    tensors = {
        name: rng.normal(size=shape).astype(np.float32).astype(BF16)
        for name, shape in (
            ("a", (6, 5)),
            ("b", (4, 7)),
            ("c", (3, 4, 5)),
            ("d", (6,)),
            ("e", (2, 2)),
        )
    }
    one = opened(tmp_path, "one", tensors)
    gathers = {
        "a": Gather(rows=(3, 3, 0)),
        "b": Gather(columns=(6, 5, 4, 3, 2, 1, 0)),
        "c": Gather(rows=(2, 0, 1)),
        "d": Gather(rows=(5, 4, 3, 2, 1, 0)),
    }
    view = gathered(one, gathers)
    wide = {name: x.astype(float) for name, x in tensors.items()}
    assert np.array_equal(read(view, "a"), wide["a"][[3, 3, 0]])
    assert np.array_equal(read(view, f"{UNPAIRED}a"), wide["a"][[1, 2, 4, 5]])
    assert np.array_equal(read(view, "b"), wide["b"][:, ::-1])
    assert np.array_equal(read(view, "c"), wide["c"][[2, 0, 1]])
    assert np.array_equal(read(view, "d"), wide["d"][::-1])
    assert np.array_equal(read(view, "e"), wide["e"])
    assert set(view.tensors) == {*tensors, f"{UNPAIRED}a"}


def test_columns_that_are_left_out_are_kept_apart(tmp_path):
    one = opened(tmp_path, "one", {"a": np.arange(12, dtype=np.float32).reshape(3, 4)})
    view = gathered(one, {"a": Gather(columns=(2, 0))})
    assert read(view, "a").tolist() == [[2, 0], [6, 4], [10, 8]]
    assert read(view, f"{UNPAIRED}a").tolist() == [[1, 3], [5, 7], [9, 11]]


def test_what_is_gathered_is_not_gathered_again(tmp_path):
    one = opened(tmp_path, "one", {"a": np.zeros((3, 2), np.float32)})
    once = gathered(one, {"a": Gather(rows=(2, 1, 0))})
    assert can_gather(one, one.tensors["a"])
    assert can_gather(once, once.tensors["a"])
    twice = gathered(once, {"a": Gather(rows=(2, 1, 0))})
    assert not can_gather(twice, twice.tensors["a"])


def test_without_any_the_checkpoint_is_as_it_was(tmp_path):
    one = opened(tmp_path, "one", {"a": np.zeros((2, 2), np.float32)})
    assert gathered(one, {}) is one
