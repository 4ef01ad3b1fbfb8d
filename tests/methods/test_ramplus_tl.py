"""RAM with what a single parent changed scaled up, tensor by tensor."""

from dataclasses import replace

import numpy as np
import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_computes,
    assert_described,
    assert_refused,
    compared,
    configuration,
    recipe_of,
)
from common.masked import BOTH, Case, merged

NAMES = ("one", "two")
FACTORS = {
    f"factor:{name}": {tensor: 1.0 + 0.005 * (i + j) for j, tensor in enumerate(TINY)}
    for i, name in enumerate(NAMES)
}
RECIPE = recipe_of("ramplus_tl", dict.fromkeys(NAMES), "base", fitted=FACTORS)


def test_what_one_parent_changed_alone_is_multiplied_and_the_rest_averaged(tmp_path):
    def formula(tensor, x):
        deltas = np.stack([x(name) - x("base") for name in NAMES])
        counts = np.abs(deltas) > 0.015
        number = counts.sum(axis=0)
        factors = np.array([FACTORS[f"factor:{name}"][tensor] for name in NAMES])
        alone = (deltas * counts * factors.reshape(2, *[1] * (deltas.ndim - 1))).sum(axis=0)
        shared = (deltas * counts).sum(axis=0) / np.maximum(number, 1)
        return x("base") + np.where(number > 1, shared, alone)

    assert_computes(tmp_path, replace(RECIPE, parameters={"epsilon": 0.015}), formula)


def factor(name, tensor, names):
    """Return 1 + 0.1 min(shared / unique, 0.2), from counts of changes."""
    base = LITTLE["base"][tensor]
    counts = {each: np.abs(LITTLE[each][tensor] - base) > 1e-5 for each in names}
    number = sum(each.astype(int) for each in counts.values())
    shared, unique = ((counts[name] & (number > 1)).sum(), (counts[name] & (number == 1)).sum())
    return 1.0 + 0.1 * min(shared / max(unique, 1e-5), 0.2)


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("names", [NAMES, ("one",)], ids=len)
def test_every_arithmetic_gives_the_bits_of_numpy(tmp_path, dtype, names):
    child = merged(Case("ramplus_tl", (None,) * len(names), dtype=dtype), LITTLE)
    fitted = {
        f"factor:{name}": {tensor: factor(name, tensor, names) for tensor in TINY} for name in names
    }
    recipe = recipe_of("ramplus_tl", dict.fromkeys(names), "base", arithmetic=dtype, fitted=fitted)
    found = compared(tmp_path, recipe, child)
    assert (found.mismatched, found.explained) == (0, 0)


def test_mergekit_is_told_its_parameters():
    parameters = {"r": 0.2, "alpha": 0.5, "epsilon": 1e-4}
    found = configuration(replace(RECIPE, parameters=parameters))
    assert (found["merge_method"], found["parameters"]) == ("ramplus_tl", parameters)


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, base=None), "needs a base")
    assert_refused(replace(RECIPE, parameters={"density": 0.5}), "no parameter 'density'")
