"""Bundles of the shipped family, and what somebody does who alters one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import parentage
import polars as pl
from conftest import family_path
from parentage.bundle import (
    CURVES,
    CUSTODY,
    EVIDENCE,
    MANIFEST,
    METADATA,
    SLICES,
    STATEMENTS,
    SUMS,
    manifest_text,
    sha256,
    statements_of,
)
from parentage.bundle.custody import entry_line

NAMES = ("child", "base", "parent", "sibling")
PLACES = {name: family_path(name) for name in NAMES}
FILES = (
    *(EVIDENCE, "facts.json", MANIFEST, METADATA, "recipe.yaml", "report.html", SLICES),
    *(CURVES, STATEMENTS, SUMS),
)
"""All files of a bundle but for the custody log."""


def traced(folder: Path, **options: Any) -> parentage.Trace:
    """Trace the family, and write the evidence."""
    return parentage.trace(
        PLACES["child"],
        base=PLACES["base"],
        parents=[PLACES["parent"]],
        controls=[PLACES["sibling"]],
        output=folder,
        **{"digest": "sha256", **options},
    )


def resealed(folder: Path, *, statements: bool = True) -> None:
    """Compute all digests of a bundle anew, as somebody does who wants it to look whole."""
    names = [name for name in FILES if name != MANIFEST and (folder / name).exists()]
    files = {name: (folder / name).read_bytes() for name in names}
    if statements and (again := statements_of(files)) is not None:
        files[STATEMENTS] = again
        (folder / STATEMENTS).write_bytes(again)
    text = manifest_text(files)
    (folder / MANIFEST).write_text(text, "utf-8")
    log = folder / CUSTODY
    if log.exists():
        entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        relogged(folder, entries)


def relogged(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Write a custody log anew, each entry with the digests that it has to have."""
    out, previous = "", None
    for entry in entries:
        told = {name: value for name, value in entry.items() if name != "digest"}
        told |= {
            "previous": previous,
            "manifest": sha256((folder / MANIFEST).read_bytes()),
        }
        line = entry_line(told)
        previous = json.loads(line)["digest"]
        out += line
    (folder / CUSTODY).write_text(out, "utf-8")


def edit_document(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the document of a bundle, as it is written."""
    told = json.loads((folder / EVIDENCE).read_text("utf-8"))
    change(told)
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    (folder / EVIDENCE).write_text(text, "utf-8")


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a file of JSON."""
    told = json.loads(path.read_text("utf-8"))
    change(told)
    path.write_text(json.dumps(told, ensure_ascii=False) + "\n", "utf-8")


def edit_metadata(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what is told of files beside the weights, as it is written."""
    told = json.loads((folder / METADATA).read_text("utf-8"))
    change(told)
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    (folder / METADATA).write_text(text, "utf-8")


def edit_table(path: Path, **columns: pl.Expr) -> None:
    """Change columns of a table."""
    pl.read_parquet(path).with_columns(**columns).write_parquet(path, statistics=False)


def put(told: dict[str, Any], path: str, value: Any) -> None:
    """Set what is at a path of keys with points between."""
    *way, last = path.split(".")
    for key in way:
        told = told[key]
    assert last in told, path
    told[last] = value


def copied(made: Path, folder: Path) -> Path:
    """Return a copy of a bundle that may be altered."""
    return Path(shutil.copytree(made, folder / "evidence"))


def failures(verification: Any) -> list[tuple[str, str | None, str]]:
    """Return check, file and text of what failed."""
    return [(each.check, each.file, each.text) for each in verification.failed]


def files_of(folder: Path) -> Mapping[str, bytes]:
    """Return the bytes of all files of a folder."""
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir())}
