"""A blend and the same turned round: what was computed is told from what it was computed from."""

from __future__ import annotations

import numpy as np
import pytest
from common.points import made, noise, rounded
from parentage.descent import BothWays, both_ways

NAMES = ("base", "parent")


def found(base, parent, child, *dtypes):
    return both_ways(made([base, parent, child], dtypes or ("BF16", "BF16", "BF16")), NAMES)


@pytest.mark.parametrize("weight", [0.03, 0.3, 0.6, 0.9, 0.97, -0.4, 1.7])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_a_blend_is_told_from_what_it_was_made_of(weight, dtype):
    base, parent = noise(dtype, 1), noise(dtype, 2, of=1)
    child = rounded(weight * parent + (1 - weight) * base, dtype)
    both = found(base, parent, child, dtype, dtype, dtype)
    assert both.forward > 0.999
    assert both.order() == "forward"
    assert both.made_from_child() == ()


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 1.25, 1.667, 2.0, 3.0])
@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_a_parent_that_was_fabricated_is_told(factor, dtype):
    """Whoever has a child and its base makes ``base + factor (child - base)``."""
    base, child = noise(dtype, 1), noise(dtype, 2, of=1)
    parent = rounded(base + factor * (child - base), dtype)
    both = found(base, parent, child, dtype, dtype, dtype)
    assert both.made_from_child() == ("parent",)
    assert both.of_child["parent"] == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize("weight", [0.1, 0.2, 0.5, 0.6])
@pytest.mark.parametrize("size", [0.2, 0.5])
@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_a_fabricated_parent_with_noise_to_hide_that_gives_no_order(weight, size, dtype):
    """The noise spoils the way back, and the way forward still gives nearly everything."""
    base, child = noise(dtype, 1), noise(dtype, 2, of=1)
    parent = (child - (1 - weight) * base) / weight
    unit = np.abs(parent) * 2.0 ** (-8 if dtype == "BF16" else -11)
    hidden = parent + size * unit * np.random.default_rng(4).normal(size=parent.shape)
    both = found(base, rounded(hidden, dtype), child, dtype, dtype, dtype)
    assert both.is_centred or weight == 0.5
    assert both.order(replayed=both.forward) != "forward"


@pytest.mark.parametrize("weight", [0.5, 0.6, 0.75, 0.9, 0.95, 1.5])
@pytest.mark.parametrize("bits", [3, 5, 8])
def test_merges_of_coarse_parents_are_not_taken_for_fabricated(weight, bits):
    def coarse(values):
        parts, powers = np.frexp(values)
        return np.ldexp(np.rint(parts * 2.0**bits) / 2.0**bits, powers)

    base, parent = coarse(noise("BF16", 1)), coarse(noise("BF16", 2, of=1))
    child = rounded(weight * parent + (1 - weight) * base, "BF16")
    assert not found(base, parent, child).is_centred


def test_more_digits_were_computed_from_fewer():
    base, parent = noise("BF16", 1), noise("BF16", 2, of=1)
    fine = rounded(0.6 * parent + 0.4 * base, "F32")
    assert found(base, parent, fine, "BF16", "BF16", "F32").order() == "forward"
    framed = rounded(2 * parent - base, "F32")
    assert found(base, framed, parent, "BF16", "F32", "BF16").order() == "back"


def test_fine_tunes_are_no_blends_either_way():
    both = found(noise("BF16", 1), noise("BF16", 2, of=1), noise("BF16", 3, of=1))
    assert both is None or (max(both.forward, *both.back.values()) < 0.2)
    assert both is None or both.made_from_child() == () or max(both.back.values()) < 0.2


def test_one_checkpoint_is_no_blend():
    base = noise("BF16", 1)
    assert both_ways(made([base, noise("BF16", 2, of=1)], ("BF16", "BF16")), ("base",)) is None
    assert found(base, base, noise("BF16", 2, of=1)) is None


def test_shares_that_differ_little_decide_nothing():
    near = BothWays(1000, 0.95, {"parent": 0.94}, {"parent": 0}, {"parent": 1.0})
    assert near.order() == "undecided"
    few = BothWays(1000, 1.0, {"parent": 0.995}, {"parent": 0}, {"parent": 1.0})
    assert few.order() == "undecided", "5 elements are too few"
    assert few.order(replayed=1.0) == "undecided"
    many = BothWays(10_000, 1.0, {"parent": 0.98}, {"parent": 0}, {"parent": 1.0})
    assert many.order() == "forward"


def test_one_that_was_made_from_the_child_turns_the_order():
    both = BothWays(9000, 0.9, {"a": 0.3, "b": 1.0}, {"a": 0, "b": 0}, {"a": 2.0, "b": 0.5})
    assert both.order() == "back"
    assert both.made_from_child() == ("b",)


def test_a_way_back_that_misses_nearly_all_is_none():
    coarse = BothWays(9000, 0.06, {"a": 0.12, "b": 0.13}, {"a": 0, "b": 0}, {"a": 1.0, "b": 1.0})
    assert coarse.order() == "undecided"
    assert coarse.made_from_child() == ()


def test_slices_that_were_copied_have_no_direction():
    base, parent = noise("BF16", 1), noise("BF16", 2, of=1)
    child = rounded(0.6 * parent + 0.4 * base, "BF16")
    half = len(base) // 2
    child[half:] = base[half:]
    points = made([base, parent, child], ("BF16", "BF16", "BF16"), slices=2)
    weights = np.array([[0.4, 0.6], [1.0, 0.0]])
    both = both_ways(points, NAMES, [weights])
    assert both.elements <= half
    assert both.order() == "forward"


def test_what_others_were_computed_from_is_missed_where_they_were_rounded():
    child = noise("BF16", 1)
    apart = noise("BF16", 2)
    plus, minus = rounded(child + apart, "BF16"), rounded(child - apart, "BF16")
    both = found(plus, minus, child)
    assert both.forward > 0.7
    assert both.others_were_rounded
    assert both.order() == "undecided"
    # A recipe that gives everything has settled it.
    assert both.order(1.0) != "undecided"


def test_what_lies_halfway_is_decided_in_one_way_by_arithmetic_and_by_chance_otherwise():
    base = noise("BF16", 1)
    step = np.ldexp(1.0, np.frexp(base)[1] - 8)
    steps = np.random.default_rng(3).integers(-20, 20, len(base))
    parent = base + 2 * steps * step
    both = found(base, parent, rounded(0.5 * base + 0.5 * parent, "BF16"))
    assert (both.is_computed, both.order()) == (True, "forward")
    odd = base + (2 * steps + 1) * step
    merged = found(base, odd, rounded(0.5 * base + 0.5 * odd, "BF16"))
    assert merged.ties > len(base) // 2
    assert (merged.alike > 0.99, merged.order()) == (True, "forward")
    up = np.random.default_rng(4).integers(0, 2, len(base))
    chance = found(base, odd, rounded(base + (steps + up) * step, "BF16"))
    assert chance.alike < 0.6
    assert (chance.forward > 0.9, chance.is_computed, chance.order()) == (True, False, "undecided")


def test_what_was_zeroed_is_no_miss_of_coarser_units():
    base, parent = noise("BF16", 1), noise("BF16", 2, of=1)
    child = rounded(0.6 * parent + 0.4 * base, "BF16")
    child[np.random.default_rng(3).random(len(child)) < 0.02] = 0.0
    both = found(base, parent, child)
    assert not both.others_were_rounded
    assert both.order() == "forward"
    assert both.far > 0.99


def test_a_coarse_parent_that_was_rounded_from_a_fine_child_is_told():
    base, child = noise("F32", 1), noise("F32", 2, of=1)
    framed = rounded(2 * child - base, "BF16")
    both = found(base, framed, child, "F32", "BF16", "F32")
    assert both.made_from_child() == ("parent",)


@pytest.mark.parametrize("step", [1e-6, 1e-5, 1e-4])
def test_a_blend_of_coarse_parents_that_was_moved_by_less_than_their_rounding_made_none(step):
    base, parent = noise("BF16", 1), noise("BF16", 2, of=1)
    signs = np.sign(np.random.default_rng(3).normal(size=len(base)))
    child = rounded(0.5 * parent + 0.5 * base + step * signs, "F32")
    both = found(base, parent, child, "BF16", "BF16", "F32")
    assert both.made_from_child() == ()
    assert both.order() == "undecided"


def test_two_casts_of_one_original_made_neither():
    original = noise("F32", 2, of=1)
    base = noise("BF16", 1)
    both = found(base, rounded(original, "BF16"), rounded(original, "F16"), "BF16", "BF16", "F16")
    assert both is None or both.made_from_child() == ()
