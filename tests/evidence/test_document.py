"""The document of a trace: its keys, and that it holds no path, no time and no NaN."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import parentage
import polars as pl
import pytest
from common.documents import strict
from common.traced import ELEMENTS
from conftest import BF16, write_checkpoint
from parentage.checkpoint import COMPONENTS
from parentage.verdict import KINDS, Thresholds


def test_the_document_has_the_keys_of_the_contract(merge):
    document = strict(merge.to_json())
    assert list(document) == [
        *("schema", "tool", "inputs", "parameters", "coverage"),
        *("model", "components", "spectrum", "recipe", "relations", "verdict"),
    ]
    assert document["schema"] == "parentage.evidence/2"
    assert set(document["tool"]) == {"name", "version", "core", "arithmetic"}
    assert document["tool"]["name"] == "parentage"
    recipe = document["recipe"]
    assert recipe["method"] == "linear"
    assert {each["name"]: each["weight"] for each in recipe["parents"]} == {
        "parent": 0.6,
        "base": 0.4,
    }
    assert recipe["mismatches"] == recipe["unexplained"] == 0
    assert recipe["exact_share"] == 1.0
    assert set(document["verdict"]) == {"kind", "level", "rule", "text", "numbers"}
    assert document["verdict"]["kind"] in KINDS


def test_the_document_describes_every_input(merge, family):
    inputs = strict(merge.to_json())["inputs"]
    assert list(inputs) == ["child", "base", "parents", "controls"]
    described = [inputs["child"], inputs["base"], *inputs["parents"], *inputs["controls"]]
    assert [each["name"] for each in described] == ["child", "base", "parent", "sibling"]
    for each in described:
        known = {"name", "source", "revision", "files", "tensors", "elements"}
        assert set(each) == known
        (file,) = each["files"]
        assert set(file) == {"name", "bytes", "sha256", "published_sha256"}
        path = family(each["name"]) / file["name"]
        assert file["bytes"] == path.stat().st_size
        assert each["tensors"] == 23
        assert each["elements"] == 294_488


def test_the_document_tells_what_was_compared(merge):
    coverage = strict(merge.to_json())["coverage"]
    assert coverage == {
        "slices": 23,
        "elements": 294_488,
        "elements_read": 294_488,
        "origin": "base",
        "main": ["base", "parent", "sibling"],
        "share": 1.0,
        "of": {"base": 1.0, "parent": 1.0, "sibling": 1.0},
        "unaligned": [],
        "orders": [],
    }


SUMMARY = {"n", "weights", "r2", "cosine", "z_naive", "log10_p", "condition"}


def test_the_model_and_its_components_are_summed_up_alike(merge):
    document = strict(merge.to_json())
    assert set(document["components"]) <= set(COMPONENTS)
    assert set(document["components"]) == {"attention", "mlp", "norm"}
    for summary in (document["model"], *document["components"].values()):
        assert set(summary) >= SUMMARY
        assert set(summary) == set(document["model"])
        assert set(summary["weights"]) == {"parent"}
        assert set(summary["weights"]["parent"]) >= {"ols", "standard_error", "cells"}
        assert set(summary["cosine"]) == set(summary["log10_p"]) == {"parent", "sibling"}
    parts = [summary["n"] for summary in document["components"].values()]
    assert sum(parts) == document["model"]["n"] == 294_488


def test_the_document_holds_every_number_a_verdict_depends_on(merge):
    parameters = strict(merge.to_json())["parameters"]
    assert parameters["thresholds"] == {
        name: getattr(Thresholds(), name) for name in Thresholds.__slots__
    }
    assert parameters["blocks"] == 16


def test_infinities_and_nan_are_no_numbers_of_the_document(tmp_path, family, weights):
    copy = write_checkpoint(tmp_path / "copy", weights["parent"])
    found = parentage.trace(family("child"), base=family("base"), parents=[family("parent"), copy])
    document = strict(found.to_json())
    assert document["model"]["weights"]["copy"]["ols"] is None
    assert float(document["verdict"]["numbers"]["condition"]) > 1e6
    nothing = {name: np.full_like(array, np.nan) for name, array in weights["child"].items()}
    empty = write_checkpoint(tmp_path / "empty", nothing)
    found = parentage.trace(empty, base=family("base"), parents=[family("parent")])
    assert strict(found.to_json())["model"]["r2"] is None
    one = write_checkpoint(tmp_path / "one", {"model.norm.weight": np.ones((), BF16)})
    two = write_checkpoint(tmp_path / "two", {"model.norm.weight": np.ones((), BF16)})
    strict(parentage.trace(one, base=two).to_json())


@pytest.fixture
def copies(tmp_path, family):
    """The family at another place, and later."""
    for name in ("base", "parent", "child", "sibling"):
        shutil.copytree(family(name), tmp_path / "elsewhere" / name)
    return tmp_path / "elsewhere"


def test_two_runs_write_the_same_bytes(tmp_path, merge, copies):
    merge.save(tmp_path / "one")
    again = parentage.trace(
        copies / "child",
        base=copies / "base",
        parents=[copies / "parent"],
        controls=[copies / "sibling"],
        threads=3,
        tile_bytes=4096,
        io="pread",
        level="scalar",
    )
    again.save(tmp_path / "two")
    names = {path.name for path in (tmp_path / "one").iterdir()} - {"custody.jsonl"}
    for name in names:
        one, two = (tmp_path / run / name for run in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_no_path_and_no_time_is_in_the_evidence(tmp_path, copies):
    found = parentage.trace(copies / "child", base=copies / "base", parents=[copies / "parent"])
    found.save(tmp_path / "out")
    (tmp_path / "out" / "custody.jsonl").unlink()  # which is kept apart for that
    for path in (tmp_path / "out").iterdir():
        is_table = path.suffix == ".parquet"
        # What is compressed may hold any two letters.
        stored = repr(pl.read_parquet(path).rows()).encode() if is_table else path.read_bytes()
        if path.suffix == ".html":
            # Scripts and digests hold short words by chance; they are the same in every report.
            stored = stored.partition(b"<body>")[2].partition(b"<script>")[0]
            assert b"</table>" in stored
        for part in (str(tmp_path), str(copies), "elsewhere", os.uname().nodename):
            assert part.encode() not in stored
    keys = set()

    def collect(value):
        if isinstance(value, dict):
            keys.update(value)
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(found.evidence)
    # An update is no date.
    words = {word for key in keys for word in key.split("_")}
    assert not {word for word in words if word.startswith("date") or "time" in word}
    assert not {key for key in keys if "second_" in key}


RECIPE_KEYS = {
    *("method", "equivalents", "parents", "parameters", "arithmetic", "out_dtype", "elements"),
    *("mismatches", "unexplained", "exact_share", "mergekit"),
}


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
