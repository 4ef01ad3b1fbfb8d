"""Says where every tensor of what a recipe gives goes, before anything is written."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parentage import _core
from parentage.align import pair_by_name, scale_of, views
from parentage.checkpoint import DTYPES, as_checkpoint, dtype_class
from parentage.replay.comparison import NOT_FLOAT, SAYS_NOTHING, prepare, silent_tensors
from parentage.replay.layers import made_alignment, made_of
from parentage.replay.locate import checkpoint_order, open_parents
from parentage.replay.write_files import Writing
from parentage.replay.written import TensorPlan
from parentage.stream import SILENT, Options, Progress
from parentage.support import RecipeError, WriteError, nearest_existing, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from parentage.align import Extent
    from parentage.checkpoint import Checkpoint, Tensor
    from parentage.recipe import Recipe
    from parentage.replay.comparison import Prepared
    from parentage.replay.layers import Made
    from parentage.replay.locate import Offered
    from parentage.replay.written import Written

SHARD_BYTES = 5 * 10**9
"""Bytes of tensors from which on a checkpoint is written as several files."""

SLACK = 1 << 20
"""Bytes that have to be free beside those of the files."""

_NAMED = 4
"""Tensors that a message names."""


def write(
    recipe: Recipe,
    parents: Mapping[str, Offered],
    folder: str | os.PathLike[str],
    *,
    against: Offered | None = None,
    shard_bytes: int = SHARD_BYTES,
    allow_non_finite: bool = False,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "mmap",
    progress: Progress = SILENT,
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
    allow_non_finite
        Write what is not finite, though all that it is made of is, and count it, instead of
        refusing it.
    threads, tile_bytes, io
        How to read; none of it changes a byte.
    progress
        Told of the bytes to read and of those read so far, and may raise to stop.

    Raises
    ------
    RecipeError
        If the recipe leaves a choice, does not fit the checkpoints, or makes numbers that are not
        finite of finite ones.
    WriteError
        If the folder is not empty or the system refuses to write; nothing is left then.
    ParentageError
        If a checkpoint is damaged or unreadable, or changes while it is read.
    """
    options = Options(_core.threads() if threads is None else threads, tile_bytes, io)
    child = None if against is None else as_checkpoint(against)
    planned = plan_write(recipe, parents, folder, shard_bytes, options)
    return planned.run(child, progress, allow_non_finite=allow_non_finite)


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
    target = Path(folder).resolve()
    _check_folder(Path(folder), target)
    opened = open_parents(recipe, parents)
    reference, *others = opened.values()
    seen = views(reference, others)
    if seen.child is reference:
        # What is written has the reference's tensors: others are seen as it stores them.
        others = list(seen.others)
    opened = dict(zip(opened, (reference, *others), strict=True))
    made = made_alignment(recipe, reference, others, _pairing(reference))
    prepared = prepare(recipe, list(opened), made.alignment.slices)
    if len(prepared.results) > 1:
        raise RecipeError(
            f"{recipe.method} can not be written: the recipe leaves a choice that is not in the "
            "parents (a random mask, or ties at a threshold), so it does not say which bytes the "
            "child has; compare it with --against instead"
        )
    parts = _parts(recipe, reference, made, prepared)
    names, parts = _placed(parts, shard_bytes)
    headers, parts = _headers(parts, len(names))
    total = sum(part.bytes for part in parts)
    written = {part.name for part in parts}
    _check_space(target, total + sum(map(len, headers)) + SLACK)
    return Writing(
        folder=target,
        reference=reference,
        alignment=made.alignment,
        owners=made.owners,
        prepared=prepared,
        parts=parts,
        names=names,
        headers=headers,
        index=_index(parts, names, total) if len(names) > 1 else None,
        left_out=tuple(
            (other.name, tensor.name)
            for other in others
            for name, tensor in made_of(recipe, other)
            if name not in written
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
    recipe: Recipe, reference: Checkpoint, made: Made, prepared: Prepared
) -> tuple[TensorPlan, ...]:
    """Return every tensor of the result, in the order of the reference's, with dtype and reason.

    Raises
    ------
    RecipeError
        If one that the recipe speaks of is not in all parents, or only in part.
    """
    applies: dict[str, list[bool]] = {}
    reasons: dict[str, str | None] = {}
    names: dict[str, str] = {}
    for owner, each, answer, why in zip(
        made.owners, made.alignment.slices, prepared.applies, prepared.reasons, strict=True
    ):
        applies.setdefault(owner, []).append(bool(answer))
        reasons[owner] = why
        names[owner] = each.name
    order = sorted(made_of(recipe, reference), key=lambda each: (*_place(each[1]), each[0]))
    parts, wrong = [], []
    for name, tensor in order:
        answers = applies.get(name)
        if answers is not None and all(answers):
            dtype = recipe.dtype_of(names[name])
            size = tensor.elements * DTYPES[dtype].bytes
            parts.append(TensorPlan(name, dtype, tensor.shape, size, None, source=tensor.name))
        elif answers is not None and not any(answers):
            parts.append(_copy_of(name, tensor, reasons[name]))
        elif answers is not None:
            wrong.append((name, "the recipe gives numbers for a part of it"))
        elif tensor.name in reference.encodings:
            wrong.append((name, f"{reference.encodings[tensor.name]}, and not decoded"))
        elif dtype_class(tensor.dtype) == "integer" and tensor.elements:
            parts.append(_copy_of(name, tensor, NOT_FLOAT.format(tensor.dtype)))
        elif (
            dtype_class(tensor.dtype) is None
            or tensor.elements == 0
            or (tensor.dtype == "F8_E8M0" and scale_of(tensor, reference) is None)
        ):
            parts.append(_copy_of(name, tensor, made.reasons[name]))
        else:
            wrong.append((name, made.reasons[name]))
    if wrong:
        silent = silent_tensors(recipe, reference, checkpoint_order(recipe))
        kept = [each for each in wrong if each[0] not in silent]
        if len(kept) < len(wrong):
            tensors = dict(order)
            parts += [
                _copy_of(name, tensors[name], SAYS_NOTHING) for name, _ in wrong if name in silent
            ]
            parts.sort(key=lambda part: (*_place(tensors[part.name]), part.name))
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


def _copy_of(name: str, tensor: Tensor, reason: str | None) -> TensorPlan:
    size = tensor.end - tensor.begin
    return TensorPlan(name, tensor.dtype, tensor.shape, size, reason, source=tensor.name)


def _placed(
    parts: Sequence[TensorPlan], shard_bytes: int
) -> tuple[tuple[str, ...], tuple[TensorPlan, ...]]:
    """Return names of files, and the parts with a file each, filled in order."""
    out: list[TensorPlan] = []
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


def _headers(
    parts: Sequence[TensorPlan], files: int
) -> tuple[tuple[bytes, ...], tuple[TensorPlan, ...]]:
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


def _index(parts: Sequence[TensorPlan], names: Sequence[str], total: int) -> bytes:
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
        existing = nearest_existing(target)
        if not existing.is_dir():
            raise WriteError(f"{given}: {existing} is not a folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise WriteError(f"{given}: {existing} can not be written to")
    except OSError as error:
        raise WriteError(f"{given}: {error.strerror or error}") from error


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(nearest_existing(target)).free
    if free < needed:
        raise WriteError(f"{target}: {needed:,} bytes are needed, and {free:,} are free")
