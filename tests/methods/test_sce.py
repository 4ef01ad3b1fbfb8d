"""Means, weighted by energy, of displacements where those differ the most."""

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
    compared,
    configuration,
    recipe_of,
)
from common.families import F32, F64
from common.masked import largest
from conftest import BF16

NAMES = ("one", "two", "three")


def deltas(tensor):
    base = LITTLE["base"][tensor].astype(F64)
    return np.stack([LITTLE[name][tensor] - base for name in NAMES])


def energy(tensor):
    squares = np.array([(d * d).mean() for d in deltas(tensor)])
    return squares / squares.sum()


RECIPE = recipe_of(
    "sce",
    dict.fromkeys(NAMES),
    "base",
    fitted={f"weight:{x}": by_tensor(lambda t, i=i: energy(t)[i]) for i, x in enumerate(NAMES)},
)


def mean(tensor):
    """Return the mean of the displacements whose sign is that of their sum, by energy."""
    stack = deltas(tensor)
    wins = np.sign(stack) == np.where(stack.sum(axis=0) >= 0, 1, -1)
    shares = energy(tensor).reshape(3, *[1] * (stack.ndim - 1)) * wins
    return (stack * shares).sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-6)


def test_those_of_the_winning_sign_are_averaged_by_energy(tmp_path):
    assert_computes(tmp_path, RECIPE, lambda tensor, x: x("base") + mean(tensor))


def test_elements_of_small_variance_stay_the_base_s_and_those_at_the_threshold_are_open(tmp_path):
    child, edges, is_open = {}, {}, 0
    for tensor in TINY:
        variance = deltas(tensor).var(axis=0)
        count = variance.size // 2
        kept = largest(variance, count)
        order = np.sort(variance.ravel())[::-1]
        # One on either side of the threshold may be either.
        edges[tensor] = (float(order[count] * 0.999), float(order[count - 1] * 1.001))
        is_open += int(((variance >= edges[tensor][0]) & (variance <= edges[tensor][1])).sum())
        base = LITTLE["base"][tensor]
        child[tensor] = np.where(kept, base + mean(tensor), base).astype(F32).astype(BF16)
    fitted = {
        **RECIPE.fitted,
        "low:variance": {tensor: low for tensor, (low, _) in edges.items()},
        "high:variance": {tensor: high for tensor, (_, high) in edges.items()},
    }
    recipe = replace(RECIPE, parameters={"select_topk": 0.5}, fitted=fitted)
    found = compared(tmp_path, recipe, child)
    assert found.mismatched <= 2
    assert 0 < found.explained <= is_open


def test_mergekit_is_told_the_share_that_is_selected():
    found = configuration(replace(RECIPE, parameters={"select_topk": 0.5}))
    assert found["merge_method"] == "sce"
    assert (found["base_model"], found["parameters"]) == ("base", {"select_topk": 0.5})
    assert found["models"] == [{"model": name} for name in NAMES]


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"base": None}, "needs a base"), ({"parameters": {"t": 1.0}}, "no parameter 't'")],
)
def test_it_is_described_and_bad_settings_are_refused(changes, told):
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, **changes), told)
