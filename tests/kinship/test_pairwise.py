"""Two checkpoints: what is the same, what is alike, and what proves nothing."""

import ml_dtypes
import numpy as np
import parentage
import pytest
from conftest import BF16, family_path, write_checkpoint
from parentage.checkpoint import Checkpoint
from parentage.kinship import pair_of
from parentage.stream import Options


def compared(one, other):
    return pair_of(Checkpoint.open(one), Checkpoint.open(other), Options(2))


def stranger(weights, seed=0):
    """Return a model of the same shapes and sizes of numbers, and of another beginning."""
    draw = np.random.default_rng(seed)
    return {
        name: (draw.normal(size=x.shape) * float(np.std(x.astype(np.float64)) or 1.0)).astype(BF16)
        for name, x in weights.items()
    }


def test_relatives_are_told_with_a_null_and_by_component_and_layer():
    found = compared(family_path("parent"), family_path("sibling"))
    assert (found.relation, found.level) == ("close relatives", "statistical")
    assert found.cosine > 0.99 > 0.3 > found.null > 0.0
    assert found.null_pairs == 2
    assert {"attention", "mlp", "norm"} == set(found.components["component"])
    assert found.layers["layer"].to_list() == [0, 1]
    assert found.slices["elements"].sum() == found.elements == 294_488
    assert "first was not tested" in found.text


def test_the_order_in_which_they_are_given_changes_no_relation(tmp_path, weights):
    write_checkpoint(
        tmp_path / "f16", {k: x.astype(np.float16) for k, x in weights["base"].items()}
    )
    for one, other in (
        (family_path("base"), tmp_path / "f16"),
        (family_path("base"), family_path("child")),
    ):
        first, second = compared(one, other), compared(other, one)
        assert first.relation == second.relation
        assert first.cosine == pytest.approx(second.cosine, abs=1e-12)


def test_independent_models_are_unrelated_whatever_their_norms(tmp_path, weights):
    path = write_checkpoint(tmp_path / "other", stranger(weights["base"]))
    found = compared(path, family_path("base"))
    assert found.relation == "unrelated"
    assert abs(found.cosine) < 0.02


def test_constants_are_no_kinship(tmp_path, weights):
    table = np.sin(np.outer(np.arange(64), 10000.0 ** -(np.arange(64) / 64))).astype(np.float32)
    frequencies = (10000.0 ** -(np.arange(32) / 32)).astype(np.float32)
    same = {"rotary.inv_freq": frequencies, "positions": table, "mask": np.ones((64, 64), "f4")}
    one = write_checkpoint(tmp_path / "one", {**stranger(weights["base"], 1), **same})
    two = write_checkpoint(tmp_path / "two", {**stranger(weights["base"], 2), **same})
    found = compared(one, two)
    assert found.relation == "unrelated"
    assert "computed, not learned" in found.text
    rows = {each["slice"]: each["relation"] for each in found.slices.to_dicts()}
    assert {rows[name] for name in same} == {"constants"}


def test_one_learned_matrix_in_common_is_kinship(tmp_path, weights):
    other = stranger(weights["base"])
    kept = {name: x for name, x in weights["base"].items() if "self_attn" in name}
    path = write_checkpoint(tmp_path / "part", {**other, **kept})
    found = compared(path, family_path("base"))
    assert found.relation in ("close relatives", "one family")
    rows = {each["component"]: each["relation"] for each in found.components.to_dicts()}
    assert (rows["attention"], rows["mlp"]) == ("equal", "unrelated")


def test_a_copy_and_a_cast_are_told_exactly(tmp_path, weights):
    copy = {name.replace("model.", "m."): x for name, x in weights["base"].items()}
    found = compared(write_checkpoint(tmp_path / "copy", copy, shards=2), family_path("base"))
    assert (found.relation, found.level) == ("identical", "exact")
    eight = {name: x.astype(ml_dtypes.float8_e4m3fn) for name, x in weights["base"].items()}
    path = write_checkpoint(tmp_path / "eight", eight)
    for found in (compared(path, family_path("base")), compared(family_path("base"), path)):
        assert (found.relation, found.level) == ("re-encoded", "exact")


def test_what_pairs_with_nothing_was_not_compared(tmp_path):
    path = write_checkpoint(tmp_path / "x", {"x": np.ones((4, 4), np.float32)})
    found = compared(path, family_path("base"))
    assert found.relation == "not compared"
    assert found.elements == 0


def test_a_sketch_is_compared_and_said_to_be_one(tmp_path):
    path = parentage.sketch(family_path("sibling"), tmp_path / "s.safetensors", size="64KiB")
    found = compared(family_path("parent"), path)
    assert (found.relation, found.level) == ("close relatives", "statistical")
    assert found.sample.sketches == ("s",)
    assert "the sketch of s" in found.text
    copy = parentage.sketch(family_path("parent"), tmp_path / "p.safetensors", size="64KiB")
    found = compared(family_path("parent"), copy)
    assert (found.relation, found.level) == ("identical", "statistical")


def test_weights_that_are_not_numbers_end_in_no_false_kinship(tmp_path, weights):
    broken = {name: np.full(x.shape, np.nan, BF16) for name, x in weights["base"].items()}
    found = compared(write_checkpoint(tmp_path / "nan", broken), family_path("base"))
    assert found.relation == "undetermined"


def test_strangers_that_share_a_large_matrix_are_no_close_relatives(tmp_path, weights):
    shared = 100 * np.random.default_rng(1).standard_normal((64, 256)).astype(np.float32)
    one = write_checkpoint(tmp_path / "one", {**stranger(weights["base"], 1), "rff": shared})
    two = write_checkpoint(tmp_path / "two", {**stranger(weights["base"], 2), "rff": shared})
    found = compared(one, two)
    assert found.cosine > 0.98
    assert found.relation == "one family"
    assert "some matrices of one and two are those of relatives, and others are not" in found.text
    assert "are no more alike than independent ones are" in found.text
