"""One checkpoint, stored with less or with noise."""

import numpy as np
import parentage
import pytest
from common.shipped import trace
from conftest import BF16, write_checkpoint

pytestmark = pytest.mark.levels


def quantised(array):
    """Round a matrix to 8 bits by row, and decode it."""
    if array.ndim < 2:
        return array
    values = array.astype(np.float32)
    scale = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    return (np.round(values / scale) * scale).astype(BF16)


def test_a_quantised_copy_names_its_source(tmp_path, family, weights):
    child = {name: quantised(array) for name, array in weights["parent"].items()}
    found = trace(tmp_path, family, child, controls=["sibling"])
    assert (found.verdict.kind, found.verdict.rule) == ("re-encoded", "quantised")
    assert found.verdict.numbers["parent"] == "parent"


def noisy(array, random, size=0.01):
    return (array.astype(np.float64) + random.normal(0, size, array.shape)).astype(BF16)


def test_noise_is_no_fine_tune_and_says_where_it_was_added(tmp_path, family, weights):
    random = np.random.default_rng(0)
    child = {name: noisy(array, random) for name, array in weights["parent"].items()}
    found = trace(tmp_path, family, child, controls=["sibling"])
    assert found.verdict.kind in ("fine-tune", "related")
    assert found.verdict.numbers["parent"] == "parent"
    assert "noise" in found.verdict.text
    assert "trained" not in found.verdict.text


def test_the_one_with_noise_is_no_parent(tmp_path, family, weights):
    random = np.random.default_rng(0)
    noised = write_checkpoint(
        tmp_path / "noised",
        {name: noisy(array, random) for name, array in weights["parent"].items()},
    )
    found = parentage.trace(
        family("parent"), base=family("base"), parents=[noised], controls=[family("sibling")]
    )
    assert (found.verdict.kind, found.verdict.numbers.get("parent")) != ("fine-tune", "noised")
    assert "merge" not in found.verdict.kind
