"""Evidence as files in a folder, each there whole or not at all."""

from __future__ import annotations

import io
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from parentage.support import WRITING, WriteError, held, sweep, sync_file

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCRATCH = re.compile(rf"{re.escape(WRITING)}\w+")


def save(
    folder: str | os.PathLike[str], files: Mapping[str, pl.DataFrame | str | bytes | None]
) -> Path:
    """Write tables as parquet, texts as UTF-8 and bytes into ``folder``, made if need be.

    They are put in place in the order given, once all are written: what says of the others that
    they are there comes last. A file of ``None`` is one that could not be made: what lies there
    of an earlier trace is removed.

    Raises
    ------
    WriteError
        If the system refuses to write.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, _SCRATCH)
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix=WRITING) as scratch,
            held(Path(scratch)),
        ):
            for name, content in files.items():
                if content is not None:
                    Path(scratch, name).write_bytes(as_bytes(name, content))
            for name, content in files.items():
                if content is None:
                    (folder / name).unlink(missing_ok=True)
                    continue
                sync_file(Path(scratch, name))
                Path(scratch, name).replace(folder / name)
    except OSError as error:
        raise WriteError(f"{folder}: write evidence: {error.strerror or error}") from error
    return folder


def as_bytes(name: str, content: pl.DataFrame | str | bytes) -> bytes:
    """Return what a file holds; its writing is ours: polars calls a full disk no parquet.

    Raises
    ------
    WriteError
        If a table can not be written as parquet.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    table = io.BytesIO()
    try:
        content.write_parquet(table, statistics=False)
    except pl.exceptions.PolarsError as error:
        raise WriteError(f"write {name}: {error}") from error
    return table.getvalue()
