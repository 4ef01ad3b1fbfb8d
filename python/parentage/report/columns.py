"""The table of slices, column by column, as a page holds it."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from parentage.support import printable

if TYPE_CHECKING:
    from typing import Any

    from parentage.report.parts import ReportParts
    from parentage.report.series import Series

MOST_ROWS = 150_000
"""Slices that a page holds; of more, those that are furthest from what is expected."""

DIGITS = 5
"""Digits of numbers in the table."""

DECIMALS = 6
"""Digits of shares after the point."""

PLAIN_BYTES = 1 << 16
"""Bytes of the table up to which it is not compressed."""


@dataclass(frozen=True)
class SliceTable:
    """Rows that a page shows."""

    columns: list[dict[str, Any]]
    """Name, title, kind (``text``, ``number``, ``count``, ``share``) and values of each; values of
    texts that come often are numbers of entries of ``words``."""
    rows: int
    total: int
    """Slices that there are."""

    def as_json(self) -> dict[str, Any]:
        """Return what a page's script reads: plain, or compressed where that is worth it."""
        told = {"rows": self.rows, "total": self.total}
        data = msgspec.json.encode(self.columns)
        if len(data) <= PLAIN_BYTES:
            return {**told, "columns": self.columns}
        packed = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
        return {**told, "packed": packed}


def slice_table(parts: ReportParts, series: Series) -> SliceTable:
    """Return the table of slices, one row each, with a weight for each parent."""
    whole = series.slices
    total = whole.height
    columns: list[pl.Expr] = [
        pl.col("slice"), pl.col("component"), pl.col("layer"), pl.col("expert"), pl.col("dtype"),
        pl.col("n"),
    ]  # fmt: skip
    told: list[tuple[str, str, str]] = [
        ("slice", "slice", "text"), ("component", "part", "word"), ("layer", "layer", "count"),
        ("expert", "expert", "count"), ("dtype", "dtype", "word"), ("n", "elements", "count"),
    ]  # fmt: skip
    document = parts.read
    for number, parent in enumerate(each.name for each in document.inputs.parents):
        name = f"weight {number}"
        of = parts.slices.filter(
            (pl.col("checkpoint") == parent) & (pl.col("role") == "parent")
        ).select("slice", pl.coalesce("cells", "ols").alias(name))
        whole = whole.join(
            of.unique("slice", keep="first"), on="slice", how="left", maintain_order="left"
        )
        columns.append(pl.col(name))
        told.append((name, f"weight of {printable(parent)}", "number"))
    columns += [
        pl.col("r2").sqrt().alias("cosine"),
        pl.col("ratio"),
        pl.col("exact_share"),
        pl.col("mismatched"),
    ]
    told += [
        ("cosine", "cosine", "number"), ("ratio", "left over ÷ rounding", "number"),
        ("exact_share", "reproduced", "share"), ("mismatched", "mismatches", "count"),
    ]  # fmt: skip
    nearest = series.nearest
    if nearest is not None:
        equal = parts.slices.filter(pl.col("checkpoint") == nearest).select(
            "slice", equal=pl.col("bit_equal").cast(pl.Float64) / pl.col("n").cast(pl.Float64)
        )
        whole = whole.join(
            equal.unique("slice", keep="first"), on="slice", how="left", maintain_order="left"
        )
        columns.append(pl.col("equal"))
        told.append(("equal", f"same bits as {printable(nearest)}", "share"))
    if total > MOST_ROWS:
        order = ["mismatched", "ratio"]
        kept = whole.with_row_index("row").sort(
            order, descending=True, nulls_last=True, maintain_order=True
        )
        whole = kept.head(MOST_ROWS).sort("row")
    frame = whole.select(columns)
    out = [_encoded(frame[name], title, kind) for name, title, kind in told]
    return SliceTable([each for each in out if each is not None], frame.height, total)


def _encoded(values: pl.Series, title: str, kind: str) -> dict[str, Any] | None:
    """Return a column as JSON holds it; ``None`` for one that has nothing."""
    if values.null_count() == len(values):
        return None
    column: dict[str, Any] = {"name": values.name, "title": title, "kind": kind}
    if kind == "word":
        words = values.unique(maintain_order=True).to_list()
        codes = {word: code for code, word in enumerate(words)}
        column["words"] = [printable(str(word)) for word in words]
        column["values"] = values.replace_strict(codes, return_dtype=pl.Int64).to_list()
        return column
    if kind == "text":
        column["values"] = [printable(str(each)) for each in values.to_list()]
        return column
    if values.dtype == pl.Float64:
        values = _shares(values) if kind == "share" else values.round_sig_figs(DIGITS)
        finite = values.is_finite().fill_null(value=False)
        column["values"] = [
            x if ok else None for x, ok in zip(values.to_list(), finite.to_list(), strict=True)
        ]
        return column
    column["values"] = values.to_list()
    return column


def _shares(values: pl.Series) -> pl.Series:
    """Return shares in few digits: of nearly all, less than all, and of some, more than none."""
    least = 10.0**-DECIMALS
    inside = (values > 0.0) & (values < 1.0)
    return (
        values.round(DECIMALS)
        .clip(0.0, 1.0)
        .zip_with(~inside.fill_null(value=False), values.round(DECIMALS).clip(least, 1.0 - least))
    )
