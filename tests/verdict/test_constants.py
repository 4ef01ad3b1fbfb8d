"""Constants are recognised by value; what was learned is not."""

import numpy as np
import parentage
import pytest
from conftest import BF16, write_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from parentage.verdict.constants import is_constant

P = np.arange(200)[:, None]
FREQUENCIES = 10000.0 ** -(np.arange(16) / 16)
STORED = {"F32": np.float32, "BF16": BF16, "F16": np.float16}


def window(n):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def basis(n=128):
    turns = 2 * np.pi * np.outer(np.arange(n // 2 + 1), np.arange(n)) / n
    return np.concatenate([np.cos(turns), np.sin(turns)]) * window(n)


def mel(filters=20, bins=201):
    edges = np.geomspace(2, bins, filters + 2)
    at = np.arange(bins)
    rise = (at - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - at) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall))


BETAS = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
COMPUTED = {
    "ones": np.ones(64),
    "zeros": np.zeros((8, 8)),
    "rotary": FREQUENCIES,
    "sinusoids": np.concatenate([np.sin(P * FREQUENCIES), np.cos(P * FREQUENCIES)], axis=1),
    "mask": np.tril(np.ones((32, 32))),
    "betas": BETAS,
    "schedule": np.cumprod(1 - BETAS),
    "fourier": basis(),
    "mel": mel(),
}


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_is_a_constant(name, dtype):
    values = COMPUTED[name].astype(STORED[dtype])
    assert is_constant(values.astype(float).ravel(), values.shape, dtype)


def test_position_ids_are_constants():
    assert is_constant(np.arange(77.0), (1, 77), "I64")


@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(64,), (1, 77), (200, 32), (32, 200), (16, 3)]),
    centre=st.sampled_from([0.0, 1.0]),
    dtype=st.sampled_from(sorted(STORED)),
)
def test_what_is_random_is_none(seed, shape, centre, dtype):
    values = np.random.default_rng(seed).normal(centre, 0.02, shape).astype(STORED[dtype])
    assert not is_constant(values.astype(float).ravel(), shape, dtype)


@pytest.mark.parametrize("name", ["base", "parent"])
def test_no_tensor_of_real_models_but_ones_is_a_constant(weights, name):
    found = [
        key
        for key, values in weights[name].items()
        if is_constant(values.astype(float).ravel(), values.shape, "BF16")
    ]
    assert [key for key in found if len(np.unique(weights[name][key].astype(float))) > 1] == []


def test_constants_are_counted_apart(tmp_path, weights):
    more = {"model.rotary.inv_freq": FREQUENCIES.astype(np.float32)}
    paths = {
        name: write_checkpoint(tmp_path / name, {**weights[name], **more})
        for name in ("base", "parent", "child")
    }
    found = parentage.trace(paths["child"], base=paths["base"], parents=[paths["parent"]])
    assert found.verdict.kind == "merge"
    assert found.verdict.numbers["constants"] == 16
