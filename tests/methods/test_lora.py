"""One checkpoint plus a matrix of low rank in each of some tensors."""

from dataclasses import replace

import numpy as np
import pytest
from common.carried import (
    LITTLE,
    TINY,
    assert_refused,
    carried_out,
    recipe_of,
)
from common.families import F32, bf16
from conftest import BF16
from parentage.methods import METHODS, from_json, to_mergekit
from parentage.support import RecipeError

ADAPTED = "model.layers.1.mlp.up_proj.weight"


def pair(rank=2, seed=5):
    rng = np.random.default_rng(seed)
    rows, columns = TINY[ADAPTED]
    # Few bits, so that products and their sums are exact in any order.
    left = rng.integers(-8, 9, (rows, rank)) / 64.0
    return left, rng.integers(-8, 9, (rank, columns)) / 64.0


RECIPE = recipe_of("lora", {"one": None}, parameters={"rank": 2.0}, matrices={ADAPTED: pair()})


@pytest.mark.parametrize(("arithmetic", "q"), [("float32", F32), ("bfloat16", bf16)])
def test_the_product_is_added_where_there_is_one_and_the_rest_are_copies(tmp_path, arithmetic, q):
    family = {name: dict(tensors) for name, tensors in LITTLE.items()}
    family["one"]["model.norm.weight"] = np.array([-0.0, 0.0, 1, 2, 3, 4, 5, 6], F32)
    found = carried_out(tmp_path, replace(RECIPE, arithmetic=arithmetic), family)
    left, right = pair()
    for tensor, x in family["one"].items():
        expected = q(x + q(left @ right)) if tensor == ADAPTED else x
        # Copies keep the sign of their zeros.
        assert found[tensor].tobytes() == expected.astype(BF16).tobytes()


def test_a_child_of_it_is_a_fine_tune():
    assert METHODS["lora"].verdict(RECIPE) == "fine-tune"


def test_mergekit_has_no_such_method():
    with pytest.raises(RecipeError, match="mergekit has nothing that does what lora does"):
        to_mergekit(RECIPE)


def test_it_is_described_and_bad_settings_are_refused():
    assert RECIPE.describe().startswith("one with a matrix of low rank added to")
    assert "rank 2" in RECIPE.describe()
    again = from_json(RECIPE.to_json())
    assert np.array_equal(again.matrices[ADAPTED][0], pair()[0])
    assert_refused(recipe_of("lora", {"one": None, "two": None}), "takes 1 parents, and here are 2")
    left, right = pair()
    assert_refused(replace(RECIPE, matrices={ADAPTED: (left, right[:1])}), "do not multiply")


def test_a_matrix_of_another_shape_than_its_tensor_is_refused(tmp_path):
    left, right = pair()
    wrong = replace(RECIPE, matrices={ADAPTED: (left[:-1], right)})
    with pytest.raises(RecipeError, match="15 x 8"):
        carried_out(tmp_path, wrong)
