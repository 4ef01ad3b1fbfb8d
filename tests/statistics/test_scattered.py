"""Scattered elements lie all over a slice, and stand for all of it."""

import ml_dtypes
import numpy as np
import pytest
from common.alignments import aligned
from conftest import opened
from hypothesis import given
from hypothesis import strategies as st
from parentage import _core
from parentage.statistics import rounded_as, scatter
from parentage.statistics.scattered import LEAST, RUN, places
from parentage.stream import Options

BF16 = ml_dtypes.bfloat16


@given(st.integers(0, 1 << 22), st.integers(1, 1 << 12))
def test_places_lie_in_their_slice_and_apart(elements, most):
    found = places(elements, most)
    assert sum(count for _, count in found) <= max(most, 1)
    end = 0
    for start, count in found:
        assert start >= end and count > 0
        end = start + count
    assert end <= elements
    if elements <= most:
        assert sum(count for _, count in found) == elements
    else:
        assert len(found) == most // min(RUN, most)


def test_places_meet_all_columns_of_a_matrix():
    columns = 1024
    met = {start % columns * 16 // columns for start, _ in places(1024 * columns, 1 << 13)}
    assert met == set(range(16))


@pytest.fixture
def random():
    return np.random.default_rng(1)


def test_a_small_slice_is_read_whole_and_a_large_one_stands_for_itself(tmp_path, random):
    large, small = random.normal(size=(3, 200, 100)), random.normal(size=(3, 7))
    tensors = [
        {"large": a.astype(np.float32), "small": b.astype(np.float32)}
        for a, b in zip(large, small, strict=True)
    ]
    alignment = aligned(tmp_path, tensors[-1], *tensors[:-1])
    found = scatter(alignment, Options(1), budget=2000)
    names = [each.name for each in alignment.slices]
    held = [found.stands_for[found.owner == names.index(name)] for name in ("large", "small")]
    assert len(held[1]) == 7 and set(held[1]) == {1.0}
    assert 500 < len(held[0]) <= 1000
    assert held[0].sum() == pytest.approx(20_000)


def test_numbers_that_are_not_finite_are_left_out(tmp_path, random):
    arrays = random.normal(size=(3, LEAST)).astype(np.float32)
    arrays[1, 3], arrays[2, 5] = np.nan, np.inf
    alignment = aligned(tmp_path, {"x": arrays[2]}, {"x": arrays[0]}, {"x": arrays[1]})
    assert len(scatter(alignment, Options(1)).elements) == LEAST - 2


def test_inner_products_by_blocks_of_columns_add_up(tmp_path, random):
    arrays = random.normal(size=(3, 40, 64)).astype(np.float32)
    alignment = aligned(tmp_path, {"x": arrays[2]}, {"x": arrays[0]}, {"x": arrays[1]})
    inner, squares = scatter(alignment, Options(1)).across
    products = np.prod([arrays[i].astype(float) - arrays[0] for i in (1, 2)], axis=0)
    blocks = products.reshape(40, _core.BLOCKS, -1).sum(axis=(0, 2))
    assert inner[0, 0] == pytest.approx(blocks.sum())
    assert squares[0, 0] == pytest.approx((blocks**2).sum())


def test_nothing_is_read_of_nothing(tmp_path):
    empty = {"x": np.zeros((0, 4), np.float32)}
    child = opened(tmp_path, "child", {**empty, "y": np.ones(3, np.float32)})
    assert child.tensors
    alignment = aligned(
        tmp_path / "others",
        empty | {"y": np.ones(3, np.float32)},
        *2 * [empty | {"y": np.zeros(3, np.float32)}],
    )
    assert len(scatter(alignment, Options(1)).elements) == 3


def test_what_was_rounded_narrower_is_told_by_its_bits(tmp_path, random):
    arrays = random.normal(size=(2, 50)).astype(BF16).astype(np.float32)
    alignment = aligned(tmp_path, {"x": arrays[1]}, {"x": arrays[0]})
    assert rounded_as(alignment.slices, np.array([7], np.uint64)) == ["BF16"]
    assert rounded_as(alignment.slices, np.array([8], np.uint64)) == ["F16"]
    assert rounded_as(alignment.slices, np.array([23], np.uint64)) == ["F32"]


def test_nothing_is_read_but_the_beginnings_of_runs_that_were(tmp_path):
    values = {f"w{i}": np.arange(4096, dtype=np.float32).reshape(64, 64) for i in range(3)}
    alignment = aligned(tmp_path, values, values)
    where = [(2, 100, 500), (0, 0, 4096)]
    scattered = scatter(alignment, Options(1), budget=64 * 10, where=where)
    assert scattered.owner.tolist() == [0] * 10 + [2] * 10
    assert scattered.elements[:, -1].tolist() == [*range(10), *range(100, 110)]
    assert scattered.stands_for.tolist() == [409.6] * 20
