"""Traces from end to end: families made and merged here, and what is said of their children."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import parentage
import polars as pl
import pytest
from conftest import BF16, write_checkpoint
from parentage import Recipe
from parentage.checkpoint import component_of
from parentage.evidence import Trace, wide
from parentage.pipeline import trace as traced
from parentage.verdict import Thresholds
from test_cells import F32, FAMILY, SHAPES, Tensors, blend, made, stored
from test_hypothesise import merged

ELEMENTS = sum(int(np.prod(shape)) for shape in SHAPES.values())
LARGE = [name for name in SHAPES if "norm" not in name]
MERGE = merged("linear", "float32-fma", {"one": 0.6, "base": 0.4})
RECIPE_KEYS = {
    *("method", "equivalents", "parents", "parameters", "arithmetic", "out_dtype", "elements"),
    *("mismatches", "unexplained", "exact_share", "mergekit"),
}


def trace(
    folder: Path,
    child: Tensors,
    parents: Sequence[str],
    controls: Sequence[str] = (),
    family: Mapping[str, Tensors] = FAMILY,
    **options: Any,
) -> Trace:
    """Write a family and a child, and trace it."""
    for name in ("base", *parents, *controls):
        if not (folder / name).exists():
            write_checkpoint(folder / name, stored(family[name]))
    write_checkpoint(folder / "child", child)
    return traced(
        folder / "child",
        base=folder / "base",
        parents=[folder / name for name in parents],
        controls=[folder / name for name in controls],
        **options,
    )


def as_stored(tensors: Tensors) -> Tensors:
    return {name: x.astype(BF16) for name, x in tensors.items()}


def disturbed(child: Tensors, ulps: float = 0.0, scale: float = 0.0, only: str = "") -> Tensors:
    """Return a child with noise of some units in the last place, or of some size, on top."""
    rng = np.random.default_rng(1)
    out = {}
    for name, x in child.items():
        ulp = np.abs(np.spacing(x)).astype(F32)
        noise = rng.normal(0, 1, x.shape).astype(F32) * (F32(ulps) * ulp + F32(scale))
        out[name] = (x.astype(F32) + noise * (only in name)).astype(BF16)
    return out


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return trace(tmp_path_factory.mktemp("exact"), MERGE, ["one", "other"], ["two"])


def number(found: Trace, column: str) -> float | None:
    return found.wide("model")[column][0]


# Merges.


def test_a_merge_that_is_replayed_is_exact(exact):
    verdict = exact.verdict
    assert (verdict.kind, verdict.level, verdict.rule) == ("merge", "exact", "replayed")
    assert verdict.numbers["mismatched"] == 0
    assert "bit for bit" in verdict.text
    assert exact.outcome.reproduced == exact.outcome.elements == exact.elements == ELEMENTS
    assert exact.outcome.exact_share == 1.0
    assert exact.recipe.to_mergekit().startswith("merge_method: linear")
    assert "other" not in exact.recipe.checkpoints
    assert "two" not in exact.recipe.checkpoints


def test_evidence_holds_the_recipe_with_the_keys_of_the_contract(exact, tmp_path):
    exact.save(tmp_path)
    document = json.loads((tmp_path / "evidence.json").read_text())
    recipe = document["recipe"]
    assert set(recipe) >= RECIPE_KEYS
    assert (recipe["method"], recipe["arithmetic"]) == ("linear", "float32-fma")
    assert recipe["out_dtype"] == "BF16"
    weights = {each["name"]: each["weight"] for each in recipe["parents"]}
    assert weights == {"one": 0.6, "base": 0.4}
    assert (recipe["elements"], recipe["mismatches"], recipe["unexplained"]) == (ELEMENTS, 0, 0)
    assert (recipe["exact_share"], recipe["explained_share"]) == (1.0, 0.0)
    assert recipe["decoy_share"] < 0.1
    assert recipe["mergekit"] == exact.recipe.to_mergekit()
    cells = document["model"]["weights"]
    assert cells["one"]["cells"] == pytest.approx(0.6, abs=1e-6)
    assert cells["one"]["cells_share"] == 1.0
    assert cells["other"]["cells"] is None


def test_the_recipe_of_evidence_can_be_read_and_carried_out(tmp_path):
    found = trace(tmp_path, MERGE, ["one"])
    found.save(tmp_path / "evidence")
    recipe = Recipe.open(tmp_path / "evidence" / "evidence.json")
    again = recipe.replay(
        {name: tmp_path / name for name in recipe.checkpoints}, tmp_path / "child"
    )
    assert (again.elements, again.mismatched) == (ELEMENTS, 0)


def test_slices_have_the_weight_that_their_cells_admit(exact, tmp_path):
    exact.save(tmp_path)
    table = wide(pl.read_parquet(tmp_path / "slices.parquet"))
    assert {"cells:one", "cells_share:one", "cells:other", "exact_share"} <= set(table.columns)
    assert "cells:two" not in table.columns
    large = table.filter(pl.col("slice").is_in(LARGE))
    assert large["cells:one"].to_numpy() == pytest.approx(0.6, abs=1e-4)
    assert large["cells_share:one"].to_list() == [1.0] * len(LARGE)
    assert table["cells:other"].null_count() == table.height
    assert table["exact_share"].to_list() == [1.0] * table.height
    assert table["mismatched"].sum() == 0


def test_weights_by_component_stand_in_slices_where_they_belong(tmp_path):
    table = {"embed": 0.5, "attention": 0.3, "mlp": 0.7, "norm": 0.9}

    def one(tensor: str) -> float:
        return table[component_of(tensor)]

    def rest(tensor: str) -> float:
        return 1.0 - one(tensor)

    found = trace(tmp_path, merged("linear", "float32", {"one": one, "base": rest}), ["one"])
    assert found.verdict.kind == "merge"
    rows = found.wide().filter(pl.col("slice").is_in(LARGE))
    for component, weight in zip(rows["component"], rows["cells:one"], strict=True):
        assert weight == pytest.approx(table[component], abs=1e-4)


def test_a_merge_of_displacements_of_one_unit_is_exact(tmp_path):
    family = made({"one": 1.2e-4})
    child = merged("linear", "float32-fma", {"one": 0.6, "base": 0.4}, family)
    found = trace(tmp_path, child, ["one"], family=family)
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    # Least squares is off by far more than the cells are.
    assert abs(number(found, "ols:one") - 0.6) > 0.1
    assert number(found, "cells:one") == pytest.approx(0.6, abs=1e-2)


def test_without_recipes_there_is_none(tmp_path):
    found = trace(tmp_path, MERGE, ["one"], recipes=False)
    assert found.recipe is None
    assert found.evidence["recipe"] is None
    assert number(found, "cells:one") is None
    assert found.verdict.level == "statistical"


# Merges, changed.


def test_half_a_unit_of_noise_is_a_change(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, ulps=0.5), ["one", "other"])
    verdict = found.verdict
    assert (verdict.kind, verdict.rule) == ("merge-then-changed", "changed")
    assert verdict.level == "statistical"
    assert 0.4 < found.outcome.exact_share < 0.9
    assert found.outcome.mismatched > 0
    assert number(found, "cells:one") == pytest.approx(0.6, abs=2e-3)
    assert 0.4 < number(found, "cells_share:one") < 0.9
    weights = {each.name: each.weight for each in found.recipe.ingredients}
    assert weights["one"] / sum(weights.values()) == pytest.approx(0.6, abs=2e-3)


def test_a_displacement_on_top_is_a_change(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, scale=5e-4), ["one", "other"])
    assert (found.verdict.kind, found.verdict.level) == ("merge-then-changed", "statistical")
    assert found.verdict.numbers["weight_one"] == pytest.approx(0.6, abs=5e-3)
    if found.recipe is not None:
        assert found.outcome.exact_share < Thresholds().reproduced


def test_a_change_of_some_tensors_is_located(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, scale=2e-3, only="q_proj"), ["one"])
    assert found.verdict.kind == "merge-then-changed"
    rows = found.wide().filter(pl.col("slice").is_in(LARGE))
    for name, share in zip(rows["slice"], rows["exact_share"], strict=True):
        assert (share < 0.2) if "q_proj" in name else (share > 0.99), name
    assert "attention" in found.verdict.text


def test_much_more_on_top_is_no_merge(tmp_path):
    found = trace(tmp_path, disturbed(MERGE, scale=4e-3), ["one"])
    assert found.verdict.kind != "merge"
    assert found.verdict.level != "exact"
    assert found.recipe is None
    assert number(found, "cells:one") is None


# What is no merge.


def test_a_fine_tune_beside_siblings_is_a_fine_tune(tmp_path):
    found = trace(tmp_path, as_stored(FAMILY["three"]), ["one", "two"], ["other"])
    assert found.verdict.kind == "fine-tune"
    assert found.recipe is None
    for name in ("one", "two"):
        assert number(found, f"cells:{name}") is None
        assert found.wide("slices")[f"cells:{name}"].null_count() == found.tables.number_of_slices


def test_a_merge_of_others_is_not_laid_at_the_door_of_relatives(tmp_path):
    found = trace(tmp_path, blend(FAMILY, {"one": 0.5, "three": 0.3}), ["two", "other"])
    assert found.verdict.kind in ("fine-tune", "undetermined")
    assert found.recipe is None
    for name in ("two", "other"):
        assert abs(number(found, f"ols:{name}")) < 0.05


def test_a_parent_that_is_the_base_gets_no_weight(tmp_path):
    family = {**FAMILY, "same": FAMILY["base"]}
    found = trace(tmp_path, MERGE, ["one", "same"], family=family)
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert "same" not in found.recipe.checkpoints
    for column in ("ols:same", "cells:same"):
        assert number(found, column) is None
        assert found.wide()[column].null_count() == found.tables.number_of_slices
    assert number(found, "cells:one") == pytest.approx(0.6, abs=1e-6)


def test_a_parent_that_is_the_base_explains_nothing(tmp_path):
    family = {**FAMILY, "same": FAMILY["base"]}
    found = trace(tmp_path, as_stored(FAMILY["three"]), ["same"], family=family)
    assert found.verdict.kind in ("fine-tune", "undetermined")
    assert found.recipe is None
    assert number(found, "ols:same") is None
    assert number(found, "cells:same") is None


# A parent that is a blend of the others.

MIXED = {
    **FAMILY,
    "mix": {name: x.astype(F32) for name, x in blend(FAMILY, {"one": 0.5, "two": 0.5}).items()},
}


@pytest.mark.parametrize(
    ("weights", "ours"),
    [({"one": 0.6}, "one"), ({"mix": 0.6}, "mix")],
    ids=["of one", "of the blend"],
)
def test_a_blend_among_the_parents_takes_no_weight(tmp_path, weights, ours):
    child = blend(MIXED, weights)
    found = trace(tmp_path, child, ["one", "two", "mix"], family=MIXED)
    assert number(found, "condition") > 100
    assert (found.verdict.kind, found.verdict.level) == ("merge", "exact")
    assert set(found.recipe.checkpoints) == {"base", ours}
    for name in ("one", "two", "mix"):
        if name == ours:
            assert number(found, f"cells:{name}") == pytest.approx(0.6, abs=1e-6)
        else:
            assert number(found, f"cells:{name}") is None


@pytest.mark.slow
def test_no_weight_is_made_up_for_a_blend_of_the_true_parents(tmp_path):
    child = merged("linear", "float32-fma", {"one": 0.5, "two": 0.3, "base": 0.2})
    found = trace(tmp_path, child, ["one", "two", "mix"], family=MIXED)
    numbers = found.verdict.numbers
    if found.verdict.kind == "merge":
        assert found.recipe is not None
        assert found.recipe.checkpoints_added == ("one", "two", "base")
    assert abs(numbers.get("weight_mix", 0.0)) < 0.02
    assert numbers.get("weight_one", 0.5) == pytest.approx(0.5, abs=0.02)


# The same evidence, however it is read.

READ: dict[str, dict[str, Any]] = {
    "one thread, large tiles": {"threads": 1, "tile_bytes": 1 << 24},
    "two threads": {"threads": 2, "io": "mmap"},
    "three threads, small tiles": {"tile_bytes": 4096, "threads": 3},
    "pread": {"io": "pread", "threads": 3, "tile_bytes": 1 << 14},
    "scalar": {"level": "scalar"},
}


@pytest.mark.parametrize("options", READ.values(), ids=READ)
@pytest.mark.parametrize("child", ["exact", "changed"])
def test_evidence_is_the_same_however_it_is_read(usual, tmp_path, child, options):
    folder, expected = usual[child]
    found = traced(
        folder / "child", base=folder / "base", parents=[folder / "one", folder / "two"], **options
    )
    found.save(tmp_path)
    for name, content in expected.items():
        assert (tmp_path / name).read_bytes() == content, name


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The evidence of two children, as it is written by default."""
    out = {}
    merge = merged("linear", "float32", {"one": 0.5, "two": 0.3, "base": 0.2})
    for name, child in {"exact": merge, "changed": disturbed(merge, scale=5e-4)}.items():
        folder = tmp_path_factory.mktemp(name)
        trace(folder, child, ["one", "two"]).save(folder / "evidence")
        files = ("evidence.json", "slices.parquet")
        out[name] = folder, {each: (folder / "evidence" / each).read_bytes() for each in files}
    kinds = [json.loads(files["evidence.json"])["verdict"]["kind"] for _, files in out.values()]
    assert kinds == ["merge", "merge-then-changed"]
    return out


def test_the_package_offers_the_same_trace():
    assert parentage.trace is traced
