"""Each element is the base's or the parent's."""

from dataclasses import replace

import numpy as np
from common.carried import (
    LITTLE,
    TINY,
    assert_described,
    assert_refused,
    compared,
    configuration,
    recipe_of,
)
from common.families import bf16, stored
from conftest import BF16

RECIPE = recipe_of("arcee_fusion", {"one": None}, "base")


def fused(tensor, share, delta):
    rng = np.random.default_rng(11)
    base = LITTLE["base"][tensor]
    return base + delta * (rng.random(base.shape) < share)


def test_any_choice_between_the_two_is_explained_and_nothing_else(tmp_path):
    child = {}
    for tensor in TINY:
        delta = LITTLE["one"][tensor] - LITTLE["base"][tensor]
        child[tensor] = fused(tensor, 0.5, delta).astype(BF16)
    found = compared(tmp_path / "a", RECIPE, child)
    assert found.mismatched == 0
    # Where the two are equal there is no choice.
    assert 0 < found.elements - found.explained < 0.1 * found.elements
    other = compared(tmp_path / "b", RECIPE, stored(LITTLE["two"]))
    assert other.mismatched > 0.8 * other.elements
    away = {t: 2.0 * LITTLE["base"][t] - LITTLE["one"][t] for t in TINY}
    other = compared(tmp_path / "c", RECIPE, stored(away))
    assert other.mismatched > 0.8 * other.elements


def test_in_bf16_the_displacement_is_rounded(tmp_path):
    recipe = replace(RECIPE, arithmetic="bfloat16")
    child = {}
    for tensor in TINY:
        delta = bf16(LITTLE["one"][tensor] - LITTLE["base"][tensor])
        child[tensor] = fused(tensor, 1.0, delta).astype(BF16)
    assert any((child[t].astype(np.float32) != LITTLE["one"][t]).any() for t in TINY)
    assert compared(tmp_path, recipe, child).mismatched == 0


def test_mergekit_is_told_base_and_parent():
    assert configuration(RECIPE) == {
        "merge_method": "arcee_fusion",
        "base_model": "base",
        "models": [{"model": "one"}],
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


def test_it_is_described_and_bad_settings_are_refused():
    assert_described(RECIPE)
    assert_refused(replace(RECIPE, base=None), "needs a base")
    two = recipe_of("arcee_fusion", {"one": None, "two": None}, "base")
    assert_refused(two, "takes 1 parents, and here are 2")
