"""Adapters as parents, controls and children of a trace: what is said of them, and what is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import parentage
import pytest
from common.adapters import PEFT, adapter, base, kohya, merged, modules, write
from conftest import BF16
from parentage.methods import from_json
from parentage.replay import compare
from parentage.support import CheckpointError, PlanError, RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from parentage.evidence import Trace
    from parentage.verdict import Verdict

BASE = base()
FACTORS = adapter(BASE, 2)
OTHER = adapter(BASE, 3, 4)
NO_DESCENT = ("made of", "made from", "child of", "displaced from", "fine-tune")


@pytest.fixture
def at(tmp_path: Path) -> Path:
    """A folder with a base, an adapter of it, and a stranger's of the same places and rank."""
    write(tmp_path / "base", BASE)
    write(tmp_path / "lora", FACTORS, lora_alpha=16)
    write(tmp_path / "other", OTHER)
    write(tmp_path / "stranger", adapter(BASE, 9), lora_alpha=16)
    return tmp_path


def traced(
    at: Path, child: dict[str, np.ndarray], parents: Iterable[str] = ("lora",), **more: Any
) -> Trace:
    """Return a trace of a child of the base and adapters."""
    write(at / "child", child)
    return parentage.trace(
        at / "child", base=at / "base", parents=[at / each for each in parents], **more
    )


def verdict(at: Path, child: dict[str, np.ndarray], *parents: str) -> Verdict:
    return traced(at, child, parents or ("lora",)).verdict


def kind(found: Verdict) -> tuple[str, str, str]:
    return found.kind, found.level, found.rule


@pytest.mark.parametrize("scale", [2.0, 0.7])
def test_a_merged_adapter_is_told_with_its_scale(at: Path, scale: float) -> None:
    found = verdict(at, merged(BASE, FACTORS, scale))
    assert kind(found) == ("merge", "exact", "adapted")
    said = "2 (alpha/r)" if scale == 2.0 else "0.7 (by its values)"
    assert found.text.startswith(
        f"base with the adapter lora added, its product times {said}, in float32, gives all "
    )
    assert "lora is an adapter (LoRA, rank 8, 6 modules): it is compared as base" in found.text
    assert not any(word in found.text for word in NO_DESCENT)


def test_other_adapters_beside_it_change_nothing(at: Path) -> None:
    found = verdict(at, merged(BASE, FACTORS, 2.0), "stranger", "lora")
    assert kind(found) == ("merge", "exact", "adapted")
    assert found.numbers["parent"] == "lora"


def test_float32_sums_in_another_order_are_told_as_such(at: Path) -> None:
    factors = adapter(BASE, 5, 64)
    write(at / "wide", factors)
    child = merged(BASE, factors, 0.5, dtype=np.float32)
    # Sums of numpy in the order from the last rank on.
    turned = {
        name: np.ascontiguousarray(each[:, ::-1] if "lora_B" in name else each[::-1])
        for name, each in factors.items()
    }
    found = verdict(at, merged(BASE, turned, 0.5, dtype=np.float32), "wide")
    assert kind(found) == ("merge", "statistical", "adapted")
    assert "none is farther off than sums in float32" in found.text
    # The same with a part of it trained further is no such thing.
    rng = np.random.default_rng(1)
    name = "model.layers.1.mlp.up_proj.weight"
    child[name] = child[name] + rng.normal(0, 1e-4, child[name].shape).astype(np.float32)
    assert verdict(at, child, "wide").rule != "adapted"


def test_an_adapter_trained_further_and_a_strangers_claim_nothing(at: Path) -> None:
    rng = np.random.default_rng(6)
    later = {
        name: each + rng.normal(0, 0.3 * each.std(), each.shape).astype(np.float32)
        for name, each in FACTORS.items()
    }
    for child in (merged(BASE, later, 2.0), merged(BASE, adapter(BASE, 11), 2.0)):
        found = verdict(at, child)
        assert found.kind in {"related", "fine-tune", "undetermined"}
        assert found.rule != "adapted"
        # What is said of a fine-tune is said of the base, by a low rank of its own.
        assert found.kind != "fine-tune" or "base with a matrix of low rank added" in found.text


def test_an_adapter_that_adds_nothing_is_no_parent(at: Path) -> None:
    write(at / "zero", {n: x * ("lora_A" in n) for n, x in FACTORS.items()}, lora_alpha=16)
    found = verdict(at, dict(BASE), "zero")
    assert kind(found) == ("identical", "exact", "identical")
    assert "bit for bit those of base" in found.text
    assert verdict(at, merged(BASE, FACTORS, 2.0), "zero").rule != "adapted"


def test_adapters_of_other_modules_do_not_hide_each_other(at: Path) -> None:
    one, two = (adapter(BASE, i, targets=(name,)) for i, name in ((21, "q_proj"), (22, "up_proj")))
    write(at / "one", one)
    write(at / "two", two)
    found = verdict(at, merged(merged(BASE, one, 2.0), two, 0.5), "one", "two")
    assert kind(found) == ("assembled", "exact", "assembled")


def test_two_adapters_in_the_same_modules_are_a_sum(at: Path) -> None:
    both = merged(merged(BASE, FACTORS, 1.5, dtype=np.float32), OTHER, 0.5)
    found = traced(at, both, ("lora", "other"))
    assert kind(found.verdict) == ("merge", "exact", "replayed")
    assert found.recipe.adapters["lora"].scale == 2.0
    weights = {each.name: each.weight for each in found.recipe.ingredients}
    assert (weights["lora"], weights["other"]) == (0.75, 0.5)
    # What was rounded in between is no change.
    twice = verdict(at, merged(merged(BASE, FACTORS, 2.0), OTHER, 1.0), "lora", "other")
    assert twice.kind == "merge"


def test_nan_of_a_factor_is_nan_of_the_child(at: Path) -> None:
    factors = {name: each.copy() for name, each in FACTORS.items()}
    next(each for name, each in factors.items() if "lora_A" in name)[2, 5] = np.nan
    write(at / "nan", factors, lora_alpha=16)
    assert kind(verdict(at, merged(BASE, factors, 2.0), "nan")) == ("merge", "exact", "adapted")
    found = verdict(at, merged(BASE, FACTORS, 2.0), "nan")
    assert found.level == "statistical"
    assert "64 are not finite in some checkpoint" in found.text


def test_an_adapter_is_no_base_of_a_model(at: Path) -> None:
    write(at / "child", merged(BASE, FACTORS, 2.0))
    with pytest.raises(PlanError, match=r"lora is an adapter .* a base has all weights"):
        parentage.trace(at / "child", base=at / "lora", parents=[at / "base"])


def test_an_adapter_of_another_model_is_refused(at: Path) -> None:
    other = {name: each[:, :48] if each.ndim == 2 else each for name, each in BASE.items()}
    write(at / "odd", adapter(other, 3))
    with pytest.raises(CheckpointError, match=r"lora_B\.weight"):
        verdict(at, dict(BASE), "odd")


def test_what_is_replayed_adds_the_adapter_again(at: Path) -> None:
    child = merged(BASE, FACTORS, 0.7, rounded=BF16)
    found = traced(at, child, output=at / "evidence", digest="sha256")
    assert found.verdict.level == "exact"
    document = json.loads((at / "evidence" / "evidence.json").read_text())
    (files,) = (each["files"] for each in document["inputs"]["parents"])
    assert [each["bytes"] for each in files] == [(at / "lora/model.safetensors").stat().st_size]
    assert document["recipe"]["adapters"]["lora"]["rounded"] == "BF16"
    assert document["recipe"]["mergekit"] is None
    recipe = from_json(json.dumps(document))
    parents = {"base": at / "base", "lora": at / "lora"}
    assert compare(recipe, parents, at / "child").mismatched == 0
    with pytest.raises(RecipeError, match="it is none"):
        compare(recipe, parents | {"lora": at / "base"}, at / "child")


def rotated() -> dict[str, np.ndarray]:
    """Return other factors of the same products: B R and R' A."""
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(8, 8)))[0].astype(np.float32)
    out = {}
    for name, (left, right) in modules(FACTORS).items():
        module = f"{PEFT}{name.removesuffix('.weight')}"
        out[f"{module}.lora_A.weight"] = turn.T @ right
        out[f"{module}.lora_B.weight"] = left @ turn
    return out


def test_adapters_are_compared_by_what_they_make_of_a_base(at: Path) -> None:
    write(at / "kohya", kohya(FACTORS, 16.0))
    write(at / "rotated", rotated(), lora_alpha=16)
    for child, level in (("kohya", "exact"), ("rotated", "statistical")):
        found = parentage.trace(at / child, base=at / "base", parents=[at / "lora"]).verdict
        assert kind(found) == ("re-encoded", level, "adapted")
        assert f"the adapter {child} does to base what lora does" in found.text
    found = parentage.trace(at / "stranger", base=at / "base", parents=[at / "lora"]).verdict
    assert found.rule != "adapted"


def test_adapters_alone_are_compared_by_factors_or_else_by_products(at: Path) -> None:
    write(at / "rotated", rotated(), lora_alpha=16)
    write(at / "copy", FACTORS)
    found = parentage.trace(at / "rotated", base=at / "stranger", parents=[at / "lora"]).verdict
    assert "the products of their factors are compared, which are more alike" in found.text
    assert "kin of lora" in found.text
    found = parentage.trace(at / "copy", base=at / "stranger", parents=[at / "lora"]).verdict
    assert kind(found) == ("identical", "exact", "identical")
    assert "products" not in found.text


def test_a_sample_is_enough(at: Path) -> None:
    found = traced(at, merged(BASE, FACTORS, 2.0), sample="30%", seed=1).verdict
    assert kind(found) == ("merge", "statistical", "adapted")
    assert "elements read" in found.text
