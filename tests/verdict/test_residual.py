"""What is on top of a blend: where it is, and of what rank, in small families changed here."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from common.families import F32, F64, Tensors, blend, made
from common.traced import disturbed, trace
from conftest import BF16
from parentage.verdict import SKETCH, SMALL_SIDE, Residual
from parentage.verdict import residual as module
from parentage.verdict.residual import _singular_values

SMALL: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (96, 64),
    **{
        f"model.layers.{layer}.{name}.weight": shape
        for layer in range(4)
        for name, shape in {
            "input_layernorm": (64,),
            "self_attn.q_proj": (64, 64),
            "self_attn.o_proj": (64, 64),
            "mlp.down_proj": (64, 96),
        }.items()
    },
    "model.norm.weight": (64,),
}
FAMILY = made({"one": 0.004, "two": 0.003}, 31, SMALL)
BLEND = blend(FAMILY, {"one": 0.6})
ELEMENTS = sum(int(np.prod(shape)) for shape in SMALL.values())


def changed(child: Tensors, only: str, change: Callable[[Any], Any]) -> Tensors:
    """Return a child with matrices, in float64, changed where a pattern is in their names."""
    return {
        name: change(x.astype(F64)).astype(F32).astype(BF16)
        if re.search(only, name) and x.ndim == 2
        else x
        for name, x in child.items()
    }


def adapted(child: Tensors, only: str, rank: int, scale: float = 1e-3, seed: int = 3) -> Tensors:
    """Return a child with products of low rank on top."""
    rng = np.random.default_rng(seed)

    def change(x: Any) -> Any:
        left, right = rng.normal(0, scale, (len(x), rank)), rng.normal(0, 1, (rank, x.shape[1]))
        return x + left @ right

    return changed(child, only, change)


def ablated(child: Tensors, only: str) -> Tensors:
    """Return a child that can not write in one direction."""
    direction = np.random.default_rng(5).normal(0, 1, 64)
    direction /= np.linalg.norm(direction)
    return changed(child, only, lambda x: x - np.outer(direction, direction @ x))


def numbers_of(found: Any) -> dict[str, Any]:
    return {k: x for k, x in found.verdict.numbers.items() if re.match("changed|left_over", k)}


def elements_of(only: str) -> int:
    return sum(int(np.prod(shape)) for name, shape in SMALL.items() if re.search(only, name))


def test_a_pure_blend_leaves_nothing_to_describe(tmp_path):
    found = trace(tmp_path, BLEND, ["one"], family=FAMILY)
    assert (found.verdict.kind, found.verdict.rule) == ("merge", "replayed")
    assert numbers_of(found) == {}
    assert "LoRA" not in found.verdict.text
    assert "rank" not in found.verdict.text


@pytest.mark.parametrize("only", ["q_proj", "q_proj|down_proj"])
def test_low_rank_on_top_is_a_lora(tmp_path, only):
    found = trace(tmp_path, adapted(BLEND, only, 4), ["one"], family=FAMILY)
    verdict = found.verdict
    assert (verdict.kind, verdict.level) == ("merge-then-changed", "statistical")
    assert verdict.rule == "changed_in_part"
    matrices = sum(bool(re.search(only, name)) for name in SMALL)
    numbers = verdict.numbers
    assert (numbers["changed_rank"], numbers["changed_low_rank"]) == (4, matrices)
    assert numbers["changed_matrices"] == matrices
    assert (
        f"of rank 4 or less in {matrices} of {matrices} matrices looked at: a LoRA" in verdict.text
    )
    assert "ablation" not in verdict.text
    # All that was not touched is given bit for bit, but for small slices that anything gives.
    whole = 1.0 - elements_of(only) / ELEMENTS
    assert numbers["whole_share"] == pytest.approx(whole, abs=0.01)
    assert numbers["weight_one"] == pytest.approx(0.6)
    layers = [numbers[f"left_over_layer_{layer}"] for layer in range(4)]
    assert sum(layers) == pytest.approx(1.0, abs=0.01)
    assert max(layers) < 0.5
    assert "It is spread over 4 layers." in verdict.text


def test_the_share_of_every_layer_is_that_of_what_was_added(tmp_path):
    child = adapted(BLEND, "layers.[02].self_attn.q_proj", 3, 2e-3)
    added = {}
    for layer in range(4):
        name = f"model.layers.{layer}.self_attn.q_proj.weight"
        gap = child[name].astype(F64) - BLEND[name].astype(F64)
        added[layer] = float((gap**2).sum())
    found = trace(tmp_path, child, ["one"], family=FAMILY)
    numbers = found.verdict.numbers
    assert numbers["changed_rank"] == 3
    for layer, energy in added.items():
        share = energy / sum(added.values())
        assert numbers[f"left_over_layer_{layer}"] == pytest.approx(share, abs=0.03)
    assert numbers["left_over_attention"] > 0.95


@pytest.mark.parametrize("only", ["o_proj", "o_proj|down_proj"])
def test_a_direction_missing_in_output_projections_is_an_ablation(tmp_path, only):
    found = trace(tmp_path, ablated(BLEND, only), ["one"], family=FAMILY)
    verdict = found.verdict
    assert (verdict.kind, verdict.rule) == ("merge-then-changed", "changed_in_part")
    matrices = sum(bool(re.search(only, name)) for name in SMALL)
    assert verdict.numbers["changed_rank"] == 1
    assert verdict.numbers["changed_low_rank"] == verdict.numbers["changed_matrices"] == matrices
    assert f"rank one in {matrices} of {matrices} matrices looked at" in verdict.text
    assert "an ablation of a direction" in verdict.text
    assert "LoRA" not in verdict.text


def test_rank_one_elsewhere_is_no_ablation(tmp_path):
    found = trace(tmp_path, adapted(BLEND, "q_proj|o_proj", 1, 2e-3), ["one"], family=FAMILY)
    assert found.verdict.numbers["changed_rank"] == 1
    assert "rank 1 or less in 8 of 8" in found.verdict.text
    assert "ablation" not in found.verdict.text


def test_the_rank_is_the_largest_of_those_found(tmp_path):
    child = adapted(BLEND, "layers.[01].self_attn.q_proj", 2)
    child = adapted(child, "layers.2.mlp.down_proj", 6)
    found = trace(tmp_path, child, ["one"], family=FAMILY)
    assert found.verdict.rule == "changed_in_part"
    assert found.verdict.numbers["changed_rank"] == 6
    assert found.verdict.numbers["changed_matrices"] == 3


def test_low_rank_in_half_of_the_matrices_is_no_lora(tmp_path):
    child = disturbed(adapted(BLEND, "q_proj", 4), scale=2e-3, only="down_proj")
    found = trace(tmp_path, child, ["one"], family=FAMILY)
    assert found.verdict.rule == "changed_in_part"
    numbers = found.verdict.numbers
    assert numbers["changed_rank"] is None
    assert (numbers["changed_low_rank"], numbers["changed_matrices"]) == (4, 8)
    assert "LoRA" not in found.verdict.text


def test_singular_values_that_go_on_below_the_noise_are_of_no_low_rank(tmp_path):
    rng = np.random.default_rng(7)
    values = np.array([2.4e-3] * 12 + [6e-4] * 52)

    def change(x: Any) -> Any:
        left, right = (np.linalg.qr(rng.normal(0, 1, (64, 64)))[0] for _ in range(2))
        return x + (left * values) @ right

    found = trace(tmp_path, changed(BLEND, "q_proj", change), ["one"], family=FAMILY)
    assert found.verdict.rule == "changed_in_part"
    assert found.verdict.numbers["changed_matrices"] == 4
    assert found.verdict.numbers["changed_rank"] is None
    assert found.verdict.numbers["changed_low_rank"] == 0


def test_a_tenth_of_the_child_has_to_be_whole_for_the_rest_to_be_a_part(tmp_path):
    child = disturbed(BLEND, scale=5e-4, only="proj")
    assert 0.05 < elements_of("embed") / ELEMENTS < 0.1
    found = trace(tmp_path, disturbed(child, ulps=1.0, only="norm"), ["one"], family=FAMILY)
    assert found.outcome is not None
    assert found.verdict.rule != "changed_in_part"
    assert "bit for bit" not in found.verdict.text


def test_noise_in_one_layer_is_of_full_rank_and_its_layer_is_named(tmp_path):
    child = disturbed(BLEND, scale=2e-3, only="layers.2.")
    found = trace(tmp_path, child, ["one"], family=FAMILY)
    verdict = found.verdict
    assert (verdict.kind, verdict.rule) == ("merge-then-changed", "changed_in_part")
    assert verdict.numbers["changed_rank"] is None
    assert (verdict.numbers["changed_low_rank"], verdict.numbers["changed_matrices"]) == (0, 3)
    assert verdict.numbers["left_over_layer_2"] > 0.98
    assert re.search(r"Layer 2 holds (99|100)% of it.", verdict.text)
    assert "It is of no low rank in the 3 matrices looked at." in verdict.text
    for word in ("LoRA", "ablation", "spread over"):
        assert word not in verdict.text


def test_noise_everywhere_leaves_no_part_that_was_not_changed(tmp_path):
    """What elements show of the blend is hidden, so that it is told as a line and no more."""
    found = trace(tmp_path, disturbed(BLEND, scale=5e-4), ["one"], family=FAMILY)
    verdict = found.verdict
    assert verdict.kind == "related"
    assert "0.60" in verdict.text
    assert "bit for bit" not in verdict.text
    assert "changed" not in verdict.text


@pytest.mark.parametrize(("weight", "seed"), [(0.47, 0), (0.6, 3)])
def test_low_rank_everywhere_leaves_no_slice_whole(tmp_path, weight, seed):
    child = adapted(blend(FAMILY, {"one": weight}), "proj|embed", 4, 2e-4, seed)
    found = trace(tmp_path, child, ["one"], family=FAMILY)
    assert found.verdict.kind in ("related", "merge-then-changed")
    assert found.weights["one"] == pytest.approx(weight, abs=0.02)


def test_weights_that_do_not_sum_to_one_leave_low_rank_as_it_is(tmp_path):
    child = {}
    for name, base in FAMILY["base"].items():
        whole = 0.6 * FAMILY["one"][name].astype(F64) + 0.5 * base.astype(F64)
        child[name] = whole.astype(F32).astype(BF16)
    found = trace(tmp_path, adapted(child, "q_proj", 4), ["one"], family=FAMILY)
    assert found.verdict.kind == "merge-then-changed"
    assert found.verdict.numbers["changed_rank"] == 4
    assert found.verdict.numbers["changed_matrices"] == 4


@pytest.mark.parametrize(
    "scale",
    [1e-3, 1e-5],
)
def test_children_in_float32_have_a_rounding_of_their_own(tmp_path, scale):
    rng = np.random.default_rng(3)
    child = {}
    for name, base in FAMILY["base"].items():
        whole = base + 0.6 * (FAMILY["one"][name].astype(F64) - base)
        if "q_proj" in name:
            whole += scale * rng.normal(0, 1, (64, 4)) @ rng.normal(0, 1, (4, 64))
        child[name] = whole.astype(F32)
    found = trace(tmp_path, child, ["one"], family=FAMILY)
    assert found.verdict.rule == "changed_in_part"
    assert found.verdict.numbers["changed_rank"] == 4
    assert found.verdict.numbers["changed_low_rank"] == 4


def test_some_rows_tell_the_rank_of_all(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_ELEMENTS", 40 * 64)
    taken = []
    values = module._singular_values
    monkeypatch.setattr(module, "_singular_values", lambda x: taken.append(x.shape) or values(x))
    found = trace(tmp_path, adapted(BLEND, "q_proj", 4), ["one"], family=FAMILY)
    assert taken == [(40, 64)] * 4
    assert found.verdict.numbers["changed_rank"] == 4


def test_an_element_that_is_no_number_leaves_the_rank_of_the_rest(tmp_path):
    child = adapted(BLEND, "q_proj", 4)
    for name in SMALL:
        if "q_proj" in name:
            child[name][3, 5] = np.nan
    found = trace(tmp_path, child, ["one"], family=FAMILY)
    assert found.verdict.rule == "changed_in_part"
    assert found.verdict.numbers["changed_rank"] == 4
    assert "of full rank" not in found.verdict.text


def test_infinite_elements_are_no_reason_to_warn(tmp_path):
    family = {name: dict(tensors) for name, tensors in FAMILY.items()}
    child = adapted(BLEND, "q_proj", 4)
    name = "model.layers.1.self_attn.q_proj.weight"
    for tensors in (family["one"], child):
        tensors[name] = tensors[name].copy()
        tensors[name][3, 5] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trace(tmp_path, child, ["one"], family=family)
    assert found.verdict.rule == "changed_in_part"


# In words.


def said(layers: dict[int, float], *rest: Any) -> str:
    return str(Residual(layers, *rest))


@pytest.mark.parametrize(
    ("layers", "rest", "text"),
    [
        ({}, (0, 0, None, 0), ""),
        ({0: 0.4, 1: 0.05}, (0, 0, None, 0), ""),
        ({5: 0.9, 1: 0.06, 0: 0.04}, (0, 0, None, 0), "Layer 5 holds 90% of it."),
        ({2: 0.3, 1: 0.25, 0: 0.25, 3: 0.2}, (0, 0, None, 0), "It is spread over 4 layers."),
        ({}, (3, 0, None, 3), "It is of no low rank in the 3 matrices looked at."),
        (
            {},
            (5, 4, 8, 0),
            "It is of rank 8 or less in 4 of 5 matrices looked at: a LoRA leaves "
            "that, and so do few steps on few examples.",
        ),
        (
            {},
            (2, 2, 1, 1),
            "It is of rank 1 or less in 2 of 2 matrices looked at: a LoRA leaves "
            "that, and so do few steps on few examples.",
        ),
        (
            {},
            (4, 4, 1, 4),
            "It is of rank one in 4 of 4 matrices looked at, all of them output projections: an "
            "ablation of a direction leaves that.",
        ),
        (
            {1: 0.99, 0: 0.0, 2: 0.01},
            (1, 1, 2, 0),
            "Layer 1 holds 99% of it. It is of rank 2 or less in 1 of 1 matrices looked at: a "
            "LoRA leaves that, and so do few steps on few examples.",
        ),
    ],
)
def test_it_is_said_in_a_sentence_or_two(layers, rest, text):
    assert said(layers, *rest) == text


@pytest.mark.parametrize(
    "layers", [{1: 0.99, 0: 0.01}, {0: 0.34, 1: 0.33, 2: 0.33, 3: 0.0, 4: 0.0}]
)
def test_layers_that_hold_nothing_are_none_that_it_is_spread_over(layers):
    count = len(layers)
    assert f"spread over {count} layers" not in said(layers, 0, 0, None, 0)


def test_full_rank_is_not_said_of_matrices_of_low_rank():
    assert "full rank in the 8 matrices" not in said({}, 8, 4, None, 0)


# Singular values.


def of_rank(rows: int, columns: int, values: Any, noise: float = 0.0) -> Any:
    rng = np.random.default_rng(rows)
    left = np.linalg.qr(rng.normal(0, 1, (rows, len(values))))[0]
    right = np.linalg.qr(rng.normal(0, 1, (columns, len(values))))[0]
    return (left * values) @ right.T + rng.normal(0, noise, (rows, columns))


@pytest.mark.parametrize("shape", [(600, 520), (513, 700)])
@pytest.mark.parametrize("rank", [1, 40])
def test_the_largest_singular_values_of_a_large_matrix_are_found(shape, rank):
    assert min(shape) > SMALL_SIDE
    values = np.geomspace(3.0, 1e-2, rank)
    matrix = of_rank(*shape, values)
    found = _singular_values(matrix)
    assert len(found) == SKETCH
    assert found[:rank] == pytest.approx(values, rel=1e-9)
    assert np.abs(found[rank:]).max() < 1e-10
    assert np.array_equal(_singular_values(matrix), found)


def test_noise_does_not_hide_large_singular_values():
    values = np.array([9.0, 6.0, 4.0, 3.0])
    matrix = of_rank(560, 520, values, noise=0.01)
    found, expected = _singular_values(matrix), np.linalg.svd(matrix, compute_uv=False)
    assert found[:4] == pytest.approx(expected[:4], rel=1e-5)
    # What a part of all holds is less than that.
    assert (found <= expected[:SKETCH] * (1 + 1e-12)).all()
    assert found[4] > 0.8 * expected[4]


@pytest.mark.parametrize("shape", [(512, 520), (2000, 60), (1, 900)])
def test_all_singular_values_are_found_where_one_side_is_small(shape):
    matrix = np.random.default_rng(1).normal(0, 1, shape)
    found = _singular_values(matrix)
    assert found == pytest.approx(np.linalg.svd(matrix, compute_uv=False), rel=1e-12)
    assert len(found) == min(shape)
