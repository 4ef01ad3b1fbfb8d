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
    import polars

FILES = ("slices.parquet", "evidence.json")
"""What is written, in this order: the document is there last."""

_SCRATCH = re.compile(rf"{re.escape(WRITING)}\w+")


def save(folder: str | os.PathLike[str], slices: polars.DataFrame, document: str) -> Path:
    """Write ``evidence.json`` and ``slices.parquet`` into ``folder``, made if need be.

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
            # Written by the system's own calls: polars says of a full disk that it is no parquet.
            table = io.BytesIO()
            slices.write_parquet(table, statistics=False)
            Path(scratch, "slices.parquet").write_bytes(table.getbuffer())
            Path(scratch, "evidence.json").write_text(document, encoding="utf-8")
            for name in FILES:
                sync_file(Path(scratch, name))
                Path(scratch, name).replace(folder / name)
    except OSError as error:
        raise WriteError(f"{folder}: write evidence: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise WriteError(f"{folder}: write slices.parquet: {error}") from error
    return folder
