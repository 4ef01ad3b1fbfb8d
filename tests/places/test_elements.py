"""Zeroed, constant, copied, permuted: what is told by numbers that are equal."""

from __future__ import annotations

import numpy as np
import pytest
from common.changes import FLOATS, SHAPE, changed, told, weights
from parentage.places import describe_change

dtypes = pytest.mark.parametrize("dtype", FLOATS)


@dtypes
@pytest.mark.parametrize("share", [0.01, 0.5])
def test_zeros_are_told_by_which_they_are(dtype, share):
    x = weights(dtype)
    rng = np.random.default_rng(3)
    size = np.abs(x)
    at_random = told(np.where(rng.random(SHAPE) < share, 0.0, x), x, dtype)
    assert at_random.kind == "zero"
    assert at_random.text.endswith("of its elements 0")
    smallest = told(np.where(size < np.quantile(size, share), 0.0, x), x, dtype)
    assert smallest.text.endswith("the smallest in magnitude")
    least = np.quantile(size, share, axis=1, keepdims=True)
    by_row = told(np.where(size < least, 0.0, x), x, dtype)
    assert by_row.text.endswith("the smallest of each row")


@dtypes
@pytest.mark.parametrize(("group", "kept"), [(2, 1), (4, 2), (8, 4)])
def test_zeros_that_hardware_wants_are_told(dtype, group, kept):
    x = weights(dtype)
    rank = np.abs(x).reshape(-1, group).argsort(axis=1, kind="stable").argsort(axis=1)
    pruned = np.where(rank < group - kept, 0.0, x.reshape(-1, group)).reshape(x.shape)
    found = told(pruned, x, dtype)
    assert found.kind == "zero"
    assert found.text.endswith(f"the smallest of every {group} in a row")


def test_rows_and_columns_of_zeros_are_named():
    x = weights("BF16")
    rows = told(changed(x, [3, 9], 0.0), x, "BF16")
    assert (rows.kind, rows.text) == ("zero", "2 of its 96 rows (3 and 9) all 0")
    columns = told(changed(x, (slice(None), 4), 0.0), x, "BF16")
    assert columns.text == "1 of its 64 columns (4) all 0"
    assert told(x * 0.0, x, "BF16").text == "all zero"
    assert told(x * 0.0 + 1.0, x, "BF16").text == "1 throughout"


def test_copies_are_named():
    x, y = weights("BF16"), weights("BF16", seed=5)
    whole = told(y, x, "BF16", other=y)
    assert (whole.kind, whole.text) == ("copy", "other's, bit for bit")
    part = told(np.where(np.arange(96)[:, None] < 40, y, x), x, "BF16", other=y)
    assert (part.kind, part.text) == ("copy", "40 of its 96 rows (0 to 39) other's, bit for bit")
    finer = weights("F32", seed=6)
    stored = weights("BF16", seed=6)
    assert told(stored, x, "BF16", other=finer).text == "other's, cast to BF16"


def test_parts_of_several_checkpoints_are_named():
    x, y, z = (weights("BF16", seed=seed) for seed in (0, 5, 6))
    at = np.arange(96)[:, None]
    rows = told(np.where(at < 40, y, np.where(at < 50, z, x)), x, "BF16", y=y, z=z)
    assert rows.text == "40 of its 96 rows (0 to 39) y's and 10 (40 to 49) z's, bit for bit"
    columns = told(np.where(np.arange(64) < 40, y, x), x, "BF16", y=y)
    assert columns.text == "40 of its 64 columns (0 to 39) y's, bit for bit"
    mixed = told(np.where(np.random.default_rng(0).random(SHAPE) < 0.3, y, x), x, "BF16", y=y)
    assert mixed.kind == "copy"
    assert mixed.text.endswith("of its elements y's, bit for bit, here and there")


def test_rows_have_the_numbers_they_have_in_the_slice():
    x = weights("BF16")
    child = changed(x, [3, 9], 0.0).ravel()
    rows = np.arange(1000, 1096)
    change = describe_change(child, x.ravel(), {}, (5000, 64), "BF16", rows=rows)
    assert change.text == "2 of its 96 rows (1003 and 1009) all 0"


@dtypes
def test_another_order_is_told(dtype):
    x = weights(dtype)
    rng = np.random.default_rng(3)
    rows = told(x[rng.permutation(96)], x, dtype)
    assert rows.kind == "permuted"
    assert rows.text.startswith("the same rows in another order")
    columns = told(x[:, rng.permutation(64)], x, dtype)
    assert columns.text.startswith("the same columns in another order")
    anyhow = told(rng.permutation(x.ravel()).reshape(SHAPE), x, dtype)
    assert anyhow.text == "the same numbers in another order"
    signed = told(x[:, rng.permutation(64)] * rng.choice([-1.0, 1.0], (1, 64)), x, dtype)
    assert signed.text.endswith("some with the other sign")
    y = weights(dtype, seed=4)
    assert told(y[::-1], x, dtype, other=y).text.startswith("other's rows in another order")


@dtypes
def test_numbers_of_one_distribution_are_no_permutation(dtype):
    x = weights(dtype, (256, 128))
    y = weights(dtype, (256, 128), seed=1)
    assert told(y, x, dtype).kind == "foreign"
