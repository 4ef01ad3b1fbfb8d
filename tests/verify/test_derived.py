"""Statistics are made again of sums, and tables that do not fit are refused."""

import numpy as np
import polars as pl
import pytest
from common.bundles import PLACES
from parentage import trace
from parentage.bundle import SLICES, SUMS, read_bundle
from parentage.support import EvidenceError
from parentage.verify.derived import factors_of, parts_of, restored_statistics


@pytest.fixture(scope="module")
def tables(made):
    document = read_bundle(made).document
    return pl.read_parquet(made / SUMS), pl.read_parquet(made / SLICES), document


def test_the_main_part_gives_the_weights_of_the_trace(tables):
    (part,) = parts_of(*tables)
    statistics = restored_statistics(part)
    found = trace(
        PLACES["child"], base=PLACES["base"], parents=[PLACES["parent"]],
        controls=[PLACES["sibling"]], recipes=False,
    )  # fmt: skip
    ((weight,),) = statistics.model.estimates.parents.weights
    assert weight == pytest.approx(found.weights["parent"], rel=1e-12)
    assert part.columns.names == ("base", "parent", "sibling")
    assert part.columns.controls == ("sibling",)
    assert [each.name for each in part.slices] == tables[0]["slice"].to_list()
    assert (factors_of(part) == 1.0).all()
    assert part.array("gram").shape == (23, 10)


WRONG = {
    "part": pl.lit(1, pl.Int64),
    "checkpoints": pl.concat_list(
        pl.col("checkpoints").list.head(1), pl.col("checkpoints").list.head(2)
    ),
    "gram": pl.col("gram").list.head(3),
    "equal": pl.col("equal").list.head(1),
    "nan": pl.lit(None, pl.List(pl.UInt64)),
    "n": pl.lit(None, pl.UInt64),
    "ulps": pl.lit(None, pl.List(pl.UInt64)),
    "slice": pl.col("slice") + "x",
    "energy": pl.col("energy").cast(pl.Float32),
}


@pytest.mark.parametrize("column", WRONG)
def test_sums_that_are_not_as_they_are_written_are_refused(tables, column):
    sums, slices, document = tables
    with pytest.raises(EvidenceError, match=r"^(sums|slices)\.parquet: "):
        parts_of(sums.with_columns(**{column: WRONG[column]}), slices, document)


def test_tables_of_different_length_or_with_a_slice_twice_are_refused(tables):
    sums, slices, document = tables
    for one, other in [
        (sums.head(22), slices),
        (sums, slices.head(66)),
        (sums.head(0), slices),
        (pl.concat([sums.head(22), sums.head(1)]), slices),
    ]:
        with pytest.raises(EvidenceError):
            parts_of(one, other, document)


def test_what_was_not_replayed_has_no_counts(tables):
    sums, slices, document = tables
    names = ("reproduced", "explained", "mismatched", "zero_signs", "ulps", "first")
    nothing = sums.with_columns(pl.lit(None).cast(sums.schema[name]).alias(name) for name in names)
    (part,) = parts_of(nothing, slices, document)
    assert restored_statistics(part).replayed.reproduced.shape == (23, 0)
    some = sums.with_columns(
        pl.when(pl.int_range(pl.len()) > 2).then(pl.col(name)).alias(name) for name in names
    )
    (part,) = parts_of(some, slices, document)
    found = restored_statistics(part).replayed
    assert found.applies.sum() == 20
    assert (found.reproduced[:3] == 0).all()
    assert found.ulps.dtype == np.uint64
