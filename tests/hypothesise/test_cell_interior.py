"""Slabs: steps of several unknowns towards the inside of cells.

What cells admit is had here in extended precision.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from common.families import F32, F64, Array, bf16
from common.neighbours import halfway
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from parentage.hypothesise import CLOSE, LIMIT, SLACK, newton, refine_inside_cells

# Steps.


def farthest(a: Array, b: Array, middle: Array, half: Array) -> float:
    return float(np.abs((a @ b - middle) / half).max())


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([1e-6, 7.5e-4, CLOSE, 0.5]),
    st.sampled_from([1e-3, 1.0, 1e4]),
)
def test_no_step_leaves_the_bound(seed, rank, count, close, spread):
    rng = np.random.default_rng(seed)
    b = rng.normal(0, 1, (rank, 30)) * (rng.random((rank, 30)) < 0.8)
    b[:, 0] = 0.0
    a = rng.normal(0, 1, (count, rank))
    half = np.exp(rng.normal(0, 1, (count, 30)))
    middle = a @ b + spread * rng.normal(0, 1, (count, 30)) * half
    before = farthest(a, b, middle, half)
    after = newton(a, b, middle, half, close)
    assert after.shape == a.shape
    assert np.isfinite(after).all()
    assert farthest(after, b, middle, half) < (1.0 + close) * before


def test_a_thin_slab_ends_the_step_of_many_thick_ones():
    b = np.array([[1.0] * 1000 + [10.0]])
    # All the thick ones want to go the same way, and the thin one is in its middle.
    middle = np.array([[1.0] * 1000 + [0.0]])
    half = np.ones_like(middle)
    after = newton(np.zeros((1, 1)), b, middle, half, 0.5)
    assert after[0, 0] > 0.0
    assert farthest(after, b, middle, half) < 1.5


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=25)
def test_steps_find_the_inside_of_slabs_around_known_weights(seed, rank, count):
    rng = np.random.default_rng(seed)
    b = rng.normal(0, 1, (rank, 200))
    known = rng.normal(0, 1, (count, rank))
    half = np.exp(rng.normal(0, 0.5, (count, 200)))
    middle = known @ b + rng.uniform(-0.9, 0.9, (count, 200)) * half
    a = known + rng.normal(0, 3, (count, rank))
    assume(farthest(a, b, middle, half) > 1.0)
    for _ in range(100):
        a = newton(a, b, middle, half, 0.1)
        if farthest(a, b, middle, half) < 1.0:
            break
    assert farthest(a, b, middle, half) < 1.0


def test_slabs_with_one_middle_are_left_for_it_in_every_row():
    b = np.random.default_rng(0).normal(0, 1, (2, 100))
    known = np.array([[0.5, 0.25], [-2.0, 1.0]])
    a = known + np.array([[0.0, 1e-3], [3.0, -1.0]])
    for _ in range(12):
        a = newton(a, b, known @ b, np.ones((2, 100)), 1.0)
    assert a == pytest.approx(known, abs=1e-6)


# Weights of several columns.


def columns(
    seed: int, count: int, elements: int, scale: float, values: Callable[..., Array]
) -> Array:
    """Return base and parents (elements, 1 + count), numbers that bf16 holds."""
    rng = np.random.default_rng(seed)
    base = bf16(values(rng, elements))
    parts = [bf16(base + rng.normal(0, scale, elements)) for _ in range(count)]
    return np.stack([base, *parts], axis=1).astype(F64)


def thick(rng: np.random.Generator, elements: int) -> Array:
    """Values whose cells are about as wide."""
    return rng.uniform(0.02, 0.06, elements) * rng.choice([-1, 1], elements)


def usual(rng: np.random.Generator, elements: int) -> Array:
    """Values as those of checkpoints: some of them are tiny, and so are their cells."""
    return rng.normal(0, 0.03, elements)


def value_of(parts: Array, weights: Array) -> Array:
    wide = parts.astype(np.longdouble)
    total = wide[:, 0] * (1 + np.longdouble(weights[0]))
    return total + sum((wide[:, i] - wide[:, 0]) * w for i, w in enumerate(weights) if i > 0)


def with_child(parts: Array, weights: Array) -> Array:
    """Return elements with a child in bf16 of an exact blend."""
    child = bf16(value_of(parts, weights).astype(F64)).astype(F64)
    return np.concatenate([parts, child[:, None]], axis=1)


def admitting(elements: Array, weights: Array, more: float = 0.0) -> int:
    """Return how many cells admit weights, their slack included."""
    child = elements[:, -1]
    inward, outward = halfway(np.abs(child), "BF16")
    below = np.where(child < 0, outward, inward)
    above = np.where(child < 0, inward, outward)
    used = [i for i, weight in enumerate(weights) if weight != 0.0 and i > 0]
    slack = SLACK * np.abs(elements[:, [0, *used]]).sum(axis=1)
    gap = (value_of(elements[:, :-1], weights) - child).astype(F64)
    room = slack + more * (below + above)
    return int(((gap >= -below - room) & (gap <= above + room)).sum())


OFF = np.array([0.0, 1e-3, -1e-3])
TRUE = {2: [0.0, 0.37, 0.29], 3: [0.0, 0.37, 0.29, 0.21]}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", TRUE)
def test_weights_of_several_columns_are_found_together(count, seed):
    weights = np.array(TRUE[count])
    elements = with_child(columns(seed, count, 20_000, 0.002, thick), weights)
    start = weights.copy()
    start[1:] += 1e-3 * np.array([1, -1, 1])[:count]
    found, (before, after) = refine_inside_cells(elements, start, list(range(1, 1 + count)), "BF16")
    assert before == pytest.approx(admitting(elements, start), abs=2)
    assert before < after == len(elements)
    # The room that cells leave all weights together is no wider.
    assert np.abs(found - weights).max() < 5e-7
    assert found[0] == 0.0


@pytest.mark.parametrize("off", [1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("count", TRUE)
def test_tiny_cells_tell_weights_the_more_sharply(count, off):
    weights = np.array(TRUE[count])
    elements = with_child(columns(1, count, 20_000, 0.004, usual), weights)
    start = weights.copy()
    start[1:] += off * np.array([1, -1, 1])[:count]
    found, (_, after) = refine_inside_cells(elements, start, list(range(1, 1 + count)), "BF16")
    # From far off, steps end on the way; searches by column come within 1e-4 before.
    assert np.abs(found - weights).max() < (1e-5 if off > 1e-4 else 2e-7)
    assert off > 1e-4 or after == len(elements)


def test_the_base_moves_where_it_may_and_what_may_not_move_is_held():
    weights = np.array([-0.1, 0.4, 0.25])
    elements = with_child(columns(4, 2, 20_000, 0.002, thick), weights)
    start = weights + np.array([3e-4, -3e-4, 0.0])
    found, (_, after) = refine_inside_cells(elements, start, [0, 1], "BF16")
    assert after == len(elements)
    assert np.abs(found - weights).max() < 1e-6
    assert found[2] == weights[2]
    held = refine_inside_cells(elements, start, [1, 2], "BF16")[0]
    assert held[0] == start[0]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 3),
    st.sampled_from(["blend", "noise", "other", "few"]),
    st.sampled_from([1e-5, 1e-3, 0.1]),
)
@settings(max_examples=40)
def test_no_fewer_cells_admit_what_is_returned(seed, count, kind, off):
    rng = np.random.default_rng(seed)
    parts = columns(seed, count + 1, 400, 0.004, usual)
    weights = np.array([0.0, *rng.uniform(0.1, 0.5, count), 0.0])
    elements = with_child(parts, weights)
    if kind == "noise":
        ulp = np.spacing(np.abs(elements[:, -1]).astype(F32)).astype(F64) * 2.0**16
        elements[:, -1] = bf16(elements[:, -1] + rng.normal(0, 0.7, 400) * ulp)
    elif kind == "other":
        elements[:, -1] = bf16(rng.normal(0, 0.03, 400))
    elif kind == "few":
        elements = elements[:3]
    start = weights + off * rng.normal(0, 1, len(weights)) * (weights != 0.0)
    given_weights = start.copy()
    axes = list(range(1, 1 + count))
    found, (before, after) = refine_inside_cells(elements, start, axes, "BF16")
    assert np.array_equal(start, given_weights)
    assert found[[0, -1]].tolist() == [0.0, 0.0]
    assert after >= before
    assert admitting(elements, found, 1e-9) >= after >= admitting(elements, found, -1e-9)
    assert admitting(elements, start, 1e-9) >= before >= admitting(elements, start, -1e-9)
    if after == before:
        gained = not np.array_equal(found, start)
        assert not gained, "nothing was gained, so nothing moves"


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0, 1.0 + 1e-9])
def test_parents_that_are_multiples_of_each_other_do_no_harm(factor):
    parts = columns(2, 1, 5000, 0.002, thick)
    elements = with_child(parts, np.array([0.0, 0.6]))
    double = elements[:, 0] + factor * (elements[:, 1] - elements[:, 0])
    elements = np.stack([elements[:, 0], elements[:, 1], double, elements[:, -1]], axis=1)
    start = np.array([0.0, 0.6 - 0.2 * factor + 5e-4, 0.2])
    found, (before, after) = refine_inside_cells(elements, start, [1, 2], "BF16")
    assert np.isfinite(found).all()
    assert after >= before == pytest.approx(admitting(elements, start), abs=2)
    if factor != 0.0:
        # Together they weigh what the one does.
        assert found[1] + factor * found[2] == pytest.approx(0.6, abs=1e-5)
    else:
        assert after == before or found[1] == pytest.approx(0.6, abs=1e-5)


def test_parents_that_are_the_base_have_any_weight():
    base = columns(2, 1, 5000, 0.002, thick)[:, 0]
    child = np.where(np.arange(5000) % 2, base, np.nextafter(base.astype(F32), F32(1)))
    elements = np.stack([base, base, base, child], axis=1)
    start = np.array([0.0, 0.4, 0.2])
    found, counts = refine_inside_cells(elements, start, [1, 2], "BF16")
    assert np.array_equal(found, start)
    assert counts.tolist() == [5000, 5000]


def without(column: int, value: float) -> tuple[Array, Array]:
    """Return elements, and more of them of which one column holds a value that is no number."""
    weights = np.array(TRUE[2])
    elements = with_child(columns(3, 2, 5000, 0.002, thick), weights)
    more = elements[:40].copy()
    more[:, column] = value
    return elements, np.concatenate([more[:20], elements, more[20:]])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((column, np.nan) for column in range(4)),
        *((column, np.inf * sign) for column in range(1, 4) for sign in (1, -1)),
        (0, np.inf),
        (0, -np.inf),
    ],
)
def test_elements_that_are_no_numbers_are_left_out(column, value):
    elements, more = without(column, value)
    start = np.array(TRUE[2]) + OFF
    expected, counts = refine_inside_cells(elements, start, [1, 2], "BF16")
    found, again = refine_inside_cells(more, start, [1, 2], "BF16")
    assert np.array_equal(found, expected)
    assert np.array_equal(again, counts)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_elements_leave_weights_as_they_are(rows):
    elements = with_child(columns(3, 2, 8, 0.002, thick), np.array(TRUE[2]))[:rows]
    start = np.array([0.0, 0.36, 0.3])
    found, (before, after) = refine_inside_cells(elements, start, [1, 2], "BF16")
    assert np.array_equal(found, start)
    assert before == after


def test_elements_of_no_blend_do_not_take_part():
    weights = np.array(TRUE[2])
    elements = with_child(columns(5, 2, 10_000, 0.002, thick), weights)
    inward, outward = halfway(np.abs(elements[:, -1]), "BF16")
    strange = elements[::5].copy()
    strange[:, -1] += 4.0 * LIMIT * np.maximum(inward, outward)[::5]
    start = weights + OFF
    expected, counts = refine_inside_cells(elements, start, [1, 2], "BF16")
    found, again = refine_inside_cells(np.concatenate([elements, strange]), start, [1, 2], "BF16")
    assert np.array_equal(found, expected)
    assert np.array_equal(again, counts)
