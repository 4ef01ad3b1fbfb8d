"""Writes what a recipe gives as a checkpoint of its own.

Names, shapes and order of the tensors are those of the base, or of the first parent of a recipe
without one. Nothing that looks like a checkpoint is left behind by what fails: files are written in
a folder beside the one that is asked for, their headers last, and the folder is renamed when it is
whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from parentage import _core
from parentage.checkpoint import DTYPES
from parentage.replay.raw import BUFFER, file_pieces, is_finite, pieces, tensor_pieces
from parentage.replay.written import Written
from parentage.stream import SILENT, Progress
from parentage.support import (
    ReadError,
    RecipeError,
    WriteError,
    held,
    printable,
    sweep,
    sync_folder_strictly,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from parentage.align import Alignment
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.replay.comparison import Prepared
    from parentage.replay.written import TensorPlan
    from parentage.stream import Options


@dataclass(frozen=True)
class Writing:
    """A checkpoint that can be written: everything that can be known before is checked."""

    folder: Path
    reference: Checkpoint
    """The checkpoint whose names, shapes and order are taken."""
    alignment: Alignment
    owners: tuple[str, ...]
    """Per slice of the alignment, the tensor that it is written to."""
    prepared: Prepared
    parts: tuple[TensorPlan, ...]
    names: tuple[str, ...]
    """Names of the files."""
    headers: tuple[bytes, ...]
    index: bytes | None
    left_out: tuple[tuple[str, str], ...]
    options: Options

    def run(
        self,
        child: Checkpoint | None = None,
        progress: Progress = SILENT,
        *,
        allow_non_finite: bool = False,
    ) -> Written:
        """Write it, and return digests of what is written and of what ``child`` has instead.

        Raises
        ------
        RecipeError
            If the recipe makes numbers that are not finite of such that all are, and
            ``allow_non_finite`` is not given; nothing is left then.
        """
        # What was killed while it wrote this folder is in nobody's way, and of nobody's use.
        left = re.compile(rf"\.{re.escape(self.folder.name)}\.[0-9a-f]{{8}}\.partial")
        sweep(self.folder.parent, left)
        scratch = self.folder.parent / f".{self.folder.name}.{secrets.token_hex(4)}.partial"
        try:
            with _as_write_error(scratch, self.folder):
                scratch.mkdir(parents=True)
            with held(scratch), _as_write_error(scratch, self.folder):
                written = self._run(scratch, child, progress, allow_non_finite)
                # A folder that is empty gives way to the one that is renamed.
                scratch.rename(self.folder)
                sync_folder_strictly(self.folder.parent)
        finally:
            # A second Ctrl-C may end this early: what is left then has no header.
            shutil.rmtree(scratch, ignore_errors=True)
        return written

    def _run(
        self, scratch: Path, child: Checkpoint | None, progress: Progress, allow_non_finite: bool
    ) -> Written:
        owner = np.flatnonzero(self.prepared.applies)
        plan = self.alignment.part(owner)
        theirs = {} if child is None else child.tensors
        copied = sum(part.bytes for part in self.parts if part.reason is not None)
        total = plan.bytes(0, plan.slices) + copied + sum(part.bytes for part in self.parts)
        total += sum(
            theirs[part.name].end - theirs[part.name].begin
            for part in self.parts
            if part.name in theirs
        )
        steps = _Steps(progress, total)
        files = [scratch / name for name in self.names]
        for path, size in zip(files, self._sizes, strict=True):
            with path.open("xb") as out:
                out.truncate(size)
        self._copy(files, steps)
        self._replay(plan, owner, files, steps)
        ours = [
            _digest(pieces(files[part.file], part.begin, part.begin + part.bytes, part.name), steps)
            for part in self.parts
        ]
        non_finite = self._non_finite(owner, files)
        if any(non_finite) and not allow_non_finite:
            raise RecipeError(self._says_non_finite(non_finite))
        digests: list[str | None] = [None] * len(self.parts)
        if child is not None:
            digests = [_digest_of(child, theirs.get(part.name), steps) for part in self.parts]
            child.core.verify_unchanged()
        for path, header in zip(files, self.headers, strict=True):
            with path.open("r+b") as out:
                out.write(header)
                out.flush()
                os.fsync(out.fileno())
        if self.index is not None:
            with (scratch / "model.safetensors.index.json").open("xb") as out:
                out.write(self.index)
                out.flush()
                os.fsync(out.fileno())
        sync_folder_strictly(scratch)
        agrees = [
            None if child is None else other == own and _alike(theirs.get(part.name), part)
            for part, own, other in zip(self.parts, ours, digests, strict=True)
        ]
        written = {part.name for part in self.parts}
        return Written(
            folder=self.folder,
            files=tuple(zip(self.names, self._sizes, strict=True)),
            tensors=self._table(ours, digests, agrees, non_finite),
            left_out=self.left_out,
            child=None if child is None else child.name,
            unwritten=tuple(name for name in theirs if name not in written),
        )

    @property
    def _sizes(self) -> tuple[int, ...]:
        sizes = [len(header) for header in self.headers]
        for part in self.parts:
            sizes[part.file] += part.bytes
        return tuple(sizes)

    def _table(
        self,
        ours: Sequence[str],
        child: Sequence[str | None],
        agrees: Sequence[bool | None],
        non_finite: Sequence[int],
    ) -> pl.DataFrame:
        parts = self.parts
        return pl.DataFrame(
            {
                "tensor": [part.name for part in parts],
                "dtype": [part.dtype for part in parts],
                "shape": pl.Series([list(part.shape) for part in parts], dtype=pl.List(pl.Int64)),
                "file": [self.names[part.file] for part in parts],
                "bytes": [part.bytes for part in parts],
                "made": [part.made for part in parts],
                "reason": pl.Series([part.reason for part in parts], dtype=pl.String),
                "sha256": list(ours),
                "child_sha256": pl.Series(child, dtype=pl.String),
                "agrees": pl.Series(agrees, dtype=pl.Boolean),
                "non_finite": pl.Series(non_finite, dtype=pl.Int64),
            }
        )

    def _non_finite(self, owner: np.ndarray, files: Sequence[Path]) -> list[int]:
        """Return the numbers that are not finite, and made of such that are, of every part."""
        parts = {part.name: at for at, part in enumerate(self.parts)}
        columns = self.alignment.checkpoints[:-1]
        found = [0] * len(self.parts)
        for i in owner:
            each = self.alignment.slices[i]
            at = parts[self.owners[i]]
            part = self.parts[at]
            size = DTYPES[part.dtype].bytes
            begin = part.begin + each.extents[0].start * size
            step = BUFFER // 8
            for first in range(0, each.elements, step):
                count = min(step, each.elements - first)
                start = begin + first * size
                raw = pieces(files[part.file], start, start + count * size, part.name)
                odd = ~is_finite(b"".join(raw), part.dtype)
                for core, extent in zip(columns, each.extents, strict=False):
                    if not odd.any():
                        break
                    odd &= is_finite(*_elements(core, extent.tensor, extent.start + first, count))
                found[at] += int(np.count_nonzero(odd))
        return found

    def _says_non_finite(self, counts: Sequence[int]) -> str:
        """Return that numbers are not finite, how many, and where first."""
        odd = [(part, count) for part, count in zip(self.parts, counts, strict=True) if count]
        tensors = "1 tensor" if len(odd) == 1 else f"{len(odd):,} tensors"
        numbers = sum(part.bytes // DTYPES[part.dtype].bytes for part in self.parts)
        return (
            f"the recipe makes {sum(counts):,} of {numbers:,} numbers not finite that are made of "
            f"finite ones, in {tensors}, the first in {printable(odd[0][0].name)}; nothing is "
            "written; --allow-non-finite (allow_non_finite=True) writes them all the same"
        )

    def _replay(
        self, plan: _core.Plan, owner: np.ndarray, files: Sequence[Path], steps: _Steps
    ) -> None:
        parts = {part.name: part for part in self.parts}
        targets = []
        for i in owner:
            extent = self.alignment.slices[i].extents[0]
            part = parts[self.owners[i]]
            begin = part.begin + extent.start * DTYPES[part.dtype].bytes
            targets.append((part.file, begin, part.dtype))
        self.options.backend.write_replay(
            plan,
            self.prepared.program.replay(self.prepared.results, owner),
            list(files),
            targets,
            threads=self.options.threads,
            tile_bytes=self.options.tile_bytes,
            io=self.options.io,
            progress=steps.progress(),
        )
        steps.advance(plan.bytes(0, plan.slices))

    def _copy(self, files: Sequence[Path], steps: _Steps) -> None:
        """Copy what the recipe says nothing about from the reference, byte for byte."""
        for part in self.parts:
            if part.reason is None:
                continue
            tensor = self.reference.tensors[part.source]
            with files[part.file].open("r+b") as out:
                out.seek(part.begin)
                for piece in tensor_pieces(self.reference, tensor):
                    out.write(piece)
                    steps.advance(len(piece))
        self.reference.core.verify_unchanged()


@contextmanager
def _as_write_error(scratch: Path, folder: Path) -> Iterator[None]:
    """Turn what the system says about files being written into an error that names their place."""

    def told(message: str) -> str:
        return message.replace(str(scratch), str(folder))

    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise WriteError(told(f"{where}: write: {error.strerror or error}")) from error
    except ReadError as error:
        if str(scratch) not in str(error):
            raise
        raise WriteError(told(str(error))) from error


class _Steps:
    """Bytes of one pass after the other, as one number."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._done = 0
        progress.start(total)

    def advance(self, bytes_: int) -> None:
        """Add to the bytes that are done with."""
        self._done += bytes_
        self._progress.update(self._done)

    def progress(self) -> Any:
        """Return what the core tells of its own bytes."""
        before = self._done
        return lambda bytes_: self._progress.update(before + bytes_)


def _elements(core: _core.Checkpoint, tensor: int, first: int, count: int) -> tuple[bytes, str]:
    """Return bytes of ``count`` elements of a tensor from ``first`` on, and their dtype."""
    _, name, dtype, _, shard, begin, _ = core.tensor(tensor)
    size = DTYPES[dtype].bytes
    at = begin + first * size
    if shard >= len(core.shards()):
        # What is computed lies in no file; it is of a dtype that float64 holds.
        table = np.array([[tensor] * 2], np.uint64), np.array([[first] * 2], np.uint64)
        plan = _core.Plan([core] * 2, np.array([count], np.uint64), *table)
        return _core.elements(plan, 0, 1, threads=1)[:, 0].astype("<f8").tobytes(), "F64"
    return b"".join(file_pieces(core, shard, at, at + count * size, name)), dtype


def _digest(raw: Iterable[bytes], steps: _Steps) -> str:
    digest = hashlib.sha256()
    for piece in raw:
        digest.update(piece)
        steps.advance(len(piece))
    return digest.hexdigest()


def _digest_of(checkpoint: Checkpoint, tensor: Tensor | None, steps: _Steps) -> str | None:
    if tensor is None:
        return None
    return _digest(tensor_pieces(checkpoint, tensor), steps)


def _alike(tensor: Tensor | None, part: TensorPlan) -> bool:
    return tensor is not None and (tensor.dtype, tensor.shape) == (part.dtype, part.shape)
