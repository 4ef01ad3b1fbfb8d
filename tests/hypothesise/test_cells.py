"""Cells: the weights of families made here are found again from what rounding left of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common.families import (
    F32,
    F64,
    FAMILY,
    SHAPES,
    Array,
    Tensors,
    blend,
    found_in,
    made,
    weighted,
)
from conftest import BF16
from parentage.hypothesise import WINDOW, Located, Peaks, locate, peaks, pooled
from parentage.sample import SearchSample


def sampled(
    folder: Path, child: Tensors, parents: Sequence[str], family: Any = None
) -> SearchSample:
    return found_in(folder, family or FAMILY, child, parents).sample


def peak(sample: SearchSample, axis: int = 1, **options: Any) -> Peaks:
    weights = np.zeros((len(sample.slices), sample.columns - 1))
    return peaks(sample, weights, axis, groups_of(sample), **options)


def groups_of(sample: SearchSample) -> Array:
    return np.zeros(len(sample.slices), dtype=np.intp)


def located(
    sample: SearchSample, start: Sequence[float], axes: list[int], **options: Any
) -> Located:
    return locate(sample, np.array([start]), axes, groups_of(sample), **options)


def ols(child: Tensors, family: Mapping[str, Tensors], parent: str) -> float:
    above = below = 0.0
    for tensor, base in family["base"].items():
        delta = (family[parent][tensor].astype(F64) - base).ravel()
        above += float(delta @ (child[tensor].astype(F64) - base).ravel())
        below += float(delta @ delta)
    return above / below


@pytest.mark.parametrize("weight", [0.6, 0.5714, 4 / 7, -0.25, 1.4, 0.123456])
def test_the_weight_of_a_merge_is_the_peak(tmp_path, weight):
    sample = sampled(tmp_path, blend(FAMILY, {"one": weight}), ["one"])
    found = peak(sample)
    assert found.share[0] == found.narrow[0] == found.pooled == 1.0
    assert abs(found.weight[0] - weight) <= found.half_width[0] + 1e-12
    assert found.half_width[0] < 2e-5
    moved = sum(int((FAMILY["one"][t] != FAMILY["base"][t]).sum()) for t in SHAPES)
    assert found.intervals[0, 0] == moved
    assert 0 < found.intervals[0, 1] < moved
    assert found.fixed[0].tolist() == [int(sample.counts.sum()) - moved] * 2


def test_cells_are_right_where_least_squares_is_not(tmp_path):
    family = made({"one": 1.2e-4})
    child = blend(family, {"one": 0.6})
    assert ols(child, family, "one") > 0.7
    found = peak(sampled(tmp_path, child, ["one"], family))
    assert abs(found.weight[0] - 0.6) <= found.half_width[0] < 1e-2
    assert found.share[0] == 1.0


def test_half_of_each_lies_on_ties_and_closed_cells_hold_them(tmp_path):
    child = blend(FAMILY, {"one": 0.5})
    found = peak(sampled(tmp_path, child, ["one"]))
    assert abs(found.weight[0] - 0.5) < 1e-6
    assert found.share[0] > 0.99
    # Many elements are the middle of two numbers of bf16 exactly: open cells would lose them.
    ties = elements = 0
    for tensor, base in FAMILY["base"].items():
        middle = (base.astype(F64) + FAMILY["one"][tensor]) / 2.0
        error = np.abs(middle - child[tensor].astype(F64))
        bits = child[tensor].view(np.uint16)
        beyond = np.stack([(bits + np.uint16(1)).view(BF16), (bits - np.uint16(1)).view(BF16)])
        half = np.abs(beyond.astype(F64) - child[tensor].astype(F64)) / 2.0
        ties += int((error == half).any(axis=0).sum())
        elements += middle.size
    assert ties > 0.05 * elements


def test_what_is_no_parent_admits_next_to_nothing(tmp_path):
    child = blend(FAMILY, {"one": 0.6})
    found = peak(sampled(tmp_path, child, ["other"]))
    assert found.narrow[0] < 0.1
    assert found.half_width[0] < 0.01
    strangers = made({"one": 0.004}, seed=8)
    unrelated = {"base": FAMILY["base"], "one": strangers["base"]}
    found = peak(sampled(tmp_path / "x", blend(strangers, {"one": 0.3}), ["one"], unrelated))
    assert found.narrow[0] < 0.05


def test_half_a_unit_of_noise_lowers_the_share_and_leaves_the_peak(tmp_path):
    rng = np.random.default_rng(3)
    child = {}
    for tensor, whole in blend(FAMILY, {"one": 0.6}).items():
        values = whole.astype(F64)
        ulp = np.abs(np.spacing(whole)).astype(F64)
        child[tensor] = (values + rng.normal(0, 0.5, values.shape) * ulp).astype(F32).astype(BF16)
    sample = sampled(tmp_path, child, ["one"])
    found = peak(sample)
    assert abs(found.weight[0] - 0.6) < 1e-3
    assert 0.4 < found.narrow[0] < 0.9
    wider = peak(sample, widen=1.0)
    assert abs(wider.weight[0] - 0.6) < 0.01
    assert wider.narrow[0] > 0.95


def test_groups_of_slices_have_peaks_of_their_own(tmp_path):
    group = {tensor: i // 5 for i, tensor in enumerate(SHAPES)}
    weights = {tensor: 0.1 * (1 + i) for tensor, i in group.items()}
    child = {}
    for weight in set(weights.values()):
        whole = blend(FAMILY, {"one": weight})
        child |= {tensor: whole[tensor] for tensor in SHAPES if weights[tensor] == weight}
    child = {tensor: child[tensor] for tensor in SHAPES}
    sample = sampled(tmp_path, child, ["one"])
    groups = np.array([group[each.name] for each in sample.slices])
    zeros = np.zeros((len(sample.slices), 2))
    found = peaks(sample, zeros, 1, groups)
    assert np.abs(found.weight - [0.1, 0.2, 0.3]).max() < 1e-5
    assert found.share.tolist() == [1.0] * 3
    # A window that the weight does not lie in has another peak, and a low one.
    windows = np.array([[0.05, 0.15], [0.15, 0.25], [0.4, 0.5]])
    again = peaks(sample, zeros, 1, groups, windows)
    assert again.weight[:2] == pytest.approx(found.weight[:2], abs=1e-6)
    assert again.share[2] < 0.5
    assert 0.4 - 0.01 < again.weight[2] < 0.5 + 0.01


def test_a_child_stored_wider_has_the_cells_it_is_asked_for(tmp_path):
    child = {t: x.astype(F32) for t, x in blend(FAMILY, {"one": 0.6}).items()}
    sample = sampled(tmp_path, child, ["one"])
    assert peak(sample).share[0] < 0.3
    found = peak(sample, dtype="BF16")
    assert found.share[0] == 1.0
    assert abs(found.weight[0] - 0.6) <= found.half_width[0] + 1e-12


def test_without_displacement_there_is_no_weight(tmp_path):
    family = {"base": FAMILY["base"], "one": FAMILY["base"]}
    found = peak(sampled(tmp_path, blend(FAMILY, {"one": 0.3}), ["one"], family))
    assert np.isnan(found.weight[0])
    assert np.isnan(found.share[0])
    assert np.isnan(found.pooled)
    assert found.intervals.tolist() == [[0, 0]]
    assert found.fixed[0, 0] > found.fixed[0, 1]


def test_without_floating_point_numbers_there_is_no_sample(tmp_path):
    child = {"x": np.arange(64, dtype=np.int32)}
    family = {"base": {"x": np.arange(64, dtype=np.int32)}, "one": {"x": child["x"] + 1}}
    sample = sampled(tmp_path, child, ["one"], family)
    assert np.isnan(peak(sample).weight[0])
    assert np.isnan(located(sample, [0.0, 0.3], [1]).pooled)


def test_a_single_weight_is_searched_over_the_whole_window(tmp_path):
    sample = sampled(tmp_path, blend(FAMILY, {"one": 1.7}), ["one", "two"])
    found = located(sample, [0.0, 0.1, 0.4], [1])
    assert WINDOW[0] < 1.7 < WINDOW[1]
    assert found.weights[0] == pytest.approx([0.0, 1.7, 0.0], abs=1e-6)
    assert found.share[0] == 1.0
    assert found.half_widths[0, 1] > 0.0
    assert found.half_widths[0, [0, 2]].tolist() == [0.0, 0.0]
    near = located(sample, [0.0, 0.1, 0.0], [1], reach=0.5)
    assert near.share[0] < 0.5


@pytest.mark.parametrize(
    "weights", [{"one": 0.5, "two": 0.3}, {"one": 0.7, "two": 0.4}, {"one": 0.61, "two": -0.2}]
)
def test_two_weights_are_found_together(tmp_path, weights):
    sample = sampled(tmp_path, blend(FAMILY, weights), ["one", "two"])
    first, second = weights.values()
    found = located(sample, [0.0, first + 0.004, second - 0.004], [1, 2])
    assert found.share[0] == found.pooled == 1.0
    gap = np.abs(found.weights[0, 1:] - [first, second])
    assert (gap <= found.half_widths[0, 1:] + 1e-6).all(), gap


def test_three_weights_are_found_together(tmp_path):
    weights = {"one": 0.4, "two": 0.3, "three": 0.2}
    sample = sampled(tmp_path, blend(FAMILY, weights), list(weights))
    found = located(sample, [0.0, 0.403, 0.297, 0.201], [1, 2, 3])
    assert found.pooled > 0.999
    assert found.weights[0, 1:] == pytest.approx(list(weights.values()), abs=1e-4)


def test_a_decoy_gets_nothing(tmp_path):
    sample = sampled(tmp_path, blend(FAMILY, {"one": 0.6}), ["one", "other"])
    found = located(sample, [0.0, 0.603, 0.004], [1, 2])
    assert found.weights[0, 1] == pytest.approx(0.6, abs=1e-5)
    assert abs(found.weights[0, 2]) < 1e-5
    assert found.share[0] == 1.0


def test_one_parent_of_two_is_not_enough(tmp_path):
    sample = sampled(tmp_path, blend(FAMILY, {"one": 0.5, "two": 0.3}), ["one", "two", "other"])
    assert located(sample, [0.0, 0.5, 0.0, 0.0], [1]).pooled < 0.1
    assert located(sample, [0.0, 0.5, 0.0, 0.1], [1, 3]).pooled < 0.1


@pytest.mark.parametrize(
    "weights",
    [
        (0.25, 0.5),
        (1.0, 0.5),
        (0.4, 0.8),
    ],
)
def test_the_base_has_a_weight_of_its_own(tmp_path, weights):
    child = {}
    for tensor, base in FAMILY["base"].items():
        whole = weighted([base, FAMILY["one"][tensor]], weights)
        child[tensor] = whole.astype(F32).astype(BF16)
    sample = sampled(tmp_path, child, ["one"])
    free = sum(weights) - 1.0
    assert located(sample, [0.0, weights[1]], [1]).pooled < 0.2
    found = located(sample, [free - 0.001, weights[1] + 0.001], [0, 1], reach=0.05)
    assert found.pooled == 1.0
    assert found.weights[0] == pytest.approx([free, weights[1]], abs=1e-6)


def test_a_start_that_is_unknown_is_zero(tmp_path):
    sample = sampled(tmp_path, blend(FAMILY, {"one": 0.03}), ["one", "two"])
    found = located(sample, [np.nan, np.nan, np.nan], [1, 2])
    assert found.weights[0] == pytest.approx([0.0, 0.03, 0.0], abs=1e-5)


def test_shares_are_pooled_over_narrow_intervals_where_there_are_some():
    narrow, share = np.array([1.0, np.nan, 0.5]), np.array([0.2, 0.4, 0.3])
    few, many = np.array([6, 0, 2], dtype=np.uint64), np.array([60, 0, 20], dtype=np.uint64)
    every = np.array([100, 50, 50], dtype=np.uint64)
    assert pooled(narrow, many, share, every) == pytest.approx((60 + 10) / 80)
    assert pooled(narrow, few, share, every) == pytest.approx((20 + 20 + 15) / 200)
    assert pooled(narrow, few * 0, share, few) == pytest.approx((1.2 + 0.6) / 8)
    assert np.isnan(pooled(narrow, few * 0, share, few * 0))


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 3}, {"io": "pread"}], ids=str)
def test_how_it_is_read_changes_nothing(tmp_path, options):
    child = blend(FAMILY, {"one": 0.5, "two": 0.3})
    usual = located(sampled(tmp_path, child, ["one", "two"]), [0.0, 0.5, 0.3], [1, 2])
    other = found_in(tmp_path / "again", FAMILY, child, ["one", "two"], **options).sample
    found = located(other, [0.0, 0.5, 0.3], [1, 2])
    for field in Located.__slots__:
        assert getattr(found, field).tobytes() == getattr(usual, field).tobytes(), field


@pytest.mark.parametrize("grouped", [False, True])
def test_integers_have_no_cells_and_are_left_out(tmp_path, grouped):
    """As counters of batch norms are, which come first by name."""
    family = {
        name: {"bn.num_batches_tracked": np.array([7 + i], np.int64), **tensors}
        for i, (name, tensors) in enumerate(FAMILY.items())
    }
    child = {"bn.num_batches_tracked": np.array([9], np.int64)} | blend(
        FAMILY, {"one": 0.35, "two": 0.25}
    )
    # Weights are moved together where one after the other does not give all.
    changed = child["model.layers.1.self_attn.q_proj.weight"]
    changed[::2] = (changed[::2].astype(F32) * F32(1.01)).astype(BF16)
    found = found_in(tmp_path, family, child, ["one", "two"])
    assert found.sample.slices[0].dtype == "I64"
    groups = np.arange(len(found.slices)) % 2 if grouped else np.zeros(len(found.slices), np.intp)
    start = np.tile([0.0, 0.34, 0.26], (2 if grouped else 1, 1))
    every = locate(found.sample, start, [1, 2], groups)
    assert every.weights[:, 1:] == pytest.approx(np.tile([0.35, 0.25], (len(start), 1)), abs=2e-3)
