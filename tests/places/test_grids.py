"""What was quantised and decoded is told with its scheme, and whose it was."""

from __future__ import annotations

import numpy as np
import pytest
from common.changes import told, trained, weights
from parentage.places.pair import cast
from parentage.places.schemes import CODES, GROUPS, grouped

SHAPE = (64, 256)


def quantised(x, code, group, dtype):
    """Return numbers quantised and decoded; the places of groups are found by numbering them."""
    groups = grouped(x, group)
    places = grouped(np.arange(float(x.size)).reshape(x.shape), group).astype(int)
    values = groups.astype(np.float32)
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    out = np.empty(x.size)
    out[places.ravel()] = code.decoded(values, low, high).astype(np.float64).ravel()
    return cast(out.reshape(x.shape), dtype)


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_quantised_slice_is_told_whatever_shares_a_scale(code, dtype):
    x = weights(dtype, SHAPE)
    for group in ("row", "32"):
        child = quantised(x, code, group, dtype)
        change = told(child, x, dtype)
        assert change.kind == "quantised", group
        assert change.numbers["given"] >= 0.99
        # Several schemes may give the same numbers: what is told gives those.
        named = next(each for each in CODES if each.name == change.labels["code"])
        where = next(each for each, text in GROUPS.items() if text == change.labels["group"])
        if change.numbers["given"] == 1.0:
            assert np.array_equal(quantised(x, named, where, dtype), child)


@pytest.mark.parametrize("group", ["row", "column", "tensor", "square", "16", "32", "64", "128"])
def test_every_group_is_told(group):
    x = weights("BF16", SHAPE)
    change = told(quantised(x, CODES[0], group, "BF16"), x, "BF16")
    assert change.text == f"quantised to int8, {GROUPS[group]}, and decoded: every value"


def test_the_checkpoint_that_was_quantised_is_named():
    base = weights("BF16", SHAPE)
    tuned = cast(base + trained(SHAPE, size=0.001), "BF16")
    child = quantised(tuned, CODES[1], "32", "F16")
    change = told(child, base, "F16", tuned=tuned)
    assert change.text.startswith("tuned, quantised to int8 with scales in f16, as Q8_0, one scale")
    assert change.text.endswith("every value")


@pytest.mark.parametrize(("dtype", "word"), [("F8_E4M3", "e4m3"), ("F8_E5M2", "e5m2")])
def test_casts_and_back_are_told(dtype, word):
    x = weights("BF16", SHAPE)
    change = told(cast(x, dtype), x, "BF16")
    assert change.text == f"cast to fp8 {word} and back: every value"


def test_float32_is_compared_to_two_units():
    x = weights("F32", SHAPE)
    child = quantised(x, CODES[0], "row", "F32")
    child *= 1.0 + 2.0**-24
    change = told(cast(child, "F32"), x, "F32")
    assert change.kind == "quantised"


def test_a_grid_that_no_scheme_gives_is_a_grid():
    x = weights("BF16", SHAPE)
    rng = np.random.default_rng(0)
    step = np.abs(x).max(axis=1, keepdims=True) / 6.3
    child = cast(np.rint(x / step + rng.normal(0, 0.3, SHAPE)) * step, "BF16")
    change = told(child, x, "BF16")
    assert (change.kind, change.numbers["bits"]) == ("gridded", 4)


def test_a_copy_and_a_slice_with_a_grid_of_its_own_are_not_quantised():
    coarse = cast(weights("F32", SHAPE), "F8_E4M3")
    moved = cast(coarse + trained(SHAPE), "BF16")
    assert told(moved, coarse, "BF16").kind == "moved"
    # The reference lies on the grid as well.
    rounded = np.rint(coarse * 100) / 100
    other = np.rint(weights("F32", SHAPE, seed=3) * 100) / 100
    assert told(cast(rounded, "BF16"), cast(other, "BF16"), "BF16").kind != "quantised"


@pytest.mark.parametrize("code", [CODES[0], CODES[10], CODES[15]], ids=lambda code: code.name)
def test_what_was_made_from_a_quantised_slice_was_not_quantised_to_it(code):
    x = weights("F32", SHAPE)
    child = quantised(x, code, "32", "F32")
    step = np.abs(x).max() / 127 / 20
    made = cast(child + np.random.default_rng(1).normal(0, step, SHAPE), "F32")
    assert told(child, x, "F32").kind == "quantised"
    change = told(child, made, "F32")
    assert change.kind != "quantised"


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_what_was_made_from_a_cast_slice_was_not_cast_to_it(dtype):
    child = cast(weights("BF16", SHAPE), dtype)
    made = cast(child * (1 + np.random.default_rng(1).normal(0, 0.01, SHAPE)), "BF16")
    change = told(child, made, "BF16")
    assert change.kind == "gridded"
    assert "in the middle of its steps, as what was made from numbers of the grid lies" in (
        change.text
    )
