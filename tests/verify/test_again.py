"""Whatever the checkpoints give is found to be edited if they are traced again."""

import json
import math

import numpy as np
import parentage
import polars as pl
import pytest
from common.bundles import (
    PLACES,
    copied,
    edit_document,
    edit_json,
    edit_table,
    failures,
    put,
    resealed,
    traced,
)
from common.networks import family_on_a_hub, quick
from conftest import BF16, family_path, load, write_checkpoint
from parentage.bundle import CURVES, EVIDENCE, FACTS, SLICES, SUMS, read_bundle
from parentage.verify import placed, verify
from parentage.verify.again import _differs
from parentage.verify.comparing import differences


def said_of(folder, places=PLACES):
    return failures(verify(folder, places, slices=None, digest=False))


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled") / "evidence"
    traced(folder, sample="40%", digest=None)
    return folder


def test_all_that_is_written_is_given_again(made, sampled):
    for folder in (made, sampled):
        found = verify(folder, PLACES, slices=None)
        assert found.standing == "reproduced"
        assert [each.status for each in found.findings if each.check == "again"] == ["ok"]
        assert found.slices["equal"] == found.slices["of"] == 23
        assert found.slices["differing_less_than"] == 0.0


EDITED = {
    "model.weights.parent.standard_error": 1e-9,
    "model.weights.parent.cells": 0.5,
    "model.weights.parent.cells_half_width": 0.1,
    "model.weights.parent.displacement_ulps": 3.0,
    "components.mlp.weights.parent.ols_bias": 0.5,
    "coverage.unaligned": [{"checkpoint": "base", "tensor": "x", "reason": "lost"}],
    "coverage.orders": [{"checkpoint": "base"}],
    "spectrum.elements": 7,
    "spectrum.held": {},
    "parameters.search_seed": 5,
}
"""What rests on more than is stored."""


@pytest.mark.parametrize("path", EDITED)
def test_what_rests_on_more_than_sums_is_found(bundle, path):
    edit_document(bundle, lambda told: put(told, path, EDITED[path]))
    resealed(bundle)
    assert any(
        check == "again" and file == EVIDENCE and text.startswith(path)
        for check, file, text in said_of(bundle)
    )


@pytest.mark.parametrize(
    "column",
    [
        *("se", "log10_p", "log10_q", "checkpoint_log10_p", "displacement_ulps", "rounding_bias"),
        *("cells", "cells_half_width", "cells_share", "layer", "n_stray"),
    ],
)
def test_a_column_of_slices_is_found(bundle, column):
    first = pl.col(column).is_not_null().cum_sum() == 1
    changed = pl.when(first).then(pl.col(column) + 1).otherwise(pl.col(column))
    kind = pl.read_parquet(bundle / SLICES).schema[column]
    edit_table(bundle / SLICES, **{column: changed.cast(kind)})
    resealed(bundle)
    assert any(
        file == SLICES and text.startswith(f"{column} of ") for _, file, text in said_of(bundle)
    )


def test_a_spectrum_and_a_fact_that_were_edited_are_found(bundle):
    edit_table(bundle / CURVES, admitted=pl.col("admitted") + 1)
    edit_json(bundle / FACTS, lambda told: put(told, "facts.replay.decoy_share", 0.0))
    resealed(bundle)
    files = {file for check, file, _ in said_of(bundle) if check == "again"}
    assert {CURVES, FACTS} <= files


@pytest.mark.parametrize("name", ["gram", "nan", "equal"])
def test_of_a_sample_a_sum_is_found_by_its_slice(sampled, tmp_path, name):
    bundle = copied(sampled, tmp_path)
    is_third = pl.int_range(pl.len()) == 2
    element = pl.element() + 1
    changed = pl.when(is_third).then(pl.col(name).list.eval(element)).otherwise(pl.col(name))
    third = pl.read_parquet(bundle / SUMS)["slice"][2]
    edit_table(bundle / SUMS, **{name: changed})
    resealed(bundle)
    texts = [text for check, file, text in said_of(bundle) if (check, file) == ("slices", SUMS)]
    assert len(texts) == 1
    assert texts[0].startswith(f"{name} of {third} is ")


def test_a_table_of_other_rows_is_found(bundle):
    path = bundle / CURVES
    pl.read_parquet(path).head(7).write_parquet(path, statistics=False)
    resealed(bundle)
    assert any(file == CURVES and "has 7 rows" in text for _, file, text in said_of(bundle))


def test_other_checkpoints_are_told_and_end_in_no_traceback(made, tmp_path):
    tensors = dict(list(load(PLACES["child"]).items())[1:])
    write_checkpoint(tmp_path / "cut", tensors)
    said = said_of(made, {**PLACES, "child": tmp_path / "cut"})
    assert ("slices", SUMS, "the checkpoints give other slices") in said
    write_checkpoint(tmp_path / "alien", {"nothing.alike": np.ones((3, 5), BF16)})
    said = said_of(made, {**PLACES, "child": tmp_path / "alien"})
    assert next(text for check, _, text in said if check == "slices").startswith(
        "the checkpoints can not be traced again: "
    )


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """Evidence in which what was called a parent was made from the child."""
    folder = tmp_path_factory.mktemp("called") / "evidence"
    found = parentage.trace(
        PLACES["base"],
        base=PLACES["sibling"],
        parents=[PLACES["parent"], PLACES["child"]],
        output=folder,
    )
    assert found.called is not None
    return folder


def test_roles_that_turned_out_otherwise_are_kept_as_they_were_called(called, tmp_path):
    told = json.loads((called / EVIDENCE).read_text("utf-8"))["inputs"]
    assert told["called"] == {
        "base": "sibling",
        "parents": ["parent", "child"],
        "controls": [],
    }
    assert "--base ./sibling --parent ./parent --parent ./child" in (
        (called / "report.html").read_text("utf-8")
    )
    assert verify(called, PLACES, slices=None).standing == "reproduced"
    # As the command in the report has it, though one of the parents is called child.
    found = read_bundle(called).document
    paths = {name: str(path) for name, path in PLACES.items()}
    parents = [(None, paths["parent"]), (None, paths["child"])]
    own = placed(found, (), parents, child=paths["base"], base=paths["sibling"])
    assert own == paths
    bundle = copied(called, tmp_path)
    edit_document(bundle, lambda told: put(told, "inputs.called.base", "nobody"))
    resealed(bundle)
    assert any("inputs.called" in text for _, _, text in failures(verify(bundle)))
    assert said_of(bundle)


def test_roles_that_are_as_they_were_called_are_told_once(made):
    assert "called" not in json.loads((made / EVIDENCE).read_text("utf-8"))["inputs"]


def test_without_recipes_it_is_traced_again_without(tmp_path):
    traced(tmp_path / "evidence", recipes=False)
    assert verify(tmp_path / "evidence", PLACES, slices=None).standing == "reproduced"


def test_evidence_of_another_version_is_held_against_sums_alone(made, tmp_path):
    bundle = copied(made, tmp_path)
    edit_document(bundle, lambda told: put(told, "tool.version", "0.0.1"))
    resealed(bundle)
    found = verify(bundle, PLACES, slices=None, digest=False)
    assert "again" not in {each.check for each in found.findings}
    assert found.slices["equal"] == 23


def test_a_sample_that_was_fetched_is_read_again_of_copies_on_a_disk(monkeypatch, tmp_path):
    with family_on_a_hub(monkeypatch, tmp_path):
        found = parentage.trace(
            "hf://org/child",
            base="hf://org/base",
            parents=["hf://org/parent"],
            sample="40%",
            network=quick(),
            output=tmp_path / "evidence",
        )
    names = [found.inputs.child.name, *found.inputs.columns.names]
    places = dict(zip(names, map(family_path, ("child", "base", "parent")), strict=True))
    verification = verify(tmp_path / "evidence", places, slices=None, digest=False)
    assert [each.status for each in verification.findings if each.check == "again"] == ["ok"]


def test_evidence_of_what_is_stored_under_other_names_is_read_again(tmp_path):
    # What files say beside weights is of the files, and not of how tensors are seen.
    places = {}
    for name in ("child", "base", "parent"):
        tensors = load(PLACES[name])
        is_child = name == "child"
        if is_child:
            tensors = {f"model.language_model.{one}": each for one, each in tensors.items()}
        places[name] = tmp_path / name
        write_checkpoint(places[name], tensors)
    parentage.trace(
        places["child"], base=places["base"], parents=[places["parent"]], output=tmp_path / "found"
    )
    assert verify(tmp_path / "found", places, slices=None).standing == "reproduced"
    assert verify(tmp_path / "found", places, seed=1, slices=2).standing == "reproduced"


def test_a_seed_that_drew_who_came_first_is_kept_without_recipes_as_well(tmp_path):
    random = np.random.default_rng(2)
    base = {f"layers.{i}.weight": random.normal(0, 1, (1500, 1000)) for i in range(3)}
    other = {name: each + random.normal(0, 0.01, each.shape) for name, each in base.items()}
    child = {name: 0.6 * other[name] + 0.4 * each for name, each in base.items()}
    places = {"child": child, "base": base, "parent": other}
    for name, tensors in places.items():
        write_checkpoint(tmp_path / name, {one: each.astype(BF16) for one, each in tensors.items()})
        places[name] = tmp_path / name
    found = parentage.trace(
        places["child"], base=places["base"], parents=[places["parent"]], recipes=False,
        output=tmp_path / "evidence",
    )  # fmt: skip
    assert found.evidence["parameters"]["search_seed"] is not None
    assert verify(tmp_path / "evidence", places, slices=None).standing == "reproduced"


def test_roles_of_none_of_the_checkpoints_are_refused_before_anything_is_read(called, tmp_path):
    bundle = copied(called, tmp_path)
    edit_document(bundle, lambda told: put(told, "inputs.called.parents", ["parent"] * 50_000))
    resealed(bundle)
    assert any(
        text.startswith("the checkpoints can not be traced again: ") and "inputs.called" in text
        for _, _, text in said_of(bundle)
    )


def test_zeros_have_signs():
    one = pl.Series([0.0, 1.0, None, math.nan])
    assert _differs(one, pl.Series([-0.0, 1.0, None, math.nan])).to_list() == [True] + [False] * 3
    lists = pl.Series([[0.0, 2.0], [1.0, 2.0], None])
    other = pl.Series([[-0.0, 2.0], [1.0, 2.0], None])
    assert _differs(lists, other).to_list() == [True, False, False]
    found = next(differences({"a": [0.0, 1]}, {"a": [-0.0, 1]}))
    assert found == ("a[0]", 0.0, -0.0)
    assert list(differences({"a": 1}, {"a": 1.0}))
    assert not list(differences({"a": [0.5, None]}, {"a": [0.5, None]}))
