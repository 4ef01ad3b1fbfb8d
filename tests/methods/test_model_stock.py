"""The base and the mean of its fine-tunes, weighted by tensor or by row."""

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
from common.families import F64, bf16
from conftest import BF16

NAMES = ("one", "two", "three")


def ratio(tensor, axis=None):
    """Return t = n c / (1 + (n - 1) c) of a tensor or, along an axis, of its rows."""
    base = LITTLE["base"][tensor].astype(F64)
    deltas = [LITTLE[name][tensor].astype(F64) - base for name in NAMES]
    pairs = [(deltas[i], deltas[j]) for i in range(3) for j in range(i)]
    found = [
        (x * y).sum(axis=axis, keepdims=True)
        / np.sqrt((x * x).sum(axis=axis, keepdims=True) * (y * y).sum(axis=axis, keepdims=True))
        for x, y in pairs
    ]
    cosine = np.mean(found, axis=0)
    return 3 * cosine / (1 + 2 * cosine)


RECIPE = recipe_of(
    "model_stock",
    dict.fromkeys(NAMES),
    "base",
    fitted={"t": by_tensor(lambda name: ratio(name).item())},
)


def formula(axis):
    def child(tensor, x):
        t = ratio(tensor, axis if len(TINY[tensor]) > 1 else None)
        return t * np.mean([x(name) for name in NAMES], axis=0) + (1.0 - t) * x("base")

    return child


def test_a_tensor_has_one_ratio(tmp_path):
    assert_computes(tmp_path, RECIPE, formula(None))


def test_a_row_has_its_own_ratio_where_filters_are_told_apart(tmp_path):
    matrices = {
        tensor: (
            ratio(tensor, -1 if len(shape) > 1 else None).reshape(-1, 1),
            np.ones((1, shape[-1])),
        )
        for tensor, shape in TINY.items()
    }
    recipe = replace(RECIPE, parameters={"filter_wise": True}, fitted={}, matrices=matrices)
    assert_computes(tmp_path, recipe, formula(-1))
    assert configuration(recipe)["parameters"] == {"filter_wise": True}


def test_in_bf16_every_step_is_rounded(tmp_path):
    found = carried_out(tmp_path, replace(RECIPE, arithmetic="bfloat16"))
    for tensor in TINY:
        base, one, two, three = (LITTLE[name][tensor] for name in ("base", *NAMES))
        t = bf16(ratio(tensor).item())
        mean = bf16(bf16(bf16(one + two) + three) / np.float32(3.0))
        expected = bf16(bf16(mean * t) + bf16(base * bf16(1.0 - t)))
        assert found[tensor].tobytes() == expected.astype(BF16).tobytes()


def test_mergekit_is_told_base_and_models():
    assert configuration(RECIPE) == {
        "merge_method": "model_stock",
        "base_model": "base",
        "models": [{"model": name} for name in NAMES],
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


@pytest.mark.parametrize("changes", [{"base": None}, {"parameters": {"filter_wise": 0.5}}], ids=str)
def test_bad_settings_are_refused(changes):
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, **changes), "needs a base|true or false")
