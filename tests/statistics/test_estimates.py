"""Weights, their errors and what rounding adds to them, against numpy and scipy."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from common.streams import read_slices
from conftest import BF16, gram_of, opened, roles_in
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage import _core
from parentage.align import align
from parentage.statistics import (
    benjamini_hochberg,
    condition,
    displacement_ulps,
    estimate,
    fit,
    holm,
    jackknife,
    log10_p,
    nnls,
    ols_bias,
    solve,
)
from parentage.stream import Options, cosines

KINDS = ["plain", "small", "large", "correlated", "zero", "duplicate", "sum"]


@st.composite
def systems(draw, kinds=KINDS, most=6):
    """Columns (n, m) of displacements and the child's displacement (n,)."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=most))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = 40
    columns = []
    for kind in chosen:
        fresh = random.normal(size=n)
        earlier = np.sum(columns, axis=0) if columns else fresh
        column = {
            "plain": fresh,
            "small": 1e-9 * fresh,
            "large": 1e9 * fresh,
            "correlated": earlier + 0.3 * np.linalg.norm(earlier) / math.sqrt(n) * fresh,
            "zero": 0 * fresh,
            "duplicate": columns[-1] if columns else fresh,
            "sum": earlier,
        }[kind]
        columns.append(column)
    target = np.sum([random.normal() * x / (np.linalg.norm(x) or 1) for x in columns], axis=0)
    target = target + draw(st.sampled_from([0, 0.1, 10])) * random.normal(size=n)
    return np.stack(columns, axis=1), target


def gram_matrix(x, y):
    """One system (1, C, C) whose first column is a base of ones."""
    whole = np.concatenate([np.ones((len(y), 1)), x, y[:, None]], axis=1)
    return (whole.T @ whole)[None]


INDEPENDENT = ["plain", "small", "large", "correlated", "zero"]


@given(systems(INDEPENDENT))
def test_weights_are_those_of_least_squares(system):
    x, y = system
    used = np.any(x != 0, axis=0)
    found = fit(gram_matrix(x, y), list(range(1, 1 + x.shape[1])))
    weights, _, _, _ = np.linalg.lstsq(
        x[:, used] / np.linalg.norm(x[:, used], axis=0), y, rcond=None
    )
    residual = np.sum((y - x[:, used] / np.linalg.norm(x[:, used], axis=0) @ weights) ** 2)
    assert np.array_equal(np.isnan(found.weights[0]), ~used)
    scaled = found.weights[0, used] * np.linalg.norm(x[:, used], axis=0)
    assert scaled == pytest.approx(weights, rel=1e-6, abs=1e-8 * np.linalg.norm(y))
    assert found.energy[0] == pytest.approx(y @ y)
    assert found.residual[0] == pytest.approx(residual, abs=1e-10 * (y @ y))
    if y @ y > 0:
        assert found.r2[0] == pytest.approx(1 - residual / (y @ y), abs=1e-9)


@given(systems())
def test_what_is_left_over_is_that_of_least_squares_whatever_depends_on_what(system):
    x, y = system
    found = fit(gram_matrix(x, y), list(range(1, 1 + x.shape[1])))
    norms = np.linalg.norm(x, axis=0)
    scaled = x / np.where(norms > 0, norms, 1)
    weights, _, rank, _ = np.linalg.lstsq(scaled, y, rcond=1e-6)
    residual = np.sum((y - scaled @ weights) ** 2)
    assert found.residual[0] == pytest.approx(residual, abs=1e-8 * (y @ y))
    assert found.residual[0] >= 0
    if rank < np.sum(norms > 0):
        assert np.all(np.isnan(found.weights)), "weights of parents that can not be told apart"


@given(systems(INDEPENDENT))
def test_solutions_solve_the_system(system):
    x, y = system
    x = x[:, np.any(x != 0, axis=0)]
    found, rank = solve((x.T @ x)[None], (x.T @ y)[None])
    assert rank.tolist() == [x.shape[1]]
    norms = np.linalg.norm(x, axis=0)
    assert (x.T @ x) @ found[0] / norms == pytest.approx(
        x.T @ y / norms, abs=1e-9 * np.linalg.norm(y)
    )


def test_of_columns_that_depend_on_each_other_the_first_are_solved_for():
    a = np.array([[[4.0, 4, 2], [4, 4, 2], [2, 2, 9]]])
    found, rank = solve(a, np.array([[4.0, 4, 2]]))
    assert found[0] == pytest.approx([1, np.nan, 0], nan_ok=True)
    assert rank.tolist() == [2]


def test_a_system_alone_has_the_bits_it_has_among_others():
    random = np.random.default_rng(0)
    data = random.normal(size=(50, 30, 6))
    matrices = np.einsum("sni,snj->sij", data, data)
    together = fit(matrices, [1, 2, 3, 4])
    for i in range(50):
        alone = fit(matrices[i : i + 1], [1, 2, 3, 4])
        assert np.array_equal(alone.weights[0], together.weights[i])
        assert alone.residual[0] == together.residual[i]


def test_without_columns_all_of_it_is_left_over():
    found = fit(np.array([[[2.0, 1], [1, 3]]]), [])
    assert found.weights.shape == (1, 0)
    assert (found.residual[0], found.r2[0]) == (3, 0)


def test_a_child_that_is_the_base_has_no_r2():
    found = fit(np.array([[[2.0, 1, 0], [1, 3, 0], [0, 0, 0]]]), [1])
    assert (found.weights[0, 0], found.residual[0]) == (0, 0)
    assert np.isnan(found.r2[0])


def test_a_perfect_fit_leaves_nothing():
    random = np.random.default_rng(1)
    x = random.normal(size=(100, 2))
    found = fit(gram_matrix(x, x @ [0.6, 0.4]), [1, 2])
    assert found.weights[0] == pytest.approx([0.6, 0.4], rel=1e-12)
    assert (found.residual[0], found.r2[0]) == (0, 1)


@settings(max_examples=60)
@given(systems(["plain", "large", "correlated", "zero"], most=5))
def test_weights_that_may_not_be_negative_are_those_of_scipy(system):
    x, y = system
    found = nnls(gram_matrix(x, y), list(range(1, 1 + x.shape[1])))[0]
    norms = np.linalg.norm(x, axis=0)
    norms[norms == 0] = 1
    expected, _ = scipy.optimize.nnls(x / norms, y)
    assert found * norms == pytest.approx(expected, rel=1e-6, abs=1e-7 * np.linalg.norm(y))


@settings(max_examples=60)
@given(systems(most=5))
def test_weights_that_may_not_be_negative_leave_what_scipys_leave(system):
    x, y = system
    found = nnls(gram_matrix(x, y), list(range(1, 1 + x.shape[1])))[0]
    norms = np.linalg.norm(x, axis=0)
    norms[norms == 0] = 1
    _, left = scipy.optimize.nnls(x / norms, y)
    assert np.all(found >= 0)
    assert np.linalg.norm(y - x @ found) == pytest.approx(
        left, rel=1e-6, abs=1e-6 * np.linalg.norm(y)
    )


def in_blocks(data, edges):
    """Gram matrices (1, B, C, C) of consecutive parts of (n, C) data."""
    parts = [data[start:end] for start, end in pairwise(edges)]
    return np.stack([part.T @ part for part in parts])[None]


def straightforward_jackknife(data, edges):
    """Refit without each block that holds anything."""
    weights = []
    for start, end in pairwise(edges):
        if end > start:
            rest = np.delete(data, slice(start, end), axis=0)
            weights.append(np.linalg.lstsq(rest[:, 1:-1], rest[:, -1], rcond=None)[0])
    number = len(weights)
    return np.sqrt((number - 1) * np.var(weights, axis=0))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from([16, 20, 160, 163, 400]),
)
def test_the_jackknife_is_a_refit_without_each_block(seed, parents, n):
    random = np.random.default_rng(seed)
    data = random.normal(size=(n, parents + 2))
    edges = [n * block // 16 for block in range(17)]
    found = jackknife(in_blocks(data, edges), list(range(1, 1 + parents)))[0]
    assert found == pytest.approx(straightforward_jackknife(data, edges), rel=1e-6)


def test_the_jackknife_leaves_out_empty_blocks():
    data = np.random.default_rng(2).normal(size=(9, 3))
    edges = [9 * block // 16 for block in range(17)]
    found = jackknife(in_blocks(data, edges), [1])[0]
    assert found == pytest.approx(straightforward_jackknife(data, edges), rel=1e-9)


def test_one_block_has_no_standard_error():
    data = np.random.default_rng(3).normal(size=(5, 3))
    assert np.isnan(jackknife(in_blocks(data, [0] * 16 + [5]), [1])).all()


def test_the_jackknife_knows_the_error_of_independent_noise():
    """Within a third of sigma / |d|, which sixteen blocks estimate."""
    random = np.random.default_rng(4)
    n = 16_000
    d = random.normal(size=n)
    data = np.stack([np.ones(n), d, 0.6 * d + 0.2 * random.normal(size=n)], axis=1)
    found = jackknife(in_blocks(data, [1000 * i for i in range(17)]), [1])[0, 0]
    assert found == pytest.approx(0.2 / np.linalg.norm(d), rel=1 / 3)


LOG10_P = st.lists(st.floats(-400, 0) | st.sampled_from([0.0, -3.0]), min_size=1, max_size=12)


@given(LOG10_P)
def test_holm_is_the_step_down_of_bonferroni(values):
    found = holm(np.array([values]))[0]
    order = sorted(range(len(values)), key=lambda i: values[i])
    running = -math.inf
    for rank, i in enumerate(order):
        running = max(running, values[i] + math.log10(len(values) - rank))
        assert found[i] == pytest.approx(min(running, 0.0), abs=1e-12)


def test_holm_adjusts_each_row_for_itself():
    rows = np.array([[-5.0, -3.0], [-1.0, -9.0]])
    assert holm(rows) == pytest.approx(rows + np.log10([[2, 1], [1, 2]]))
    assert holm(np.zeros((3, 0))).shape == (3, 0)


@given(LOG10_P)
def test_benjamini_and_hochbergs_adjustment_is_that_of_scipy(values):
    values = np.maximum(values, -300)  # where scipy's numbers are not zero
    expected = scipy.stats.false_discovery_control(10.0**values, method="bh")
    assert 10.0 ** benjamini_hochberg(values) == pytest.approx(expected, rel=1e-9)


def test_adjusted_values_of_any_size_are_not_zero():
    tiny = np.array([-1e6, -2e6, -3e5])
    assert np.all(np.isfinite(benjamini_hochberg(tiny)))
    assert np.all(np.isfinite(holm(tiny[None])))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12))
def test_the_bound_is_above_the_exact_probability_of_sign_flips(products):
    g = np.array(products)
    flips = np.array(list(product([-1, 1], repeat=len(g))))
    sums = np.abs(flips @ g)
    exact = np.mean(sums >= abs(g.sum()) * (1 - 1e-12))
    found = float(log10_p(np.array(g.sum()), np.array(np.sum(g**2))))
    assert math.log10(exact) - 1e-9 <= found <= 0


def test_the_bound_is_never_zero_and_says_nothing_of_nothing():
    found = log10_p(np.array([1e3, 0.0, 0.0]), np.array([1e-3, 1.0, 0.0]))
    assert found[0] < -1e8
    assert np.isfinite(found[0])
    assert found[1:].tolist() == [0, 0]


@given(systems(["plain", "small", "large", "correlated"]))
def test_condition_is_that_of_the_correlations(system):
    x, y = system
    scaled = x / np.linalg.norm(x, axis=0)
    expected = np.linalg.cond(scaled.T @ scaled)
    found = condition(gram_matrix(x, y), list(range(1, 1 + x.shape[1])))[0]
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dependent", ["duplicate", "sum", "nearly"])
def test_parents_that_can_not_be_told_apart_have_no_finite_condition(dependent):
    random = np.random.default_rng(5)
    x = random.normal(size=(50, 3))
    x[:, 2] = {"duplicate": x[:, 0], "sum": x[:, 0] + x[:, 1], "nearly": x[:, 0]}[dependent]
    if dependent == "nearly":
        x[:, 2] += 1e-4 * random.normal(size=50)
    assert condition(gram_matrix(x, x[:, 0]), [1, 2, 3])[0] > 1e6


def test_a_parent_that_is_the_base_makes_no_other_ambiguous():
    x = np.stack([np.arange(5.0), np.zeros(5)], axis=1)
    assert condition(gram_matrix(x, x[:, 0]), [1, 2]).tolist() == [1]
    assert condition(gram_matrix(x, x[:, 0]), []).tolist() == [1]


@given(systems())
def test_cosines_are_those_of_the_vectors(system):
    x, y = system
    found = cosines(gram_matrix(x, y))[0]
    columns = [np.ones(len(y)), *x.T]
    for value, column in zip(found, columns, strict=True):
        norms = np.linalg.norm(column) * np.linalg.norm(y)
        if norms == 0:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(column @ y / norms, abs=1e-12)
            assert -1 <= value <= 1


@pytest.mark.parametrize("displacement", [0.3, 0.01, 0.003, 0.001])
def test_rounding_is_said_to_move_weights_as_far_as_it_does(tmp_path, displacement):
    """The largest bias said is that of blends made and rounded in numpy, over the same weights."""
    random = np.random.default_rng(11)
    base = random.normal(0, 0.02, 60_000).astype(BF16)
    parent = (base.astype(np.float64) + displacement * random.normal(0, 0.02, base.size)).astype(
        BF16
    )
    wide, d = base.astype(np.float64), parent.astype(np.float64) - base.astype(np.float64)
    read = []
    for weight in (np.arange(_core.WEIGHTS) * 2 + 1) / (2 * _core.WEIGHTS):
        blend = (wide + weight * d).astype(BF16).astype(np.float64)
        read.append(abs(d @ (blend - wide) / (d @ d) - weight))
    arrays = [base, parent, parent]
    checkpoints = [opened(tmp_path, f"c{i}", {"x": array}) for i, array in enumerate(arrays)]
    part = read_slices(align(checkpoints[-1], checkpoints[:-1]), 0, 1, Options(1))
    # A sample of 4096 elements stands for all.
    assert ols_bias(part.bias)[0, 0] == pytest.approx(max(read), rel=0.25, abs=2e-3)


def test_what_does_not_move_is_not_biased():
    sums = np.zeros((2, _core.WEIGHTS + 1))
    sums[0, -1] = 1.0
    found = ols_bias(sums)
    assert found[0] == 0
    assert np.isnan(found[1]), "nothing moved"
    assert np.isnan(displacement_ulps(np.zeros((1, _core.BINS), np.uint64))[0])


def blended(tmp_path, weights, *, displacement, n=200_000, noise=0.0, control=False):
    """Estimates for a child that is base + sum w_i d_i, rounded to bf16."""
    random = np.random.default_rng(7)
    base = random.normal(0, 0.02, n).astype(BF16).astype(np.float64)
    common = random.normal(0, 0.02, n)
    parents = []
    for _ in [*weights, *([0] if control else [])]:
        own = 0.3 * common + random.normal(0, 0.02, n)
        parents.append((base + displacement * own).astype(BF16).astype(np.float64))
    child = base + sum(w * (p - base) for w, p in zip(weights, parents, strict=False))
    child += noise * displacement * random.normal(0, 0.02, n)
    arrays = [each.astype(BF16) for each in [base, *parents, child]]
    checkpoints = [opened(tmp_path, f"c{i}", {"x": array}) for i, array in enumerate(arrays)]
    alignment = align(checkpoints[-1], checkpoints[:-1])
    return estimate(
        read_slices(alignment, 0, 1, Options(2)), roles_in(alignment, len(weights))
    ), arrays


@pytest.mark.parametrize("weights", [[0.6], [1.0], [-0.2], [0.3, 0.5], [0.25, 0.25, 0.5]], ids=str)
def test_weights_of_a_blend_are_found_within_their_error(tmp_path, weights):
    found, _ = blended(tmp_path, weights, displacement=0.5)
    error = np.abs(found.parents.weights[0] - weights)
    assert np.all(error <= 4 * found.standard_error[0] + 1e-4)
    assert np.all(found.standard_error[0] < 1e-3)
    assert found.parents.r2[0] > 0.999
    assert found.condition[0] < 10
    assert np.all(found.log10_p[0] < -2)
    assert found.nonnegative[0] == pytest.approx(np.maximum(weights, 0), abs=1e-3)


@pytest.mark.parametrize(
    "displacement",
    [0.1, 0.03, 0.01, 0.003, 0.001],
)
def test_rounding_moves_the_weight_of_a_blend_no_farther_than_is_said(tmp_path, displacement):
    found, _ = blended(tmp_path, [0.6], displacement=displacement)
    weight, error = found.parents.weights[0, 0], found.standard_error[0, 0]
    print(f"{displacement}: {weight:.4f} +- {error:.4f}, bias {found.bias[0, 0]:.4f}")
    assert abs(weight - 0.6) <= found.bias[0, 0] + 4 * error


def test_noise_widens_the_error_and_not_the_weight(tmp_path):
    found, _ = blended(tmp_path, [0.6], displacement=0.5, noise=0.5)
    assert abs(found.parents.weights[0, 0] - 0.6) <= 4 * found.standard_error[0, 0]
    assert 0.5 < found.parents.r2[0] < 0.75


def test_a_control_is_fitted_alone(tmp_path):
    found, arrays = blended(tmp_path, [0.6], displacement=0.5, control=True)
    exact = gram_of(arrays)
    assert found.parents.weights[0] == pytest.approx([0.6], abs=1e-3)
    assert found.controls[0] == pytest.approx([exact[2, 3] / exact[2, 2]], rel=1e-12)
    assert found.cosines[0, 2] == pytest.approx(
        exact[2, 3] / math.sqrt(exact[2, 2] * exact[3, 3]), rel=1e-12
    )
    assert 0 < found.cosines[0, 2] < 0.2


def test_weights_that_do_not_sum_to_one_are_found_with_the_base(tmp_path):
    random = np.random.default_rng(8)
    base = random.normal(0, 1, 50_000)
    parent = base + random.normal(0, 0.5, base.size)
    arrays = [base, parent, 0.5 * base + 0.7 * parent]
    checkpoints = [opened(tmp_path, f"c{i}", {"x": array}) for i, array in enumerate(arrays)]
    alignment = align(checkpoints[-1], checkpoints[:-1])
    found = estimate(read_slices(alignment, 0, 1, Options(1)), roles_in(alignment, 1))
    # 0.5 b + 0.7 p = b + 0.2 b + 0.7 (p - b)
    assert found.free.weights[0] == pytest.approx([0.2, 0.7], rel=1e-9)
    assert found.free.residual[0] == pytest.approx(0, abs=1e-12 * found.free.energy[0])
    assert found.parents.residual[0] > 0.01 * found.parents.energy[0]


def test_an_independent_displacement_is_not_significant(tmp_path):
    values = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        arrays = [x.astype(np.float32) for x in random.normal(0, 1, (3, 5000))]
        arrays[0] = np.zeros(5000, np.float32)
        checkpoints = [
            opened(tmp_path / str(seed), f"c{i}", {"x": array}) for i, array in enumerate(arrays)
        ]
        alignment = align(checkpoints[-1], checkpoints[:-1])
        values.append(
            estimate(read_slices(alignment, 0, 1, Options(1)), roles_in(alignment, 1)).log10_p[0, 0]
        )
    # A bound on p-values of a true null: a twentieth of them below 0.05, at most.
    assert sum(value < math.log10(0.05) for value in values) <= 1
