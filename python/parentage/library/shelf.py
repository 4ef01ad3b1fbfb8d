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

from parentage import _core
from parentage.checkpoint import Checkpoint, as_checkpoint
from parentage.library.said import sketch_of
from parentage.library.sketching import ENDING, SIZE, sketched, write_sketch
from parentage.stream import SILENT, Options, choose_io
from parentage.support import (
    WRITING,
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

    from parentage.checkpoint import Given, Network
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
    "source": pl.String,
}
"""Columns of the index. ``thumbs`` are float32, (keys, elements); ``lengths`` float32, (measured,
numbers). ``source`` is what opens the checkpoint that the sketch was made of, where it was made by
:meth:`Library.add`: of a sketch that was given as one, nobody here knows that."""

LATER = ("source",)
"""Columns that an index may lack: libraries were written before there were any."""

SHOWN = ("name", "elements", "tensors", "held", "bytes", "model_type", "claims", "file", "source")
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
        asked = list(columns or COLUMNS)
        try:
            there = pl.read_parquet_schema(io.BytesIO(raw))
            known = [each for each in asked if each in there or each not in LATER]
            found = pl.read_parquet(io.BytesIO(raw), columns=known)
        except Exception as error:  # polars raises what its readers do, panics included
            raise ReadError(printable(f"{path}: no index of sketches: {error}")[:400]) from error
        wanted = {name: COLUMNS[name] for name in found.columns}
        if dict(found.schema) != wanted:
            raise ReadError(f"{path}: no index of sketches: its columns have other types")
        lacking = [
            pl.lit(None, COLUMNS[each]).alias(each) for each in asked if each not in found.columns
        ]
        return found.with_columns(lacking).select(asked) if lacking else found

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

    @property
    def digest(self) -> str:
        """SHA-256 of the names of all sketches and the digests of their files: which library it is.

        It is the same wherever the library lies, and in whatever order it was filled.
        """
        listed = self.index(["name", "sha256"]).sort("name", "sha256")
        text = "".join(f"{digest} {name!r}\n" for name, digest in listed.iter_rows())
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()

    def open(self, name: str) -> Checkpoint:
        """Open a sketch, under its name."""
        return Checkpoint.open(self.path(name), name)

    def add(
        self,
        sketches: Iterable[Given],
        *,
        replace: bool = False,
        size: int = SIZE,
        threads: int | None = None,
        network: Network | None = None,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """Copy sketches into the library, and return what they are called there.

        Parameters
        ----------
        sketches
            Files; or checkpoints, of which sketches are made, and the index says where they are:
            what is proposed to a trace is opened there. Each is called as the checkpoint was, or
            as what is opened is called.
        replace
            Whether one of the same name gives way; if not, it is an error.
        size
            Bytes of sketches that are made, as in :func:`parentage.sketch`.
        threads
            That read and compute for them; by default one per CPU.
        network
            How checkpoints are read that are on no disk: no more than their sketches hold.
        progress
            Told of each file.

        Raises
        ------
        CheckpointError
            If one of them is neither a sketch nor a checkpoint. Nothing is added then.
        ReadError
            If one of them changes meanwhile.
        WriteError
            If a name is taken, or the system refuses to write.
        """
        with tempfile.TemporaryDirectory(prefix="parentage-") as made:
            return self._added(
                [
                    self._sketch(given, Path(made, f"{number}{ENDING}"), size, threads, network,
                                 progress)
                    for number, given in enumerate(sketches)
                ],
                replace=replace,
            )  # fmt: skip

    def _sketch(
        self,
        given: Given,
        target: Path,
        size: int,
        threads: int | None,
        network: Network | None,
        progress: Progress | None,
    ) -> tuple[Path, dict[str, Any]]:
        """Return the file of a sketch, made at ``target`` if need be, and its row in the index."""
        opened = as_checkpoint(given, None, network)
        said, path, source = sketch_of(opened), Path(opened.path), None
        if said is None:
            options = Options(
                _core.threads() if threads is None else threads,
                None,
                choose_io("auto", opened.disk_bytes),
                is_far=opened.is_remote,
            )
            told = SILENT if progress is None else progress
            far = opened.is_remote
            write_sketch(
                target, *sketched(opened, size, options, told, runs_only=far, measure=not far)
            )
            path, source = target, None if opened.is_in_memory else opened.reopened_by
            said = sketch_of(Checkpoint.open(target))
            assert said is not None, "a sketch was written"
        elif not path.is_file():
            # A folder that holds nothing but a sketch, as a captured one.
            path = opened.shards[0].path
        # What is opened has the name that it was opened under; a file has the checkpoint's.
        name = given.name if isinstance(given, Checkpoint) else said.name or opened.name
        row = {**_row(name, said, path.read_bytes()), "source": source}
        if progress is not None:
            progress.stage(f"adding {printable(row['name'])}")
        return path, row

    def _added(
        self, found: Sequence[tuple[Path, dict[str, Any]]], *, replace: bool
    ) -> tuple[str, ...]:
        """Copy sketches, with their rows, and return their names."""
        added = pl.DataFrame([row for _, row in found], schema=COLUMNS, orient="row")
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
            for path, row in found:
                made = scratch / row["file"]
                raw = path.read_bytes()
                if hashlib.sha256(raw).hexdigest() != row["sha256"]:
                    raise ReadError(printable(f"{path}: it changed while it was added"))
                made.write_bytes(raw)
                sync_file(made)
                made.replace(self.file(row["file"]))
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
