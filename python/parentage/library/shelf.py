"""A folder of sketches, and the index that they are looked up in.

Each sketch is a file below ``sketches``, called by its name and a digest of its bytes;
``index.parquet`` has a row for each, with its thumbnails. Files appear whole or not at all, the
index last: who searches while somebody writes sees the library as it was before or as it is after.
Writers take turns.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage.checkpoint import Checkpoint
from parentage.library.said import sketch_of
from parentage.library.sketching import ENDING
from parentage.support import (
    WRITING,
    CheckpointError,
    ReadError,
    WriteError,
    printable,
    sync_file,
    sync_folder,
)

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike
    from typing import Any

    from parentage.library.said import Sketch
    from parentage.stream import Progress

INDEX = "index.parquet"
SKETCHES = "sketches"

ENVIRONMENT = "PARENTAGE_LIBRARY"
"""The variable that says where the library is, if nothing else does."""

PATIENCE = 60.0
"""Seconds that a writer waits for another one."""

COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "name": pl.String,
    "file": pl.String,
    "sha256": pl.String,
    "bytes": pl.Int64,
    "elements": pl.Int64,
    "tensors": pl.Int64,
    "held": pl.Int64,
    "read": pl.String,
    "model_type": pl.String,
    "claims": pl.String,
    "keys": pl.List(pl.String),
    "thumbs": pl.Binary,
    "measured": pl.List(pl.String),
    "lengths": pl.Binary,
}
"""Columns of the index. ``thumbs`` are float32, (keys, elements); ``lengths`` float32, (measured,
numbers)."""

SHOWN = ("name", "elements", "tensors", "held", "bytes", "model_type", "claims", "file")
"""Columns that :meth:`Library.table` has."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def default_folder() -> Path:
    """Return where the library is, if nobody says: PARENTAGE_LIBRARY, or in the user's data."""
    said = os.environ.get(ENVIRONMENT)
    if said:
        return Path(said)
    data = os.environ.get("XDG_DATA_HOME") or Path("~", ".local", "share").expanduser()
    return Path(data, "parentage", "library")


class Library:
    """Sketches in a folder.

    Parameters
    ----------
    folder
        Where it is; by default :func:`default_folder`. It is made by the first :meth:`add`.

    Examples
    --------
    >>> import parentage, tempfile
    >>> from parentage.demo import family
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     library = parentage.Library(f"{folder}/library")
    ...     made = parentage.sketch(family("base"), f"{folder}/base.sketch.safetensors")
    ...     added = library.add([made])
    ...     names = library.names
    >>> names
    ('base',)
    """

    def __init__(self, folder: str | PathLike[str] | None = None) -> None:
        self.folder = default_folder() if folder is None else Path(folder)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all sketches, sorted."""
        return tuple(sorted(self.index(["name"])["name"].to_list()))

    def index(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the index, or some of its columns; empty without a library.

        Raises
        ------
        ReadError
            If it can not be read, or is none.
        """
        path = self.folder / INDEX
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return pl.DataFrame(schema=COLUMNS).select(columns or list(COLUMNS))
        except OSError as error:
            raise ReadError(f"{path}: {error.strerror or error}") from error
        try:
            found = pl.read_parquet(io.BytesIO(raw), columns=list(columns or COLUMNS))
        except Exception as error:  # polars raises what its readers do, panics included
            raise ReadError(printable(f"{path}: no index of sketches: {error}")[:400]) from error
        wanted = {name: COLUMNS[name] for name in found.columns}
        if dict(found.schema) != wanted:
            raise ReadError(f"{path}: no index of sketches: its columns have other types")
        return found

    @property
    def table(self) -> pl.DataFrame:
        """One row per sketch, sorted by name, without what it is looked up by."""
        return self.index(SHOWN).sort("name")

    def path(self, name: str) -> Path:
        """Return the file of a sketch.

        Raises
        ------
        ReadError
            If there is none of that name.
        """
        found = self.index(["name", "file"]).filter(pl.col("name") == name)
        if not len(found):
            raise ReadError(printable(f"{self.folder}: no sketch is called {name}"))
        return self.file(found["file"][0])

    def file(self, said: str) -> Path:
        """Return the path of a file that the index names, which is below the library.

        Raises
        ------
        ReadError
            If it is not.
        """
        if Path(said).name != said or not said.endswith(ENDING):
            raise ReadError(printable(f"{self.folder}: the index names {said!r}, no sketch of it"))
        return self.folder / SKETCHES / said

    def open(self, name: str) -> Checkpoint:
        """Open a sketch, under its name."""
        return Checkpoint.open(self.path(name), name)

    def add(
        self,
        sketches: Iterable[str | PathLike[str]],
        *,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """Copy sketches into the library, and return what they are called there.

        Parameters
        ----------
        sketches
            Files. Each is called as the checkpoint was, or as the file is if that is taken.
        replace
            Whether one of the same name gives way; if not, it is an error.
        progress
            Told of each file.

        Raises
        ------
        CheckpointError
            If one of them is no sketch. Nothing is added then.
        ReadError
            If one of them changes meanwhile.
        WriteError
            If a name is taken, or the system refuses to write.
        """
        rows, copies = [], []
        for given in sketches:
            path = Path(given)
            opened = Checkpoint.open(path)
            said = sketch_of(opened)
            if said is None:
                raise CheckpointError(
                    f"{printable(str(path))}: no sketch; parentage sketch makes one"
                )
            raw = path.read_bytes()
            row = _row(opened.name, said, raw)
            if progress is not None:
                progress.stage(f"adding {printable(row['name'])}")
            rows.append(row)
            copies.append((row["file"], path, row["sha256"]))
        added = pl.DataFrame(rows, schema=COLUMNS, orient="row")
        if added["name"].is_duplicated().any():
            twice = added.filter(pl.col("name").is_duplicated())["name"][0]
            raise WriteError(printable(f"{self.folder}: two sketches are called {twice}"))
        with self._writing() as scratch:
            index = self.index()
            taken = index.filter(pl.col("name").is_in(added["name"].to_list()))
            if len(taken) and not replace:
                name = taken["name"][0]
                raise WriteError(
                    printable(f"{self.folder}: a sketch is called {name} already; remove it first")
                )
            (self.folder / SKETCHES).mkdir(exist_ok=True)
            for file, path, digest in copies:
                made = scratch / file
                raw = path.read_bytes()
                if hashlib.sha256(raw).hexdigest() != digest:
                    raise ReadError(printable(f"{path}: it changed while it was added"))
                made.write_bytes(raw)
                sync_file(made)
                made.replace(self.file(file))
            kept = index.filter(~pl.col("name").is_in(added["name"].to_list()))
            self._put(pl.concat([kept, added]), scratch)
            self._drop(set(taken["file"].to_list()) - set(added["file"].to_list()))
        return tuple(added["name"].to_list())

    def remove(self, names: Iterable[str]) -> None:
        """Take sketches out of the library.

        Raises
        ------
        ReadError
            If one of them is not in it. Nothing is removed then.
        """
        gone = list(names)
        with self._writing() as scratch:
            index = self.index()
            known = set(index["name"].to_list())
            for name in gone:
                if name not in known:
                    raise ReadError(printable(f"{self.folder}: no sketch is called {name}"))
            left = index.filter(~pl.col("name").is_in(gone))
            files = set(index["file"].to_list()) - set(left["file"].to_list())
            self._put(left, scratch)
            self._drop(files)

    def _put(self, index: pl.DataFrame, scratch: Path) -> None:
        made = scratch / INDEX
        table = io.BytesIO()
        index.write_parquet(table, statistics=False)
        made.write_bytes(table.getvalue())
        sync_file(made)
        made.replace(self.folder / INDEX)
        sync_folder(self.folder)

    def _drop(self, files: Iterable[str]) -> None:
        """Remove files that the index does not name any more."""
        for file in files:
            self.file(file).unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        """Be the only writer, with a folder for what is not whole yet."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (
                self._turn(),
                tempfile.TemporaryDirectory(dir=self.folder, prefix=WRITING) as scratch,
            ):
                yield Path(scratch)
        except OSError as error:
            raise WriteError(f"{self.folder}: {error.strerror or error}") from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if sys.platform == "win32":
            yield
            return
        handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        said = f"{self.folder}: another process has been writing for {PATIENCE:g} s"
                        raise WriteError(said) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(handle)


def _row(name: str, said: Sketch, raw: bytes) -> dict[str, Any]:
    """Return the row of a sketch in the index."""
    digest = hashlib.sha256(raw).hexdigest()
    name = said.name or name
    measured = sorted(said.invariants)
    lengths = [said.invariants[key] for key in measured]
    width = min(map(len, lengths), default=0)
    claims = said.config.get("_name_or_path")
    kind = said.config.get("model_type")
    return {
        "name": name,
        "file": f"{_UNSAFE.sub('_', name)[:80].lstrip('.') or 'sketch'}-{digest[:16]}{ENDING}",
        "sha256": digest,
        "bytes": len(raw),
        "elements": said.elements,
        "tensors": len(said.tensors),
        "held": said.held,
        "read": said.read,
        "model_type": kind if isinstance(kind, str) else None,
        "claims": claims if isinstance(claims, str) else None,
        "keys": list(said.keys),
        "thumbs": said.thumbs.astype("<f4").tobytes(),
        "measured": measured,
        "lengths": np.array([each[:width] for each in lengths], "<f4").tobytes(),
    }
