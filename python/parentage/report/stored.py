"""Reads evidence as it is stored, in a folder or as the bytes of its files, for a report."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from parentage.bundle import CURVES, EVIDENCE
from parentage.bundle import CUSTODY as LOG
from parentage.bundle import METADATA as SAID
from parentage.bundle import SLICES as TABLE
from parentage.report.parts import CUSTODY, IDENTITY, METADATA, ReportParts
from parentage.support import ReportError, is_file, is_there, open_file, printable

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Any

ANSWERS = f"{IDENTITY}.json"
"""What ``parentage identify -o`` leaves of what the model says of itself."""

MADE_OF = (EVIDENCE, TABLE, CURVES, SAID, ANSWERS)
"""Files that a report is made of: the same ones give the same page."""

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


def read_parts(folder: str | os.PathLike[str], *, custody: bool = False) -> ReportParts:
    """Return what a report is made of, as it lies in a folder of evidence.

    ``custody`` adds the log of custody as it stands: it grows, and the page of a bundle has none.

    Raises
    ------
    ReportError
        If the folder holds no evidence, or a part of it is missing, damaged or of another schema.
    """
    return parts_of(read_files(folder, custody=custody), Path(folder))


def read_files(folder: str | os.PathLike[str], *, custody: bool = False) -> dict[str, bytes]:
    """Return the files in a folder that a report is made of, by name.

    Raises
    ------
    ReportError
        If the folder holds no evidence, or a file of it can not be read, or is too large.
    """
    folder = Path(folder)
    if is_file(folder):
        raise ReportError(f"{folder}: it is a file; a report is made of the folder with evidence")
    if not is_there(folder / EVIDENCE):
        raise ReportError(f"{folder}: it holds no {EVIDENCE}; parentage trace -o DIR writes it")
    names = (*MADE_OF, LOG) if custody else MADE_OF
    return {name: _read(folder / name) for name in names if is_there(folder / name)}


def _read(path: Path) -> bytes:
    most = MOST_TABLE_BYTES if path.suffix == ".parquet" else MOST_BYTES
    try:
        if path.stat().st_size > most:
            raise ReportError(f"{path}: it is larger than {most:,} bytes")
        with open_file(path) as file:
            return file.readall()
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror or error}") from error


def parts_of(files: Mapping[str, bytes], folder: Path | None = None) -> ReportParts:
    """Return what a report is made of, of the bytes of files by name.

    ``folder`` is where messages say that they lie.

    Raises
    ------
    ReportError
        If the document or the table of slices is missing, or a file is damaged, or of another
        schema.
    """

    def where(name: str) -> str:
        return name if folder is None else str(folder / name)

    document = read_json(files[EVIDENCE], where(EVIDENCE))
    if not isinstance(document, dict):
        raise ReportError(f"{where(EVIDENCE)}: it is no JSON object")
    beside: dict[str, Any] = {
        name: read_json(files[file], where(file))
        for name, file in ((METADATA, SAID), (IDENTITY, ANSWERS))
        if file in files
    }
    if LOG in files:
        beside[CUSTODY] = _lines(files[LOG], where(LOG))
    if TABLE not in files:
        raise ReportError(f"{where(TABLE)}: it is missing")
    spectrum = None
    if CURVES in files:
        spectrum = read_table(files[CURVES], SPECTRUM, where(CURVES))
    parts = ReportParts(document, read_table(files[TABLE], SLICES, where(TABLE)), spectrum, beside)
    try:
        assert parts.read is not None
    except ReportError as error:
        raise error if folder is None else ReportError(f"{folder}: {error}") from error
    return parts


def read_json(data: bytes, where: str) -> Any:
    """Return what a JSON file holds; ``where`` names it in errors.

    Raises
    ------
    ReportError
        If it is no JSON.
    """
    try:
        return json.loads(_text(data, where), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ReportError(f"{where}: no JSON: {printable(told)}") from error


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _lines(data: bytes, where: str) -> list[Any]:
    """Return what the lines of a file hold, each JSON."""
    found = []
    for number, line in enumerate(_text(data, where).splitlines(), 1):
        if line.strip():
            try:
                found.append(json.loads(line, parse_constant=_refused))
            except (ValueError, RecursionError) as error:
                raise ReportError(f"{where}: line {number}: no JSON") from error
    return found


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReportError(f"{where}: no UTF-8 at byte {error.start:,}") from error


def read_table(data: bytes, columns: dict[str, Any], where: str) -> pl.DataFrame:
    """Return the columns of a table that are asked for, which it must have.

    Raises
    ------
    ReportError
        If it is damaged or too large, or lacks a column, or has it in another type.
    """
    try:
        lazy = pl.scan_parquet(io.BytesIO(data))
        schema = lazy.collect_schema()
        for name, dtype in columns.items():
            if schema.get(name) != dtype:
                found = "missing" if name not in schema else f"of type {schema[name]}"
                raise ReportError(f"{where}: column {name} is {found}; it should be {dtype}")
        rows = lazy.select(pl.len()).collect().item()
        if rows > MOST_ROWS:
            raise ReportError(f"{where}: {rows:,} rows are more than a report is made of")
        return lazy.select(list(columns)).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ReportError(f"{where}: no such table: {printable(str(error))[:200]}") from error
