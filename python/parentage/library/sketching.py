"""Makes sketches: one pass over everything, or over what is held alone."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parentage import _core
from parentage.checkpoint import adapter_of, as_checkpoint, decoded
from parentage.library.bits import encode
from parentage.library.places import outlines, places_of_sketch
from parentage.library.said import (
    KEY,
    VERSION,
    measured_of,
    packed_floats,
    packed_outlines,
    sketch_of,
)
from parentage.library.thumbs import ELEMENTS, lengths, measured, spots
from parentage.library.windows import windowed
from parentage.stream import SILENT, Options, Progress, choose_io, one_pass, unpack
from parentage.support import (
    WRITING,
    CheckpointError,
    WriteError,
    open_file,
    printable,
    sync_file,
)
from parentage.support import size as parsed_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import Any

    from parentage.checkpoint import Checkpoint, Given, Network
    from parentage.library.places import Outline
    from parentage.support import Floats

SIZE = 1 << 20
"""Bytes of a sketch by default, of two bytes an element."""

LEAST_SIZE = 1 << 14

ENDING = ".sketch.safetensors"
"""How files of sketches are called."""

MOST_MEASURED = 1 << 14
"""Tensors from which on their energies are left out: they would be most of the sketch."""

_CONFIG = re.compile(
    r"architectures|model_type|torch_dtype|dtype|hidden_\w+|num_\w+|n_\w+|vocab_size|head_dim|"
    r"intermediate_size|moe_\w+|max_position_embeddings|tie_word_embeddings|_name_or_path|"
    r"transformers_version|quantization_config"
)
"""Keys of config.json that are kept: the architecture, and what it says of origins."""

_TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "merges.txt",
    "spiece.model", "chat_template.jinja", "config.json",
)  # fmt: skip
"""Small files whose digests are kept."""

MOST_SMALL = 1 << 26
"""Bytes of a small file, from which on it is none."""


def sketch(
    checkpoint: Given,
    output: str | PathLike[str] | None = None,
    *,
    size: int | str = SIZE,
    runs_only: bool = False,
    full: bool = False,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    network: Network | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Write a sketch of a checkpoint: one small file that can stand in its place.

    Parameters
    ----------
    checkpoint
        A folder, a file, an index, or what is opened already.
    output
        The file; by default the checkpoint's name with ``.sketch.safetensors``, in the current
        folder. It appears whole or not at all, and takes the place of what is there.
    size
        Bytes that it holds of a checkpoint of two bytes an element, as an int or like ``"4MB"``.
        The same elements are held whatever the dtype.
    runs_only
        Read nothing but what is held. By default everything is read once, for the sum of squares
        of each tensor and the SHA-256 of each file; but for what is on no disk.
    full
        Read everything of that, too.
    threads, tile_bytes, io, network
        As in :func:`parentage.trace`.
    progress
        Told of the bytes read.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    CheckpointError
        If it is no checkpoint, an adapter, or a sketch already; or holds no numbers.
    WriteError
        If the system refuses to write.

    Examples
    --------
    >>> import parentage, tempfile
    >>> from parentage.demo import family
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = parentage.sketch(family("parent"), f"{folder}/parent.sketch.safetensors")
    ...     found = parentage.trace(written, base=family("base"))
    >>> found.verdict.level
    'statistical'
    """
    if full and runs_only:
        raise ValueError("full reads everything, and runs_only what is held")
    opened = as_checkpoint(checkpoint, None, network)
    runs_only = runs_only or (opened.is_remote and not full)
    options = Options(
        _core.threads() if threads is None else threads,
        tile_bytes,
        choose_io(io, opened.disk_bytes),
        is_far=opened.is_remote and runs_only,
    )
    said, tensors = sketched(opened, bytes_of(size), options, progress, runs_only=runs_only)
    target = Path(f"{Path(opened.name).name}{ENDING}" if output is None else output)
    write_sketch(target, said, tensors)
    return target


def bytes_of(given: int | str) -> int:
    """Return the size that is asked for, in bytes.

    Raises
    ------
    ValueError
        If it is no size, or too small.
    """
    found = parsed_size(given) if isinstance(given, str) else given
    if found < LEAST_SIZE:
        raise ValueError(f"a sketch has {LEAST_SIZE:,} bytes at least, not {found:,}")
    return found


def sketched(
    opened: Checkpoint,
    size: int,
    options: Options,
    progress: Progress = SILENT,
    *,
    runs_only: bool = False,
    measure: bool | None = None,
    seed: str = "",
) -> tuple[dict[str, Any], list[tuple[str, str, tuple[int, ...], bytes]]]:
    """Return what a sketch says of itself, and its tensors: name, dtype, shape and bytes.

    Rows and columns of some matrices are measured if everything is read, or as ``measure`` says.
    With a ``seed``, it draws the places that are held.
    """
    if sketch_of(opened) is not None:
        raise CheckpointError(f"{printable(str(opened.path))}: it is a sketch already")
    adapter = adapter_of(opened)
    if adapter is not None:
        raise CheckpointError(
            printable(f"{opened.path}: an adapter ({adapter}) is small: keep it as it is")
        )
    whole = decoded(opened)
    listed = tuple(outlines(whole.tensors.values()))
    places = places_of_sketch(listed, max(size // 2, 1), seed)
    if not places:
        raise CheckpointError(f"{printable(str(opened.path))}: it holds no numbers to sketch")
    progress.stage("reading what is held")
    view = windowed(whole, places)
    tensors = [
        (each.name, each.dtype, each.shape, encode(values, each.dtype))
        for each, values in _values(view, options)
    ]
    said: dict[str, Any] = {
        "version": VERSION,
        "name": opened.name,
        "tool": _core.__version__,
        "read": "runs" if runs_only else "all",
        "elements": sum(each.elements for each in listed),
        "tensors": packed_outlines(listed),
        "places": {name: [place.width, place.runs] for name, place in sorted(places.items())},
        "config": config_of(opened.path, opened.texts),
        "files": _files(opened),
        "encodings": _encodings(opened, whole),
        **_thumbs(whole, listed, options, measure=not runs_only if measure is None else measure),
    }
    if seed:
        said["seed"] = seed
    if not runs_only:
        said |= _of_everything(opened, whole, listed, options, progress)
    return said, tensors


def _files(opened: Checkpoint) -> list[dict[str, Any]]:
    """Return what is known of files before everything is read.

    Of those on no disk, that is what their headers and whoever published them say.
    """
    if opened.is_in_memory:
        return []
    if not opened.is_remote:
        return small_files(opened.path)
    published = {} if opened.origin is None else opened.origin.published
    return [
        {"name": each.name, "bytes": each.bytes, "published_sha256": published.get(each.name)}
        for each in opened.own_shards
    ]


def _thumbs(
    whole: Checkpoint, listed: tuple[Outline, ...], options: Options, *, measure: bool
) -> dict[str, Any]:
    """Return thumbnails, and the lengths of rows and columns of some matrices."""
    found = spots(listed)
    view = windowed(whole, {each.name: each.place for each in found})
    by_name = {each.name: values for each, values in _values(view, options)} if found else {}
    thumbs = [by_name[each.name][:ELEMENTS] for each in found]
    said: dict[str, Any] = {
        "keys": [each.key for each in found],
        "thumbs": packed_floats(np.concatenate(thumbs) if thumbs else np.zeros(0), "<f4"),
    }
    if not measure:
        return said
    invariants: dict[str, list[float]] = {}
    for each in measured(found):
        only = whole.seen_as([whole.tensors[each.name]])
        ((tensor, values),) = _values(only, options)
        rows, columns = lengths(values, tensor.shape)
        invariants[each.key] = [*np.round(rows, 6).tolist(), *np.round(columns, 6).tolist()]
    return {**said, "invariants": invariants}


def _encodings(opened: Checkpoint, whole: Checkpoint) -> dict[str, str]:
    """Return how tensors are stored that are held as numbers of their codes."""
    if whole is opened:
        return {}
    found = {each.name: whole.encoding_of(each) for each in whole.tensors.values()}
    return {name: coding.scheme for name, coding in found.items() if coding is not None}


def _values(view: Checkpoint, options: Options) -> list[tuple[Any, Floats]]:
    """Return the tensors of a view and their elements, those that have the same number at once."""
    tensors = list(view.tensors.values())
    index = np.array([[each.index] * 2 for each in tensors], dtype=np.uint64)
    counts = np.array([each.elements for each in tensors], dtype=np.uint64)
    plan = _core.Plan([view.core] * 2, counts, index, np.zeros_like(index))
    runs = options.for_runs()
    found = runs.backend.elements(plan, 0, plan.slices, threads=runs.threads, io=runs.io)[:, 0]
    parts = np.split(found, np.cumsum(counts)[:-1].astype(np.intp))
    return list(zip(tensors, parts, strict=True))


def _of_everything(
    opened: Checkpoint,
    whole: Checkpoint,
    listed: tuple[Outline, ...],
    options: Options,
    progress: Progress,
) -> dict[str, Any]:
    """Return what one pass over everything gives: energies of tensors, digests of files."""
    wanted = {each.name for each in measured_of(listed)}
    tensors = sorted(
        (each for each in whole.tensors.values() if each.name in wanted),
        key=lambda each: (each.shard, each.begin),
    )
    index = np.array([[each.index] * 2 for each in tensors], dtype=np.uint64)
    counts = np.array([each.elements for each in tensors], dtype=np.uint64)
    plan = _core.Plan([whole.core] * 2, counts, index, np.zeros_like(index))
    digests = _core.Digests([opened.core] * 2)
    passing = Options(
        options.threads, options.tile_bytes, options.io, options.level, digests, options.backend
    )
    half = _Half(progress)
    half.start(plan.bytes(0, plan.slices))
    energies: dict[str, float] = {}
    done = 0
    for first, last in plan.ranges(1 << 12):
        found = unpack(one_pass(plan, first, last, passing, half, done).gram).sum(axis=1)
        done += plan.bytes(first, last)
        for each, energy in zip(tensors[first:last], found[:, 0, 0].tolist(), strict=True):
            energies[each.name] = energy
    sha = digests.finish(threads=options.threads, io="pread")[0]
    files = [
        {"name": shard.name, "bytes": shard.bytes, "sha256": digest}
        for shard, digest in zip(opened.shards, sha, strict=True)
    ]
    beside = [] if opened.is_in_memory or opened.is_remote else small_files(opened.path)
    said: dict[str, Any] = {"files": [*beside, *files]}
    if len(tensors) <= MOST_MEASURED:
        values = np.array([energies[each.name] for each in measured_of(listed)])
        said |= {"energies": packed_floats(values), "definition": _core.DEFINITION}
    return said


class _Half(Progress):
    """Tells of half the bytes: a plan of one checkpoint has it twice."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, total: int) -> None:
        self._progress.start(total // 2)

    def update(self, done: int) -> None:
        self._progress.update(done // 2)


def config_of(path: Path, texts: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """Return what config.json beside a checkpoint says of its architecture and origins.

    ``texts`` are the small files of a checkpoint that is on no disk.
    """
    folder = path if path.is_dir() else path.parent
    try:
        if texts is not None:
            raw = texts.get("config.json", b"")
        else:
            with BufferedReader(open_file(folder / "config.json")) as file:
                raw = file.read(1 << 20)
        found: Any = json.loads(raw)
    except (OSError, ValueError, RecursionError):
        return {}
    parts = [found, found.get("text_config")] if isinstance(found, dict) else []
    out: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items() if isinstance(part, dict) else ():
            if _CONFIG.fullmatch(str(key)) and _is_small(value):
                out.setdefault(str(key), value)
    return out


def _is_small(value: Any) -> bool:
    return len(json.dumps(value)) <= 400


def small_files(path: Path) -> list[dict[str, Any]]:
    """Return name, bytes and SHA-256 of the tokenizer's files and the like beside a checkpoint."""
    folder = path if path.is_dir() else path.parent
    out = []
    for name in _TOKENIZERS:
        try:
            with BufferedReader(open_file(folder / name)) as file:
                raw = file.read(MOST_SMALL + 1)
        except OSError:
            continue
        if len(raw) <= MOST_SMALL:
            out.append({"name": name, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()})
    return out


def write_sketch(
    target: Path, said: dict[str, Any], tensors: list[tuple[str, str, tuple[int, ...], bytes]]
) -> None:
    """Write a sketch, whole or not at all.

    Raises
    ------
    WriteError
        If the system refuses.
    """
    header: dict[str, Any] = {
        "__metadata__": {KEY: json.dumps(said, ensure_ascii=True, allow_nan=False)}
    }
    at = 0
    for name, dtype, shape, raw in tensors:
        header[name] = {
            "dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(raw)]
        }  # fmt: skip
        at += len(raw)
    text = json.dumps(header, ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=WRITING) as scratch:
            made = Path(scratch, "sketch")
            with made.open("wb") as file:
                file.write(len(text).to_bytes(8, "little"))
                file.write(text)
                for _, _, _, raw in tensors:
                    file.write(raw)
            sync_file(made)
            made.replace(target)
    except OSError as error:
        raise WriteError(f"{target}: write the sketch: {error.strerror or error}") from error
