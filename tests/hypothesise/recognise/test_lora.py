"""Matrices of low rank on a checkpoint: which, of what rank, and what is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from common.families import F32, F64, SHAPES, Array, Tensors, found_in, made
from common.recognised import best_of
from conftest import BF16
from parentage.hypothesise import (
    LEAST_GAIN,
    hypothesise,
)
from parentage.methods import to_mergekit
from parentage.support import RecipeError

ADAPTED = [name for name in SHAPES if "q_proj" in name]
TUNED = made({"one": 0.004}, seed=23)


def adapted(rank: int, rounding: Callable[[Any], Array] = F32, scale: float = 0.01) -> Tensors:
    rng = np.random.default_rng(29)
    child = {t: x.astype(BF16) for t, x in TUNED["base"].items()}
    for tensor in ADAPTED:
        rows, columns = SHAPES[tensor]
        left = rng.normal(0, 1, (rows, rank)).astype(F32)
        right = rng.normal(0, scale, (rank, columns)).astype(F32)
        product = rounding(F32(left @ right))
        child[tensor] = (TUNED["base"][tensor] + product).astype(BF16)
    return child


@pytest.mark.parametrize("rank", [1, 4, 8])
def test_a_merged_lora_is_found_with_its_rank(tmp_path, rank):
    best = best_of(tmp_path, TUNED, adapted(rank), ["one"])
    recipe = best.recipe
    assert (recipe.method, recipe.arithmetic) == ("lora", "float32")
    # The room that cells leave a matrix of rank one is so thin that the search may end beside it.
    assert best.mismatched <= (20 if rank == 1 else 0)
    assert recipe.checkpoints == ("base",)
    assert recipe.parameters["rank"] == rank
    assert set(recipe.matrices) == set(ADAPTED)
    assert {np.asarray(left).shape[1] for left, _ in recipe.matrices.values()} == {rank}
    with pytest.raises(RecipeError, match="mergekit has nothing"):
        to_mergekit(recipe)


def test_a_lora_on_a_parent_is_found_on_the_parent(tmp_path):
    child = adapted(4)
    for tensor in SHAPES:
        if tensor not in ADAPTED:
            child[tensor] = TUNED["one"][tensor].astype(BF16)
        else:
            change = child[tensor].astype(F64) - TUNED["base"][tensor]
            left, values, right = np.linalg.svd(change, full_matrices=False)
            low = (left[:, :4] * values[:4]) @ right[:4]
            child[tensor] = (TUNED["one"][tensor] + low.astype(F32)).astype(BF16)
    best = best_of(tmp_path, TUNED, child, ["one"])
    assert (best.recipe.method, best.recipe.checkpoints) == ("lora", ("one",))
    assert best.share > 0.9999


def test_a_fine_tune_of_full_rank_is_no_lora(tmp_path):
    child = {t: x.astype(BF16) for t, x in TUNED["base"].items()}
    for tensor in ADAPTED:
        child[tensor] = TUNED["one"][tensor].astype(BF16)
    rng = np.random.default_rng(31)
    for tensor in ADAPTED:
        noise = rng.normal(0, 0.004, SHAPES[tensor])
        child[tensor] = (TUNED["base"][tensor] + noise).astype(F32).astype(BF16)
    found = hypothesise(found_in(tmp_path, TUNED, child, ["one"]))
    assert all(each.recipe.method != "lora" for each in found)
    assert not found or found[0].gain < LEAST_GAIN
