"""The mean of whole checkpoints on a sphere."""

from dataclasses import replace

import numpy as np
import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_computes,
    assert_described,
    assert_refused,
    by_tensor,
    carried_out,
    configuration,
    recipe_of,
)
from common.families import F64
from common.spheres import karcher

NAMES = ("one", "two", "three")


def weights(tensor):
    """Return what each checkpoint weighs in the mean, by least squares."""
    columns = np.stack([LITTLE[name][tensor].astype(F64).ravel() for name in NAMES], axis=1)
    mean = karcher([LITTLE[name][tensor] for name in NAMES]).astype(F64)
    return np.linalg.lstsq(columns, mean.ravel(), rcond=None)[0]


RECIPE = recipe_of(
    "karcher",
    dict.fromkeys(NAMES),
    fitted={f"weight_{i}": by_tensor(lambda name, i=i: weights(name)[i]) for i in range(3)},
)


def test_the_child_is_the_riemannian_mean(tmp_path):
    assert_computes(
        tmp_path, RECIPE, lambda _, x: karcher([x(name).astype(np.float32) for name in NAMES])
    )


def test_the_mean_is_as_near_to_each_on_the_sphere(tmp_path):
    found = carried_out(tmp_path, replace(RECIPE, out_dtype="F32"))
    for tensor in TINY:
        mean = found[tensor].astype(F64).ravel()
        parts = [LITTLE[name][tensor].astype(F64).ravel() for name in NAMES]
        unit = mean / np.linalg.norm(mean)
        steps = []
        for part in parts:
            other = part / np.linalg.norm(part)
            theta = np.arccos(np.clip(other @ unit, -1, 1))
            steps.append(theta / np.sin(theta) * (other - np.cos(theta) * unit))
        # At the mean, the ways to all of them cancel.
        assert np.linalg.norm(np.mean(steps, axis=0)) < 1e-4
        assert np.linalg.norm(mean) == pytest.approx(np.mean([np.linalg.norm(x) for x in parts]))


def test_mergekit_is_told_the_models_alone():
    assert configuration(RECIPE) == {
        "merge_method": "karcher",
        "models": [{"model": name} for name in NAMES],
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, parameters={"t": 0.5}), "no parameter 't'")
    assert_refused(replace(RECIPE, arithmetic="bfloat16"), "no arithmetic")
