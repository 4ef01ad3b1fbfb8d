"""Standard errors hold the truth where rounding is all there is, and where it is not."""

import ml_dtypes
import numpy as np
import pytest
from conftest import opened, roles_in
from hypothesis import given, settings
from hypothesis import strategies as st
from parentage.align import align
from parentage.statistics import Scattered, full_pass, rounding_moves
from parentage.stream import Options

BF16 = ml_dtypes.bfloat16
DTYPES = [BF16, np.float16, np.float32]


def estimates(folder, weights, dtype, *, n, scale, noise=0.0, seed=0):
    """Estimates of a blend of bf16 relatives that are ``scale`` of their base away from it."""
    random = np.random.default_rng(seed)
    base = random.normal(0, 0.02, n).astype(BF16).astype(np.float64)
    parents = [
        (base + scale * random.normal(0, 0.02, n)).astype(BF16).astype(np.float64) for _ in weights
    ]
    child = base + sum(w * (p - base) for w, p in zip(weights, parents, strict=True))
    child = child + noise * scale * random.normal(0, 0.02, n)
    tensors = [{"x": each.astype(BF16)} for each in (base, *parents)]
    alignment = paired(folder, child.astype(dtype), tensors)
    return full_pass(alignment, roles_in(alignment, len(weights)), Options(1)).model.estimates


def paired(folder, child, tensors):
    others = [opened(folder, f"other{i}", each) for i, each in enumerate(tensors)]
    return align(opened(folder, "child", {"x": child}), others)


@pytest.mark.parametrize("dtype", DTYPES, ids=["bf16", "f16", "f32"])
@pytest.mark.parametrize("scale", [0.06, 0.005], ids=["decoder", "encoder"])
@pytest.mark.parametrize("parents", [1, 2])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_standard_errors_hold_the_truth(tmp_path, dtype, scale, parents, noise):
    random = np.random.default_rng(parents)
    deviations, ratios = [], []
    for seed in range(4):
        weights = random.uniform(0, 1, parents)
        found = estimates(
            tmp_path / str(seed), weights, dtype, n=2000, scale=scale, noise=noise, seed=seed
        )
        error = np.abs(found.parents.weights[0] - weights)
        deviations += (error / found.standard_error[0]).tolist()
        ratios += (found.standard_error[0] / np.maximum(error, 1e-12)).tolist()
    # At least 95.4 % within two: of 4 to 8, more than two beyond come once in two hundred.
    assert np.sum(np.array(deviations) > 2) <= 2
    assert max(deviations) <= 4
    assert np.median(ratios) < 30


def test_an_estimate_that_rounding_has_made_whole_says_so(tmp_path):
    # Displacements of one unit: any weight below a half is rounded away.
    base = np.random.default_rng(1).choice([1.0, -1.0], 2000)
    parent = base * (1 + 2.0**-7)
    child = (base + 0.3 * (parent - base)).astype(BF16)
    assert np.array_equal(child.astype(float), base)
    tensors = [{"x": base.astype(BF16)}, {"x": parent.astype(BF16)}]
    alignment = paired(tmp_path, child, tensors)
    found = full_pass(alignment, roles_in(alignment, 1), Options(1)).model.estimates
    assert found.parents.weights[0, 0] == 0.0
    assert 0.3 <= found.standard_error[0, 0] < 1.0
    assert found.bias[0, 0] >= 0.3


def scattered(base, moved, child):
    elements = np.stack([base, *(base + each for each in moved), child], axis=1)
    n = len(base)
    zeros = np.zeros(n, dtype=np.intp)
    return Scattered(elements, zeros, np.ones(n), zeros, 1)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 1.0), st.integers(1, 24), st.integers(0, 1000))
def test_the_bound_holds_what_rounding_did(weight, units, seed):
    random = np.random.default_rng(seed)
    base = random.uniform(1.0, 1.5, 500).astype(BF16).astype(np.float64)
    moved = random.integers(-units, units + 1, 500) * 2.0**-7
    if not np.any(moved):
        return
    child = (base + weight * moved).astype(BF16).astype(np.float64)
    estimate = float(moved @ (child - base) / (moved @ moved))
    bound = rounding_moves(
        scattered(base, [moved], child),
        ["BF16"],
        np.zeros(1, np.intp),
        np.array([[[moved @ moved]]]),
        np.array([[estimate]]),
        np.zeros((1, 1)),
    )
    # Twice, where all displacements are of one unit and weights of half a unit apart look alike.
    assert abs(estimate - weight) <= 2.0 * bound[0, 0] + 1e-12


def test_integers_are_not_rounded_and_groups_without_elements_are_zero():
    base, moved = np.arange(20.0), np.ones(20)
    held = scattered(base, [moved], base + moved)
    arguments = (np.array([[[20.0]]] * 2), np.ones((2, 1)), np.zeros((2, 1)))
    assert rounding_moves(held, ["I32"], np.zeros(1, np.intp), *arguments).tolist() == [[0], [0]]
    assert rounding_moves(held, ["BF16"], np.full(1, 2), *arguments).tolist() == [[0], [0]]
