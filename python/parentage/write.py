"""Writes what a recipe gives as a checkpoint of its own.

Names, shapes and order of the tensors are those of the base, or of the first parent of a recipe
without one. Nothing that looks like a checkpoint is left behind by what fails: files are written in
a folder beside the one that is asked for, their headers last, and the folder is renamed when it is
whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from parentage import _core
from parentage.align import Extent, align, dtype_class, pair_by_name, scale_of
from parentage.carry import NOT_FLOAT, SILENT, Prepared, moved_layers, open_parents, order, prepare
from parentage.checkpoint import Checkpoint, printable
from parentage.errors import ReadError, RecipeError, WriteError
from parentage.stream import Options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from parentage.align import Alignment
    from parentage.carry import Offered
    from parentage.checkpoint import Tensor
    from parentage.recipe import Recipe
    from parentage.stream import Watcher

SHARD_BYTES = 5 * 10**9
"""Bytes of tensors from which on a checkpoint is written as several files."""
BUFFER = 1 << 22
"""Bytes that are copied or hashed at a time."""
SLACK = 1 << 20
"""Bytes that have to be free beside those of the files."""
_BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_NAMED = 4
"""Tensors that a message names."""


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of what is written."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    reason: str | None
    """Why it is a copy of the base's; ``None`` where the recipe gives it."""
    file: int = 0
    begin: int = 0
    """First byte in the file."""

    @property
    def made(self) -> str:
        """``"replayed"`` or ``"copied"``."""
        return "replayed" if self.reason is None else "copied"


@dataclass(frozen=True)
class Written:
    """What was written, and where."""

    folder: Path
    files: tuple[tuple[str, int], ...]
    """Name and bytes of every file."""
    tensors: pl.DataFrame
    """One row per tensor: tensor, dtype, shape, file, bytes, made, reason, sha256 of its data; and
    child_sha256 and agrees, null where no child was given."""
    left_out: tuple[tuple[str, str], ...]
    """Checkpoint and tensor of what the base does not have, and what is not written therefore."""
    child: str | None
    """The child that digests are compared with."""
    unwritten: tuple[str, ...]
    """Tensors of the child that are not among those written."""

    @property
    def replayed(self) -> int:
        """Tensors that the recipe gives."""
        return int((self.tensors["made"] == "replayed").sum())

    @property
    def copied(self) -> pl.DataFrame:
        """The tensors that are the base's byte for byte, with reasons."""
        return self.tensors.filter(pl.col("made") == "copied")

    @property
    def agreeing(self) -> int | None:
        """Tensors with the child's dtype, shape and bytes; ``None`` without a child."""
        return None if self.child is None else int(self.tensors["agrees"].sum())

    @property
    def agrees(self) -> bool | None:
        """Whether all tensors are the child's, and the child has no others."""
        if self.child is None:
            return None
        return self.agreeing == self.tensors.height and not self.unwritten

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it; where the folder is is not part of it."""
        return {
            "files": [{"name": name, "bytes": size} for name, size in self.files],
            "replayed": self.replayed,
            "copied": self.copied.height,
            "tensors": self.tensors.to_dicts(),
            "left_out": [{"checkpoint": one, "tensor": other} for one, other in self.left_out],
            "child": self.child,
            "agreeing": self.agreeing,
            "agrees": self.agrees,
            "unwritten": list(self.unwritten),
        }

    def __repr__(self) -> str:
        return (
            f"<Written {self.folder.name}: {self.tensors.height:,} tensors, "
            f"{self.replayed:,} replayed>"
        )


@dataclass(frozen=True)
class Writing:
    """A checkpoint that can be written: everything that can be known before is checked."""

    folder: Path
    reference: Checkpoint
    """The checkpoint whose names, shapes and order are taken."""
    alignment: Alignment
    prepared: Prepared
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    """Names of the files."""
    headers: tuple[bytes, ...]
    index: bytes | None
    left_out: tuple[tuple[str, str], ...]
    options: Options

    def run(self, child: Checkpoint | None = None, watcher: Watcher | None = None) -> Written:
        """Write it, and return digests of what is written and of what ``child`` has instead."""
        scratch = self.folder.parent / f".{self.folder.name}.{secrets.token_hex(4)}.partial"
        try:
            with _as_write_error(scratch, self.folder):
                scratch.mkdir(parents=True)
                written = self._run(scratch, child, watcher)
                # A folder that is empty gives way to the one that is renamed.
                scratch.rename(self.folder)
                _sync(self.folder.parent)
        finally:
            # A second Ctrl-C may end this early: what is left then has no header.
            shutil.rmtree(scratch, ignore_errors=True)
        return written

    def _run(self, scratch: Path, child: Checkpoint | None, watcher: Watcher | None) -> Written:
        owner = np.flatnonzero(self.prepared.applies)
        plan = self._plan(owner)
        theirs = {} if child is None else child.tensors
        copied = sum(part.bytes for part in self.parts if part.reason is not None)
        total = plan.bytes(0, plan.slices) + copied + sum(part.bytes for part in self.parts)
        total += sum(
            theirs[part.name].end - theirs[part.name].begin
            for part in self.parts
            if part.name in theirs
        )
        steps = _Steps(watcher, total)
        files = [scratch / name for name in self.names]
        for path, size in zip(files, self._sizes, strict=True):
            with path.open("xb") as out:
                out.truncate(size)
        self._copy(files, steps)
        self._replay(plan, owner, files, steps)
        ours = [
            _digest(files[part.file], part.begin, part.begin + part.bytes, part.name, steps)
            for part in self.parts
        ]
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
        _sync(scratch)
        agrees = [
            None if child is None else other == own and _alike(theirs.get(part.name), part)
            for part, own, other in zip(self.parts, ours, digests, strict=True)
        ]
        written = {part.name for part in self.parts}
        return Written(
            folder=self.folder,
            files=tuple(zip(self.names, self._sizes, strict=True)),
            tensors=self._table(ours, digests, agrees),
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
        self, ours: Sequence[str], child: Sequence[str | None], agrees: Sequence[bool | None]
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
            }
        )

    def _plan(self, owner: np.ndarray) -> _core.Plan:
        """Return a plan of the slices that are replayed; its last column is not read from."""
        chosen = [self.alignment.slices[i] for i in owner]
        return _core.Plan(
            list(self.alignment.checkpoints),
            np.array([each.elements for each in chosen], dtype=np.uint64),
            np.array([[x.tensor for x in each.extents] for each in chosen], dtype=np.uint64),
            np.array([[x.start for x in each.extents] for each in chosen], dtype=np.uint64),
        )

    def _replay(
        self, plan: _core.Plan, owner: np.ndarray, files: Sequence[Path], steps: _Steps
    ) -> None:
        names = list(self.reference.tensors)
        parts = {part.name: part for part in self.parts}
        targets = []
        for i in owner:
            extent = self.alignment.slices[i].extents[0]
            part = parts[names[extent.tensor]]
            begin = part.begin + extent.start * _BYTES[part.dtype]
            targets.append((part.file, begin, part.dtype))
        _core.write_replay(
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
            tensor = self.reference.tensors[part.name]
            source = self.reference.shards[tensor.shard].path
            with files[part.file].open("r+b") as out:
                out.seek(part.begin)
                for piece in _pieces(source, tensor.begin, tensor.end, part.name):
                    out.write(piece)
                    steps.advance(len(piece))
        self.reference.core.verify_unchanged()


def write(
    recipe: Recipe,
    parents: Mapping[str, Offered],
    folder: str | os.PathLike[str],
    *,
    against: Offered | None = None,
    shard_bytes: int = SHARD_BYTES,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "mmap",
    watcher: Watcher | None = None,
) -> Written:
    """Write what a recipe gives of ``parents``, by name, as safetensors files in ``folder``.

    Parameters
    ----------
    recipe
        How to make it.
    parents
        Where the checkpoints are that it needs, by the names that it knows them by.
    folder
        Where to; it must not exist, or be empty.
    against
        A child whose tensors' digests are compared with those of what is written.
    shard_bytes
        Most bytes of tensors in a file; a larger tensor has a file of its own.
    threads, tile_bytes, io
        How to read; none of it changes a byte.
    watcher
        Told of the bytes to read and of those read so far, and may raise to stop.

    Raises
    ------
    RecipeError
        If the recipe leaves a choice, or does not fit the checkpoints.
    WriteError
        If the folder is not empty or the system refuses to write; nothing is left then.
    ParentageError
        If a checkpoint is damaged or unreadable, or changes while it is read.
    """
    options = Options(_core.threads() if threads is None else threads, tile_bytes, io)
    child = Checkpoint.open(against) if isinstance(against, str | os.PathLike) else against
    return plan_write(recipe, parents, folder, shard_bytes, options).run(child, watcher)


def plan_write(
    recipe: Recipe,
    parents: Mapping[str, Offered],
    folder: str | os.PathLike[str],
    shard_bytes: int,
    options: Options,
) -> Writing:
    """Check that a recipe can be written into ``folder``, and say where every tensor goes.

    Raises
    ------
    ParentageError
        As :func:`write`.
    """
    if shard_bytes < 1:
        raise ValueError(f"shards of {shard_bytes} bytes; 1 is the least")
    if moved_layers(recipe):
        raise RecipeError(
            "a recipe that moves layers can not be written, since the names of tensors are taken "
            "from the base; compare it with --against instead"
        )
    target = Path(folder).resolve()
    _check_folder(Path(folder), target)
    opened = open_parents(recipe, parents)
    reference, *others = opened.values()
    alignment = align(reference, [reference, *others], pairing=_pairing(reference))
    prepared = prepare(recipe, list(opened), alignment.slices)
    if len(prepared.results) > 1:
        raise RecipeError(
            f"{recipe.method} can not be written: the recipe leaves a choice that is not in the "
            "parents (a random mask, or ties at a threshold), so it does not say which bytes the "
            "child has; compare it with --against instead"
        )
    parts = _parts(recipe, reference, alignment, prepared)
    names, parts = _placed(parts, shard_bytes)
    headers, parts = _headers(parts, len(names))
    total = sum(part.bytes for part in parts)
    _check_space(target, total + sum(map(len, headers)) + SLACK)
    return Writing(
        folder=target,
        reference=reference,
        alignment=alignment,
        prepared=prepared,
        parts=parts,
        names=names,
        headers=headers,
        index=_index(parts, names, total) if len(names) > 1 else None,
        left_out=tuple(
            (other.name, name)
            for other in others
            for name in other.tensors
            if name not in reference.tensors
        ),
        options=options,
    )


def _pairing(reference: Checkpoint) -> Any:
    """Return pairing by name, with reasons that tell what stands in for the child."""

    def pair(tensor: Tensor, other: Checkpoint) -> Extent | str:
        found = pair_by_name(tensor, other)
        if isinstance(found, str):
            return found.replace(" in the child, ", f" in {reference.name}, ", 1)
        return found

    return pair


def _parts(
    recipe: Recipe, reference: Checkpoint, alignment: Alignment, prepared: Prepared
) -> tuple[Part, ...]:
    """Return every tensor of the reference, in the order of its files, with dtype and reason.

    Raises
    ------
    RecipeError
        If one that the recipe speaks of is not in all parents, or only in part.
    """
    applies: dict[int, list[bool]] = {}
    reasons: dict[int, str | None] = {}
    for each, answer, why in zip(alignment.slices, prepared.applies, prepared.reasons, strict=True):
        applies.setdefault(each.extents[0].tensor, []).append(bool(answer))
        reasons[each.extents[0].tensor] = why
    # The reference takes two parts in the alignment; reasons are those of the one it is read as.
    unaligned: dict[str, str] = {}
    for left in alignment.unaligned:
        if left.checkpoint == reference.name:
            unaligned.setdefault(left.tensor, left.reason)
    parts, wrong = [], []
    for tensor in sorted(reference.tensors.values(), key=_place):
        answers = applies.get(tensor.index)
        if answers is not None and all(answers):
            size = tensor.elements * _BYTES[recipe.out_dtype]
            parts.append(Part(tensor.name, recipe.out_dtype, tensor.shape, size, None))
        elif answers is not None and not any(answers):
            parts.append(_copy_of(tensor, reasons[tensor.index]))
        elif answers is not None:
            wrong.append((tensor.name, "the recipe gives numbers for a part of it"))
        elif dtype_class(tensor.dtype) == "integer" and tensor.elements:
            parts.append(_copy_of(tensor, NOT_FLOAT.format(tensor.dtype)))
        elif (
            dtype_class(tensor.dtype) is None
            or tensor.elements == 0
            or (tensor.dtype == "F8_E8M0" and scale_of(tensor, reference) is None)
        ):
            parts.append(_copy_of(tensor, unaligned[tensor.name]))
        else:
            wrong.append((tensor.name, unaligned[tensor.name]))
    if wrong:
        silent = _silent(recipe, reference, order(recipe))
        kept = [each for each in wrong if each[0] not in silent]
        if len(kept) < len(wrong):
            parts += [
                _copy_of(reference.tensors[name], SILENT) for name, _ in wrong if name in silent
            ]
            parts.sort(key=lambda part: _place(reference.tensors[part.name]))
            wrong = kept
    if wrong:
        named = "; ".join(f"{printable(name)}: {printable(why)}" for name, why in wrong[:_NAMED])
        more = f"; and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
        count = f"{len(wrong):,} tensors" if len(wrong) > 1 else "1 tensor"
        raise RecipeError(
            f"{count} of {printable(reference.name)} can not be written: {named}{more}"
        )
    return tuple(parts)


def _place(tensor: Tensor) -> tuple[int, int, str]:
    return tensor.shard, tensor.begin, tensor.name


def _copy_of(tensor: Tensor, reason: str | None) -> Part:
    return Part(tensor.name, tensor.dtype, tensor.shape, tensor.end - tensor.begin, reason)


def _silent(recipe: Recipe, reference: Checkpoint, names: Sequence[str]) -> set[str]:
    """Return tensors that the recipe gives no numbers for, be they in all parents or not."""
    alone = align(reference, [reference])
    speaks: dict[int, bool] = {}
    found = prepare(recipe, names, alone.slices)
    for each, answer in zip(alone.slices, found.applies, strict=True):
        tensor = each.extents[0].tensor
        speaks[tensor] = speaks.get(tensor, False) or bool(answer)
    return {
        tensor.name for tensor in reference.tensors.values() if not speaks.get(tensor.index, True)
    }


def _placed(parts: Sequence[Part], shard_bytes: int) -> tuple[tuple[str, ...], tuple[Part, ...]]:
    """Return names of files, and the parts with a file each, filled in order."""
    out: list[Part] = []
    file = used = 0
    for part in parts:
        if used and used + part.bytes > shard_bytes:
            file, used = file + 1, 0
        used += part.bytes
        out.append(replace(part, file=file))
    count = file + 1
    if count == 1:
        return ("model.safetensors",), tuple(out)
    names = (f"model-{1 + i:05}-of-{count:05}.safetensors" for i in range(count))
    return tuple(names), tuple(out)


def _headers(parts: Sequence[Part], files: int) -> tuple[tuple[bytes, ...], tuple[Part, ...]]:
    """Return the header of every file, its length included, and the parts with their first byte."""
    entries: list[dict[str, Any]] = [{"__metadata__": {"format": "pt"}} for _ in range(files)]
    used = [0] * files
    starts = []
    for part in parts:
        begin = used[part.file]
        used[part.file] = begin + part.bytes
        starts.append(begin)
        entries[part.file][part.name] = {
            "dtype": part.dtype,
            "shape": list(part.shape),
            "data_offsets": [begin, begin + part.bytes],
        }
    headers = []
    for each in entries:
        text = json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        headers.append(len(text).to_bytes(8, "little") + text)
    return tuple(headers), tuple(
        replace(part, begin=len(headers[part.file]) + start)
        for part, start in zip(parts, starts, strict=True)
    )


def _index(parts: Sequence[Part], names: Sequence[str], total: int) -> bytes:
    document = {
        "metadata": {"total_size": total},
        "weight_map": {part.name: names[part.file] for part in parts},
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _check_folder(given: Path, target: Path) -> None:
    """Refuse a folder that holds something, or that can not be made or replaced."""
    try:
        if target.exists() and not target.is_dir():
            raise WriteError(f"{given}: is not a folder")
        if target.is_dir() and next(target.iterdir(), None) is not None:
            raise WriteError(f"{given}: is not empty; nothing is written over")
        if target.is_mount():
            raise WriteError(f"{given}: is a mount point; name a folder in it")
        existing = _existing(target)
        if not existing.is_dir():
            raise WriteError(f"{given}: {existing} is not a folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise WriteError(f"{given}: {existing} can not be written to")
    except OSError as error:
        raise WriteError(f"{given}: {error.strerror or error}") from error


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(_existing(target)).free
    if free < needed:
        raise WriteError(f"{target}: {needed:,} bytes are needed, and {free:,} are free")


def _existing(target: Path) -> Path:
    """Return the folder that the target is made in, or the nearest one above that there is."""
    existing = target.parent
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    return existing


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

    def __init__(self, watcher: Watcher | None, total: int) -> None:
        self._watcher = watcher
        self._done = 0
        if watcher is not None:
            watcher.start(total)

    def advance(self, bytes_: int) -> None:
        """Add to the bytes that are done with."""
        self._done += bytes_
        if self._watcher is not None:
            self._watcher.update(self._done)

    def progress(self) -> Any:
        """Return what the core tells of its own bytes."""
        watcher, before = self._watcher, self._done
        return None if watcher is None else lambda bytes_: watcher.update(before + bytes_)


def _pieces(path: Path, begin: int, end: int, tensor: str) -> Iterator[bytes]:
    """Yield the bytes of a tensor, some at a time."""
    at = begin
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(begin)
            while at < end:
                piece = file.read(min(BUFFER, end - at))
                if not piece:
                    raise ReadError(f"{path}: {tensor}: the file ends at byte {at:,} of {end:,}")
                yield piece
                at += len(piece)
    except OSError as error:
        raise ReadError(f"{path}: {tensor}: read at byte {at:,}: {error.strerror}") from error


def _digest(path: Path, begin: int, end: int, tensor: str, steps: _Steps) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path, begin, end, tensor):
        digest.update(piece)
        steps.advance(len(piece))
    return digest.hexdigest()


def _digest_of(checkpoint: Checkpoint, tensor: Tensor | None, steps: _Steps) -> str | None:
    if tensor is None:
        return None
    path = checkpoint.shards[tensor.shard].path
    return _digest(path, tensor.begin, tensor.end, tensor.name, steps)


def _alike(tensor: Tensor | None, part: Part) -> bool:
    return tensor is not None and (tensor.dtype, tensor.shape) == (part.dtype, part.shape)


def _sync(folder: Path) -> None:
    """Make the names in a folder last, where the system can open one."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
