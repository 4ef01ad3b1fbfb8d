"""Sums are stored as a pass gives them, in the order of the child's files."""

import numpy as np
import polars as pl
import pytest
from common.traced import MERGE, trace
from conftest import gram_of, load, write_checkpoint
from parentage import trace as traced
from parentage.evidence import REPLAYED, SUMS_SCHEMA
from parentage.evidence.sums import sums_frame, sums_of  # noqa: F401


def test_sums_are_those_of_a_reference(merge, family):
    assert dict(merge.sums.schema) == SUMS_SCHEMA
    names = ("base", "parent", "sibling", "child")
    arrays = {name: load(family(name)) for name in names}
    assert merge.sums["checkpoints"].to_list() == [list(names[:-1])] * 23
    rows, columns = np.triu_indices(4)
    for row in merge.sums.iter_rows(named=True):
        held = [arrays[name][row["slice"]] for name in names]
        expected = gram_of(held)
        scale = np.sqrt(np.diagonal(expected))
        found = np.array(row["gram"])
        assert row["n"] == held[0].size
        limit = 1e-8 * scale[rows] * scale[columns]
        assert (np.abs(found - expected[rows, columns]) <= limit).all()
        same = [int((a.view(np.uint16) == held[-1].view(np.uint16)).sum()) for a in held[:-1]]
        assert row["equal"] == same
        assert (row["reproduced"], row["mismatched"]) == (row["n"], 0)


def test_the_order_is_that_of_the_files(merge):
    assert sorted(merge.sums["slice"]) == sorted(merge.slices["slice"].unique())
    assert merge.sums["part"].unique().to_list() == [0]


def test_without_a_recipe_nothing_was_replayed(family):
    found = traced(family("child"), base=family("base"), parents=[family("parent")], recipes=False)
    assert found.sums.select(REPLAYED).null_count().row(0) == (23,) * len(REPLAYED)


def test_what_few_checkpoints_have_is_a_part_of_its_own(tmp_path):
    extra = {"model.layers.9.new.weight": np.ones((8, 8), np.float32)}
    found = trace(tmp_path, {**MERGE, **extra}, ["one"])
    assert found.sums["part"].max() == 0
    write_checkpoint(tmp_path / "one", {**load(tmp_path / "one"), **extra})
    found = trace(tmp_path, {**MERGE, **extra}, ["one"])
    (row,) = found.sums.filter(pl.col("part") == 1).iter_rows(named=True)
    assert (row["slice"], row["checkpoints"], row["equal"]) == (*extra, ["one"], [64])
    assert row["reproduced"] is None


@pytest.mark.parametrize("options", [{"threads": 1}, {"level": "scalar"}, {"tile_bytes": 4096}])
def test_no_way_of_reading_changes_a_bit(merge, family, options):
    again = traced(
        family("child"), base=family("base"), parents=[family("parent")],
        controls=[family("sibling")], **options,
    )  # fmt: skip
    assert again.sums.equals(merge.sums)
