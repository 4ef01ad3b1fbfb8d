"""Reads evidence that was stored in a folder, as a report takes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from parentage.report.parts import CUSTODY, IDENTITY, METADATA, ReportParts
from parentage.support import ReportError, printable

if TYPE_CHECKING:
    import os
    from typing import Any

MOST_BYTES = 1 << 28
"""Bytes of a document up to which it is read."""

MOST_TABLE_BYTES = 1 << 30
"""Bytes of a table up to which it is read."""

MOST_ROWS = 1 << 24
"""Rows of a table up to which it is read."""

SLICES = {
    "slice": pl.String,
    "component": pl.String,
    "layer": pl.Int64,
    "expert": pl.Int64,
    "shape": pl.List(pl.Int64),
    "dtype": pl.String,
    "checkpoint": pl.String,
    "role": pl.String,
    "bit_equal": pl.UInt64,
    "ols": pl.Float64,
    "se": pl.Float64,
    "rounding_bias": pl.Float64,
    "cells": pl.Float64,
    "cells_half_width": pl.Float64,
    "checkpoint_cosine": pl.Float64,
    "n": pl.UInt64,
    "r2": pl.Float64,
    "residual_rms": pl.Float64,
    "rounding_rms": pl.Float64,
    "exact_share": pl.Float64,
    "mismatched": pl.Int64,
    "log10_p": pl.Float64,
}
"""Columns of ``slices.parquet`` that a report needs, and their types."""

SPECTRUM = {
    "parent": pl.String,
    "kind": pl.String,
    "checkpoint": pl.String,
    "component": pl.String,
    "layer": pl.Int64,
    "weight": pl.Float64,
    "admitted": pl.UInt64,
    "intervals": pl.UInt64,
}
"""Columns of ``spectrum.parquet``, and their types."""


def read_parts(folder: str | os.PathLike[str]) -> ReportParts:
    """Return what a report is made of, as it lies in a folder of evidence.

    Raises
    ------
    ReportError
        If the folder holds no evidence, or a part of it is missing, damaged or of another schema.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ReportError(f"{folder}: it is a file; a report is made of the folder with evidence")
    if not (folder / "evidence.json").exists():
        raise ReportError(f"{folder}: it holds no evidence.json; parentage trace -o DIR writes it")
    document = read_json(folder / "evidence.json")
    if not isinstance(document, dict):
        raise ReportError(f"{folder / 'evidence.json'}: it is no JSON object")
    beside: dict[str, Any] = {}
    for name in (METADATA, IDENTITY):
        path = folder / f"{name}.json"
        if path.exists():
            beside[name] = read_json(path)
    if (folder / f"{CUSTODY}.jsonl").exists():
        beside[CUSTODY] = _lines(folder / f"{CUSTODY}.jsonl")
    spectrum = folder / "spectrum.parquet"
    parts = ReportParts(
        document,
        read_table(folder / "slices.parquet", SLICES),
        read_table(spectrum, SPECTRUM) if spectrum.exists() else None,
        beside,
    )
    try:
        assert parts.read is not None
    except ReportError as error:
        raise ReportError(f"{folder}: {error}") from error
    return parts


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    ReportError
        If it can not be read, is too large, or is no JSON.
    """
    text = _text(path)
    try:
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ReportError(f"{path}: no JSON: {printable(told)}") from error


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _lines(path: Path) -> list[Any]:
    """Return what the lines of a file hold, each JSON."""
    found = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            try:
                found.append(json.loads(line, parse_constant=_refused))
            except (ValueError, RecursionError) as error:
                raise ReportError(f"{path}: line {number}: no JSON") from error
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ReportError(f"{path}: it is larger than {MOST_BYTES:,} bytes")
        return path.read_text("utf-8")
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ReportError(f"{path}: no UTF-8 at byte {error.start:,}") from error


def read_table(path: Path, columns: dict[str, Any]) -> pl.DataFrame:
    """Return the columns of a table that are asked for, which it must have.

    Raises
    ------
    ReportError
        If it is missing, damaged or too large, or lacks a column, or has it in another type.
    """
    try:
        if path.stat().st_size > MOST_TABLE_BYTES:
            raise ReportError(f"{path}: it is larger than {MOST_TABLE_BYTES:,} bytes")
        lazy = pl.scan_parquet(path, glob=False)
        schema = lazy.collect_schema()
        for name, dtype in columns.items():
            if schema.get(name) != dtype:
                found = "missing" if name not in schema else f"of type {schema[name]}"
                raise ReportError(f"{path}: column {name} is {found}; it should be {dtype}")
        rows = lazy.select(pl.len()).collect().item()
        if rows > MOST_ROWS:
            raise ReportError(f"{path}: {rows:,} rows are more than a report is made of")
        return lazy.select(list(columns)).collect()
    except FileNotFoundError as error:
        raise ReportError(f"{path}: it is missing") from error
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"{path}: no such table: {printable(str(error))[:200]}") from error
