"""Barycentric interpolation on a sphere, of checkpoints or of displacements."""

from dataclasses import replace

import numpy as np
import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_computes,
    assert_described,
    assert_refused,
    configuration,
    recipe_of,
)
from common.families import F64

WEIGHTS = {"one": 0.5, "two": 0.3, "three": 0.4}
SHARES = np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())


def interpolated(tensor, base):
    """Return the point on the sphere, and the numbers that recipes have of it."""
    start = 0.0 if base is None else LITTLE[base][tensor].astype(F64)
    parts = [(LITTLE[name][tensor].astype(F64) - start).ravel() for name in WEIGHTS]
    norms = [np.linalg.norm(x) for x in parts]
    units = [x / n for x, n in zip(parts, norms, strict=True)]
    mean = SHARES @ units
    size = np.linalg.norm(mean)
    mean /= size
    dots = [unit @ mean for unit in units]
    tangent = SHARES @ [unit - dot * mean for unit, dot in zip(units, dots, strict=True)]
    # Nothing but rounding, for a weighted mean of unit vectors: the tool adds this, too.
    angle = np.linalg.norm(tangent) + 1e-8
    point = np.cos(angle) * mean + np.sin(angle) / angle * tangent
    length = SHARES @ norms
    numbers = {
        **{f"norm_{i}": x for i, x in enumerate(norms)},
        **{f"dot_{i}": x for i, x in enumerate(dots)},
        "mean": size,
        "cosine": np.cos(angle),
        "sine": np.sin(angle) / angle,
        "length": length,
    }
    return start + (length * point).reshape(TINY[tensor]), numbers


def recipe_on(base):
    tables = {}
    for tensor in TINY:
        for name, number in interpolated(tensor, base)[1].items():
            tables.setdefault(name, {})[tensor] = float(number)
    return recipe_of("multislerp", WEIGHTS, base, fitted=tables)


@pytest.mark.parametrize("base", [None, "base"])
def test_the_child_is_the_weighted_mean_on_the_sphere(tmp_path, base):
    assert_computes(tmp_path, recipe_on(base), lambda tensor, _: interpolated(tensor, base)[0])


def test_mergekit_is_told_weights_and_base():
    found = configuration(recipe_on("base"))
    assert found["merge_method"] == "multislerp"
    assert found["base_model"] == "base"
    assert [each["parameters"] for each in found["models"]] == [
        {"weight": weight} for weight in WEIGHTS.values()
    ]
    assert "base_model" not in configuration(recipe_on(None))


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(recipe_on(None))
    assert_refused(recipe_of("multislerp", {"one": 0.5, "two": -0.5}), "sum to 0")
    assert_refused(replace(recipe_on(None), parameters={"t": 0.5}), "no parameter 't'")
