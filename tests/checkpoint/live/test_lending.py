"""The tensors of a mapping: lent, or refused by name."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parentage.checkpoint import Checkpoint
from parentage.checkpoint.live.lending import lend
from parentage.support import CheckpointError


def refused(tensors):
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open(tensors)
    said = str(caught.value)
    assert said.isprintable()
    assert said.startswith("in memory: ")
    return said


class Broken(Mapping):
    """A mapping that raises."""

    def __init__(self, error, after=0):
        self.error, self.after = error, after

    def __getitem__(self, name):
        raise self.error

    def __len__(self):
        return 1

    def __iter__(self):
        yield from ()
        raise self.error


class Unspoken:
    """What can not even be shown."""

    def __repr__(self):
        raise RuntimeError("no")


def test_names_dtypes_and_what_keeps_them_are_told():
    tensors = {"b": np.ones(3, np.float32), "a": np.ones((2, 2), np.int8)}
    lending = lend("x", tensors)
    assert [(name, dtype) for name, dtype, _, _ in lending.tensors] == [("b", "F32"), ("a", "I8")]
    assert lending.left == ()


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "there is no tensor in it"),
        ({1: np.ones(2)}, "names of tensors are text, and 1 is of type int"),
        ({None: np.ones(2)}, "None is of type NoneType"),
        ({b"a": np.ones(2)}, "is of type bytes"),
        ({("a", "b"): np.ones(2)}, "is of type tuple"),
        ({"\ud800": np.ones(2)}, "no Unicode text"),
        ({"__metadata__": np.ones(2)}, "no tensor of a checkpoint is called so"),
        ({"a": 1.0}, 'tensor "a": it is no tensor, but of type builtins.float'),
        ({"a": None}, "NoneType"),
        ({"a": [1.0, 2.0]}, "builtins.list"),
        ({"a": np.float32(1.0)}, "of type numpy.float32: give numpy.asarray of it"),
        ({"a": Unspoken()}, "Unspoken"),
        ({"model": {"a.weight": np.ones(2)}}, "is a mapping itself, of 'a.weight': give the one"),
        ({"model": {}}, "is a mapping itself, of nothing"),
        ({"a\x1b[2J": np.zeros(2, object)}, "dtype object"),
        ({"a": np.zeros(2, ">f4")}, 'tensor "a": it is big-endian'),
        ({"x" * 5000: None}, "..."),
    ],
)
def test_what_is_no_tensor_or_no_name_is_refused_by_name(tensors, said):
    assert said in refused(tensors)


@pytest.mark.parametrize(
    "error", [KeyError("gone"), RuntimeError(), ValueError("a\nb\x1b[2J"), OSError(5, "no")]
)
def test_a_mapping_that_raises_is_an_error_of_ours(error):
    said = refused(Broken(error))
    assert f"the mapping raised {type(error).__name__}" in said


def test_who_stops_a_mapping_is_not_kept():
    with pytest.raises(KeyboardInterrupt):
        Checkpoint.open(Broken(KeyboardInterrupt()))


def test_states_of_modules_that_are_no_tensors_are_told_and_left():
    tensors = {
        "a.weight": np.ones((2, 2), np.float32),
        "a._extra_state": b"12",
        "b._extra_state": {},
    }
    opened = Checkpoint.open(tensors, "live")
    assert list(opened.tensors) == ["a.weight"]
    (remark,) = opened.remarks
    assert remark == ('Of live, "a._extra_state" and "b._extra_state" took no part, as no tensors.')
    # One that is a tensor is one.
    assert len(Checkpoint.open({"a._extra_state": np.ones(3, np.uint8)}).tensors) == 1
    assert "no tensor" in refused({"a.state": b"12"})


def test_endless_mappings_end(monkeypatch):
    class Endless(Broken):
        def __getitem__(self, name):
            return np.ones(1, np.float32)

        def __iter__(self):
            number = 0
            while True:
                yield f"{number}"
                number += 1

    monkeypatch.setattr("parentage.checkpoint.live.lending.MOST_TENSORS", 1000)
    assert "more than 1,000 tensors" in refused(Endless(None))


VALUES = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
    st.sampled_from([np.ones(3, np.float32), np.ones((2, 0), np.int8), np.zeros(1, object)]),
)  # fmt: skip
NAMES = st.one_of(st.text(max_size=5), st.integers(), st.none(), st.binary(max_size=2))


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_mapping_is_opened_or_an_error_of_ours(tensors):
    try:
        opened = Checkpoint.open(tensors)
    except CheckpointError as error:
        assert str(error).isprintable()
    else:
        assert set(opened.tensors) <= set(tensors)
