"""Low rank, noise, strangers: what is told by the difference as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from common.changes import FLOATS, told, trained, weights
from parentage.places.pair import cast, units
from parentage.places.spectra import white

dtypes = pytest.mark.parametrize("dtype", FLOATS)
SHAPE = (160, 128)


@dtypes
@pytest.mark.parametrize("rank", [1, 4, 16])
def test_low_rank_is_told_with_its_rank(dtype, rank):
    x = weights(dtype, SHAPE)
    rng = np.random.default_rng(2)
    added = rng.normal(0, 0.003, (160, rank)) @ rng.normal(size=(rank, 128))
    change = told(cast(x + added, dtype), x, dtype)
    assert (change.kind, change.numbers["rank"]) == ("low rank", rank)


@dtypes
@pytest.mark.parametrize("size", [0.0003, 0.001, 0.0014, 0.01])
def test_noise_is_told_with_its_size(dtype, size):
    x = weights(dtype, SHAPE)
    rng = np.random.default_rng(2)
    normal = told(cast(x + rng.normal(0, size, SHAPE), dtype), x, dtype)
    assert normal.kind == "noise"
    assert normal.numbers["size"] == pytest.approx(size, rel=0.05)
    uniform = told(cast(x + size * rng.uniform(-1.7, 1.7, SHAPE), dtype), x, dtype)
    assert uniform.kind == "noise"


@dtypes
def test_noise_of_some_units_is_told_in_units(dtype):
    x = weights(dtype, SHAPE)
    noise = np.random.default_rng(2).normal(size=SHAPE)
    change = told(cast(x + 4.0 * units(x, dtype) * noise, dtype), x, dtype)
    assert change.kind == "noise"
    assert change.numbers["units"] == pytest.approx(4.0, rel=0.05)


@dtypes
def test_noise_on_training_is_moved(dtype):
    x = weights(dtype, SHAPE)
    noise = np.random.default_rng(2).normal(0, 0.001, SHAPE)
    child = cast(x + trained(SHAPE, size=0.001) + noise, dtype)
    assert told(child, x, dtype).kind == "moved"


@dtypes
def test_strangers_are_told_and_heavy_noise_is_none(dtype):
    x, y = weights(dtype, SHAPE), weights(dtype, SHAPE, seed=1)
    change = told(y, x, dtype, other=weights(dtype, SHAPE, seed=2))
    assert change.kind == "foreign"
    assert change.text.endswith("as a new initialisation has")
    # Half of it is x.
    noise = np.random.default_rng(5).normal(0, 0.02, SHAPE)
    assert told(cast(x + noise, dtype), x, dtype).kind == "noise"
    # A relative of another that was offered is no stranger.
    near = cast(y + trained(SHAPE), dtype)
    assert told(near, x, dtype, other=y).kind != "foreign"


def test_vectors_are_never_strangers_nor_noise():
    rng = np.random.default_rng(0)
    x, y = (cast(rng.normal(0, 0.02, 4096), "BF16") for _ in range(2))
    assert told(y, x, "BF16").kind == "moved"


@dtypes
def test_rounding_at_random_and_cutting_off_are_told(dtype):
    blend = 0.6 * weights(dtype, SHAPE) + 0.4 * weights(dtype, SHAPE, seed=1)
    unit = units(blend, dtype)
    below = np.floor(blend / unit)
    up = np.random.default_rng(3).random(SHAPE) < blend / unit - below
    assert "rounded at random" in told((below + up) * unit, blend, dtype).text
    assert "cut off" in told(np.trunc(blend / unit) * unit, blend, dtype).text
    # Up or down by the toss of a coin is neither.
    coin = np.random.default_rng(4).random(SHAPE) < 0.5
    assert told((below + coin) * unit, blend, dtype).kind == "units"


def test_few_numbers_do_not_show_how_they_were_rounded():
    blend = 0.6 * weights("BF16", (120,), size=1.0) + 0.4 * weights("BF16", (120,), 1, 1.0)
    unit = units(blend, "BF16")
    assert told(np.trunc(blend / unit) * unit, blend, "BF16").kind == "units"


def test_white_is_said_of_independent_numbers_alone():
    rng = np.random.default_rng(0)
    for shape in ((32, 32), (64, 500), (900, 48), (600, 1200)):
        assert white(rng.normal(size=shape)) == "normal "
        assert white(rng.uniform(-1, 1, shape)) == "uniform "
        assert white(trained(shape)) is None
        assert white(rng.normal(size=shape) * rng.uniform(0.5, 2, (shape[0], 1))) is None
        assert white(rng.normal(size=shape) + 0.5) is None
        # Adam's first step: all of one size.
        assert white(np.sign(rng.normal(size=shape))) is None
    assert white(rng.normal(size=(31, 1000))) is None
