"""One checkpoint, stored with less or with noise."""

import numpy as np
import parentage
import pytest
from common.shipped import each, trace
from conftest import BF16, write_checkpoint
from parentage.places import cast

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


def coarse(array):
    """Cast a matrix to eight bits and back."""
    return array if array.ndim < 2 else cast(array.astype(np.float64), "F8_E4M3").astype(BF16)


@pytest.mark.parametrize("weight", [0.6, 0.37, 0.613])
@pytest.mark.parametrize("how", [quantised, coarse])
def test_a_merge_that_was_quantised_and_decoded_is_told_with_its_weights(
    tmp_path, family, weights, weight, how
):
    def made(parent, base):
        return weight * parent + (1 - weight) * base

    merged = each(made, weights["parent"], weights["base"])
    child = {name: how(array) for name, array in merged.items()}
    found = trace(tmp_path, family, child, controls=["sibling"])
    assert (found.verdict.kind, found.verdict.rule) == ("merge-then-changed", "retold")
    assert abs(found.verdict.numbers["weight_parent"] - weight) <= 0.002


@pytest.mark.parametrize("size", [0.0, 0.002])
def test_a_parent_made_from_a_quantised_child_frames_nobody(tmp_path, family, weights, size):
    child = {name: coarse(array) for name, array in weights["sibling"].items()}
    random = np.random.default_rng(0)

    def back(mine, base):
        noise = size * np.abs(mine) * random.normal(size=mine.shape)
        return (mine - 0.4 * base) / 0.6 + noise

    framed = write_checkpoint(tmp_path / "framed", each(back, child, weights["base"]))
    found = trace(tmp_path, family, child, parents=[framed])
    assert not found.verdict.kind.startswith("merge")
    assert found.verdict.kind != "re-encoded"


@pytest.mark.parametrize("how", [quantised, coarse])
def test_a_sibling_quantised_is_no_blend_that_was(tmp_path, family, weights, how):
    child = {name: how(array) for name, array in weights["sibling"].items()}
    found = trace(tmp_path, family, child)
    assert not found.verdict.kind.startswith("merge")


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


NEURONS = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def of_neurons(array, name, change):
    """Change rows of what neurons are computed from, and columns of what they go into."""
    if "down_proj" in name:
        return change(array.T).T
    return change(array) if any(each in name for each in NEURONS) else array


@pytest.mark.parametrize("how", ["moved", "rescaled"])
def test_a_copy_whose_numbers_were_moved_or_rescaled_is_no_blend(tmp_path, family, weights, how):
    rng = np.random.default_rng(2)
    order = rng.permutation(280)
    factors = np.exp2(rng.integers(-2, 3, 280)).astype(np.float32)

    def change(array):
        if how == "moved":
            return array[order]
        return (array.astype(np.float32) * factors[:, None]).astype(BF16)

    child = {name: of_neurons(x, name, change) for name, x in weights["parent"].items()}
    found = trace(tmp_path, family, child, controls=["sibling"])
    assert not found.verdict.kind.startswith("merge")
    assert found.verdict.kind != "fine-tune"
    assert found.verdict.numbers.get("parent", "parent") == "parent"
